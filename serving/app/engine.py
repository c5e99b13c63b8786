"""Prompt to picture: the base as its own diffusers pipeline, with the adapter fused into its weights."""

import inspect
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .errors import SettingsError, TimedOut
from .settings import Installed, verify_adapter
from .strength import LowRank, low_rank_parts, moved, strength_added

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_ADAPTER = "adapter"


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What to make. Image i uses seed + i; `strength` is the adapter's; `deadline` is on time.monotonic()."""

    prompt: str
    width: int
    height: int
    steps: int
    guidance_scale: float
    seed: int
    images: int
    strength: float
    deadline: float


class Engine(Protocol):
    """Makes pictures one after the other; raises for the whole request if one can not be made."""

    def generate(self, work: Work) -> Iterator["Picture"]:
        """Yield work.images pictures, in order."""
        ...


class DiffusersEngine:
    """A diffusers pipeline on one device. Requests take turns: an image at a time holds the pipeline."""

    def __init__(self, package: Installed) -> None:
        import torch
        from diffusers import DiffusionPipeline

        verify_adapter(package)
        settings = package.settings
        self.family, self.fused_strength = settings.family, settings.adapter.scale
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self._pipe = DiffusionPipeline.from_pretrained(
            package.base,
            dtype=dtype,
            use_safetensors=True,
            revision=settings.base.revision if settings.base.kind == "hub" else None,
            local_files_only=settings.base.kind == "folder",
        ).to(self.device)
        self._pipe.set_progress_bar_config(disable=True)
        self._parts = moved(self._fuse(package), device=self.device, dtype=dtype)
        self._takes_callback = "callback_on_step_end" in inspect.signature(self._pipe.__call__).parameters
        self._turn = threading.Lock()
        self._warm_up(package)

    def generate(self, work: Work) -> Iterator["Picture"]:
        """Yield work.images pictures. One call of the pipeline each, so a picture does not depend on how many were asked for."""
        for index in range(work.images):
            wait = min(max(0.0, work.deadline - time.monotonic()), threading.TIMEOUT_MAX)
            if not self._turn.acquire(timeout=wait):
                raise TimedOut("the request waited for other requests longer than this app allows")
            try:
                picture = self._picture(work, index)
            finally:
                self._turn.release()
            yield picture

    def _fuse(self, package: Installed) -> list[LowRank]:
        """Load the adapter, keep its factors for other strengths, merge it at the recommended one and drop peft's layers."""
        self._pipe.load_lora_weights(str(package.folder), weight_name=package.adapter.name, adapter_name=_ADAPTER)
        models = [model for model in self._pipe.components.values() if hasattr(model, "named_modules")]
        parts = [part for model in models for part in low_rank_parts(model)]
        if not parts:
            raise SettingsError(f"adapter {package.adapter} changes no layer of {package.base}: it was made for another base")
        self._pipe.fuse_lora(lora_scale=self.fused_strength)
        self._pipe.unload_lora_weights()
        return parts

    def _picture(self, work: Work, index: int) -> "Picture":
        import torch

        call: dict[str, Any] = {
            "prompt": work.prompt,
            "width": work.width,
            "height": work.height,
            "num_inference_steps": work.steps,
        }
        call |= guidance(self.family, work.guidance_scale)
        call["generator"] = torch.Generator("cpu").manual_seed(work.seed + index)  # on the CPU: the same noise on every device
        if self._takes_callback:
            call["callback_on_step_end"] = _stop_at(work.deadline)
        try:
            with strength_added(self._parts, work.strength - self.fused_strength):
                picture: Picture = self._pipe(**call, output_type="pil").images[0]
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()  # the next request may fit; the error itself is told to the caller
            raise
        return picture

    def _warm_up(self, package: Installed) -> None:
        """One picture of default size in two steps: kernels are loaded and memory is claimed before the first caller comes."""
        size, scale = package.settings.default_size, package.settings.inference.guidance_scale
        work = Work(
            prompt="warm up",
            width=size.width,
            height=size.height,
            steps=2,
            guidance_scale=scale,
            seed=0,
            images=1,
            strength=self.fused_strength,
            deadline=float("inf"),
        )
        self._picture(work, 0)


def guidance(family: str, scale: float) -> dict[str, Any]:
    """Classifier-free guidance as the family's pipeline takes it."""
    if family == "qwen-image":  # its guidance_scale is for distilled weights; the true one acts beside a negative prompt only
        return {"true_cfg_scale": scale, "negative_prompt": " "}
    return {"guidance_scale": scale}


def _stop_at(deadline: float) -> Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]:
    """A step callback that ends the request once its deadline is past: a picture nobody waits for is not finished."""

    def check(_pipe: Any, _step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if time.monotonic() > deadline:
            raise TimedOut("the request took longer than this app allows")
        return tensors

    return check
