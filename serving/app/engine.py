"""Prompt to picture: the base as its own diffusers pipeline, with the adapter fused into its weights."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .adapter import denoiser_of, fuse
from .call import call_of, set_size
from .errors import TimedOut
from .settings import Installed, verify_adapter
from .strength import moved, strength_added

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as Picture


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
        self.called, self.fused_strength = settings.called, settings.adapter.scale
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
        self._denoiser = denoiser_of(self._pipe)
        self._parts = moved(fuse(self._denoiser, package.adapter, self.fused_strength), device=self.device, dtype=dtype)
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

    def _picture(self, work: Work, index: int) -> "Picture":
        import torch

        asked = {name: getattr(work, name) for name in ("prompt", "width", "height", "steps", "guidance_scale")}
        generator = torch.Generator("cpu").manual_seed(work.seed + index)  # on the CPU: the same noise on every device
        set_size(self._pipe, self.called, width=work.width, height=work.height)
        try:
            with strength_added(self._parts, work.strength - self.fused_strength), _until(work.deadline, self._denoiser):
                drawn = self._pipe(**call_of(self.called, **asked), generator=generator)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()  # the next request may fit; the error itself is told to the caller
            raise
        picture: Picture = drawn[0][0]
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


@contextmanager
def _until(deadline: float, denoiser: "torch.nn.Module") -> Iterator[None]:
    """End the request before the first step past its deadline: a picture nobody waits for is not finished."""

    def check(_module: Any, _inputs: Any) -> None:
        if time.monotonic() > deadline:
            raise TimedOut("the request took longer than this app allows")

    hook = denoiser.register_forward_pre_hook(check)
    try:
        yield
    finally:
        hook.remove()
