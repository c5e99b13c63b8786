"""Prompts to pictures: the base as its own diffusers pipeline, with the adapter fused into its weights."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..errors import Stopped, TooFewSteps
from ..settings import Installed, Settings, verify_adapter
from .acceleration import accelerate
from .adapter import denoiser_of, read_parts
from .call import call_of, changing, set_size
from .challenger import drawn_with, load_challenger
from .decoding import (
    bytes_per_pixel,
    decode_so,
    decoding,
    memory_for_pictures,
    only_numbers,
    precision_of,
    restore_precision,
)
from .fused import find, keep, place_of
from .loading import denoiser_name, fetched, image_to_image, import_libraries, load_pipeline
from .strength import LowRank, merge, moved
from .texts import equal_texts_once

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from PIL.Image import Image as Picture


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What the pictures of one call have in common; requests of equal shape may share a call.

    lora_scale: the adapter's strength. change: how far an image-to-image call may go from its pictures (0..1), None for
    text-to-image.
    """

    width: int
    height: int
    steps: int
    guidance_scale: float
    lora_scale: float
    adapter: Literal["champion", "challenger"] = "champion"
    change: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """One picture. Its noise comes from its own seed alone; `start` is the picture that an image-to-image call begins with."""

    prompt: str
    seed: int
    negative_prompt: str = ""
    start: "Picture | None" = None


class Engine(Protocol):
    """Makes the pictures of one call; one thread at a time."""

    def draw(self, shape: Shape, wanted: Sequence[Wanted], *, go_on: Callable[[], bool]) -> list["Picture"]:
        """One picture for each wanted, in order.

        Raises Stopped before the first step at which go_on() is False; any other error fails the call whole.
        """
        ...


class DiffusersEngine:
    """A diffusers pipeline on one device.

    Same seed, same picture: alone, among others in a call, and after a restart, whether the fused weights were kept or made anew.
    On a CPU (float32) within 1 of 255 in every channel; on a GPU (bfloat16) a batch of another size may round otherwise.
    """

    def __init__(self, package: Installed) -> None:
        verify_adapter(package)
        self._settings = package.settings
        import_libraries(package)
        self._challenger: list[LowRank] | None = None
        self._load(package)
        self._memory = memory_for_pictures(self.device)
        self._fast.start(self._warm_up, base=package.settings.base)

    def draw(self, shape: Shape, wanted: Sequence[Wanted], *, go_on: Callable[[], bool]) -> list["Picture"]:
        """One call of the pipeline, or as many as the family needs for pictures that do not depend on their company."""
        if shape.steps == 1 and self.pipe.scheduler.config.get("shift_terminal"):
            raise TooFewSteps("Input should be greater than or equal to 2")
        drawn: dict[int, Picture] = {}
        for together in _companies(wanted, batches=self._settings.called.batches and not self._fast.alone):
            pictures = self._called(shape, [wanted[index] for index in together], go_on)
            drawn |= dict(zip(together, pictures, strict=True))
        return [drawn[index] for index in range(len(wanted))]

    def replace_challenger(self, path: "Path", *, sha256: str) -> None:
        """Put another file in the challenger's place, from the next call on and without a restart; the weights are not touched.

        Raises SettingsError where the file is not the one of this sha256 or does not fit the base; the one before stays.
        """
        denoiser = denoiser_of(self.pipe)
        self._challenger = load_challenger(denoiser, path, sha256=sha256, device=self.device, dtype=self._dtype)

    def _load(self, package: Installed) -> None:
        import torch

        settings = package.settings
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.pipe, fused = _pipeline(package, dtype)
        self.pipe.to(self.device)
        self.pipe.set_progress_bar_config(disable=True)
        self._precision = precision_of(self.pipe.vae)
        denoiser = denoiser_of(self.pipe)
        parts = read_parts(denoiser, package.adapter)
        if fused is not None:
            merge(parts, settings.adapter.scale)
            keep(denoiser, fused)
        self._dtype, self._parts = dtype, moved(parts, device=self.device, dtype=dtype)
        if settings.challenger:
            self.replace_challenger(package.challenger, sha256=settings.challenger.sha256)
        self._fast = accelerate(denoiser, settings.acceleration, device=self.device, dtype=dtype)
        name = settings.called.image_to_image
        self._changing = image_to_image(self.pipe, name) if name else None

    def _called(self, shape: Shape, wanted: Sequence[Wanted], go_on: Callable[[], bool]) -> list["Picture"]:
        import torch

        pipe, arguments = self._call(shape, wanted)
        noise = [torch.Generator("cpu").manual_seed(one.seed) for one in wanted]  # on the CPU: the same on every device
        challenger = self._challenger if shape.adapter == "challenger" else None
        assert challenger is not None or shape.adapter == "champion", "there is no such field without settings.challenger"
        strength = drawn_with(self._parts, challenger, fused=self._settings.adapter.scale, scale=shape.lora_scale)
        self._decode(shape, len(wanted))
        try:
            watched = only_numbers(pipe.vae), _stopping(denoiser_of(pipe), go_on)
            with strength, self._fast.call(), equal_texts_once(pipe), watched[0], watched[1]:
                drawn: list[Picture] = pipe(**arguments, generator=noise)[0]
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()  # the next call may fit; the error itself is told to the caller
            raise
        return drawn

    def _warm_up(self) -> None:
        if self.device.type != "cuda" and not self._fast.compiled:
            return  # the first picture of a CPU takes as long as the second
        for shape, count in warm_ups(self._settings):
            self.draw(shape, [Wanted(prompt="warm up", seed=0)] * count, go_on=lambda: True)

    def _call(self, shape: Shape, wanted: Sequence[Wanted]) -> tuple[Any, dict[str, Any]]:
        """The pipeline that makes these pictures, and the arguments of its call."""
        called = self._settings.called
        set_size(self.pipe, called, width=shape.width, height=shape.height)
        arguments = call_of(
            called,
            prompts=[one.prompt for one in wanted],
            negative_prompts=[one.negative_prompt for one in wanted] if wanted[0].negative_prompt else None,
            width=shape.width,
            height=shape.height,
            steps=shape.steps,
            guidance_scale=shape.guidance_scale,
        )
        if shape.change is None:
            return self.pipe, arguments
        assert self._changing is not None, "there is no such endpoint without settings.pipeline.image_to_image"
        starts = [one.start for one in wanted if one.start is not None]
        return self._changing, changing(self._changing, arguments, starts=starts, change=shape.change)

    def _decode(self, shape: Shape, batch: int) -> None:
        vae = self.pipe.vae
        restore_precision(vae, self._precision)
        area = shape.width * shape.height
        decode_so(vae, decoding(free=self._memory, per_pixel=bytes_per_pixel(vae), area=area, batch=batch))


def warm_ups(settings: Settings) -> list[tuple[Shape, int]]:
    """What is drawn before the first caller comes, and how many at once: kernels are loaded, blocks compiled, memory claimed."""
    shapes = [
        Shape(
            width=size.width,
            height=size.height,
            steps=2,
            guidance_scale=settings.inference.guidance_scale,
            lora_scale=settings.adapter.scale,
        )
        for size in (settings.default_size, *settings.warm_up)
    ]
    most = settings.batching.max_batch if settings.called.batches else 1
    return [(shape, count) for shape in shapes for count in sorted({1, most})]


def _pipeline(package: Installed, dtype: Any) -> tuple[Any, "Path | None"]:
    """The pipeline, and where its denoiser is to be kept once it is fused; None where it comes from there."""
    name = denoiser_name(package)
    place = place_of(package, dtype=dtype, denoiser=name)
    if find(place):
        return load_pipeline(fetched(package, leaving=name), dtype=dtype, elsewhere={name: place}), None
    return load_pipeline(fetched(package), dtype=dtype), place


def _companies(wanted: Sequence[Wanted], *, batches: bool) -> list[list[int]]:
    """Which pictures may be made in one call: where some have a negative prompt, the others keep what the family does without."""
    if not batches:
        return [[index] for index in range(len(wanted))]
    halves = ([index for index, one in enumerate(wanted) if bool(one.negative_prompt) is told] for told in (False, True))
    return [half for half in halves if half]


@contextmanager
def _stopping(denoiser: "torch.nn.Module", go_on: Callable[[], bool]) -> Iterator[None]:
    """End the call before the first step at which nobody waits for it any more."""

    def check(_module: Any, _inputs: Any) -> None:
        if not go_on():
            raise Stopped("nobody waits for these pictures any more")

    hook = denoiser.register_forward_pre_hook(check)
    try:
        yield
    finally:
        hook.remove()
