"""Pictures and captions as tensors, encoded once: entries named by the hash of all that decides their content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from training.base import Base, sha256_of
from training.conditioning import SCHEMA as RECORDED
from training.conditioning import Conditioning, Wiring
from training.config import identity
from training.data import entries
from training.data.manifest import Dataset, Picture
from training.data.masks import mask_of
from training.denoise import probe, record
from training.errors import DatasetError
from training.latents import posterior

SCHEMA = "lorasmith/cache/2"
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wants:
    """What the loop asks for beside latents and captions: no caption (caption dropout), the generic one (prior preservation)."""

    empty: bool = False
    generic: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A picture ready for the loop: the VAE's posterior (step layout, no batch axis) and its caption's conditioning.

    `mean` is the mode of the posterior and `std` its spread, so that its noise can stay fresh; None where the VAE has none.
    Where the variance was trained it is small, and where it was not (a VAE used as a plain autoencoder) a sample would be noise:
    the reader judges by the size of `std`. `mask` weighs the loss, mean 1 over the picture; `empty` is the conditioning of no
    caption, `generic` that of the caption without its trigger; `flipped` is the mirrored picture of a symmetric subject.
    """

    mean: Tensor
    std: Tensor | None = None
    conditioning: Conditioning
    bucket: tuple[int, int]
    caption: str
    mask: Tensor | None = None
    empty: Conditioning | None = None
    generic: Conditioning | None = None
    flipped: Example | None = None

    @property
    def latents(self) -> Tensor:
        """The posterior's mode."""
        return self.mean


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """Examples in the order of the pictures, and how many encodings were made rather than found."""

    examples: tuple[Example, ...]
    latents_made: int
    conditioning_made: int


def encode_pictures(
    dataset: Dataset,
    pictures: Sequence[Picture],
    pipe: Any,
    base: Base,
    folder: Path,
    *,
    wants: Wants = Wants(),
    progress: Progress | None = None,
) -> Encoding:
    """Each picture and caption from the cache in `folder`, or encoded with `pipe` (on its device) and put there.

    Any number of processes may share `folder`. Raises DatasetError for prepared pictures that are gone or do not fit the base.
    """
    _check(dataset, pictures, base, wants)
    encoder = _Encoder(pipe=pipe, base=base, folder=folder, precision=str(getattr(pipe, base.family.denoiser).dtype))
    examples = []
    for number, picture in enumerate(pictures, start=1):
        examples.append(_example(encoder, dataset, picture, wants))
        if progress:
            progress(number, len(pictures))
    return Encoding(examples=tuple(examples), latents_made=encoder.latents_made, conditioning_made=encoder.conditioning_made)


def load_pixels(path: Path) -> Tensor:
    """A prepared picture as [3, H, W] in [-1, 1]."""
    try:
        with Image.open(path) as picture:
            values = np.asarray(picture.convert("RGB"), dtype=np.float32)
    except OSError as error:
        raise _gone(path, error) from error
    return torch.from_numpy(values).permute(2, 0, 1) / 127.5 - 1


def _example(encoder: _Encoder, dataset: Dataset, picture: Picture, wants: Wants, *, flip: bool = False) -> Example:
    mean, std = encoder.posterior(picture, dataset.folder / picture.path, flip=flip)
    mirrored = dataset.symmetric and picture.split == "train" and not flip  # held-out pictures are measured as they are
    generic = picture.generic if wants.generic else None
    return Example(
        mean=mean,
        std=std,
        conditioning=encoder.conditioning(picture.caption, picture.bucket),
        bucket=picture.bucket,
        caption=picture.caption,
        mask=mask_of(dataset.folder / picture.mask, encoder.base.family, mean, flip=flip) if picture.mask else None,
        empty=encoder.conditioning("", picture.bucket) if wants.empty else None,
        generic=None if generic is None else encoder.conditioning(generic, picture.bucket),
        flipped=_example(encoder, dataset, picture, wants, flip=True) if mirrored else None,
    )


class _Encoder:
    def __init__(self, *, pipe: Any, base: Base, folder: Path, precision: str) -> None:
        self.pipe, self.base, self.folder = pipe, base, folder
        self.latents_made = self.conditioning_made = 0
        self._wiring: Wiring | None = None
        self._pictures = identity([SCHEMA, "latents", base.encoders_sha256("latents"), precision])
        recorder = [RECORDED, version("diffusers")]  # what a pipeline gives its denoiser may change with either
        self._captions = identity([SCHEMA, "conditioning", *recorder, base.encoders_sha256("conditioning"), precision])

    def posterior(self, picture: Picture, path: Path, *, flip: bool) -> tuple[Tensor, Tensor | None]:
        """Keyed by the bytes of the prepared picture, which hold its content and its crop."""
        place = self._place("latents", identity([self._pictures, _content(path), picture.bucket, *(["flipped"] if flip else [])]))
        found = entries.read(place)
        if found is None:
            pixels = load_pixels(path)
            mean, std = posterior(self.pipe, self.base.family, (pixels.flip(-1) if flip else pixels)[None])
            found = entries.write(place, {"mean": mean[0]} | ({} if std is None else {"std": std[0]}), {})
            self.latents_made += 1
        tensors, _ = found
        return tensors["mean"], tensors.get("std")

    def conditioning(self, caption: str, bucket: tuple[int, int]) -> Conditioning:
        place = self._place("conditioning", identity([self._captions, caption, bucket]))
        found = entries.read(place)
        if found is None:
            height, width = bucket
            self._wiring = self._wiring or probe(self.pipe, self.base.family, height, width)
            recorded = record(self.pipe, self.base.family, caption, height, width, wiring=self._wiring)
            found = entries.write(place, recorded.tensors(), recorded.layout())
            self.conditioning_made += 1
        return Conditioning.load(*found)

    def _place(self, kind: str, key: str) -> Path:
        return self.folder / kind / key[:2] / f"{key}.safetensors"


def _check(dataset: Dataset, pictures: Sequence[Picture], base: Base, wants: Wants) -> None:
    multiple = base.family.multiple
    for picture in pictures:
        if any(side % multiple for side in picture.bucket):
            height, width = picture.bucket
            sides, needed = f"{width} x {height}", f"{base.family.name} needs sides divisible by {multiple}"
            raise DatasetError(f"{picture.file} was prepared at {sides}, {needed}: prepare the dataset again")
        if wants.generic and picture.generic is None:
            message = f"prior preservation needs captions without the trigger, and dataset '{dataset.folder}' has no trigger"
            raise DatasetError(f"{message}: set dataset.trigger, or prior_weight to 0")


def _content(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise _gone(path, error) from error


def _gone(path: Path, error: OSError) -> DatasetError:
    return DatasetError(f"prepared picture '{path}' cannot be read ({type(error).__name__}): prepare the dataset again")
