"""Pictures and captions as tensors, encoded once: files named by the hash of all that decides their content."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from training.base import Base
from training.conditioning import Conditioning, Wiring
from training.config import identity
from training.data.manifest import Dataset, Picture
from training.denoise import probe, record
from training.errors import DatasetError
from training.latents import encode

SCHEMA = "lorasmith/cache/1"
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A picture ready for the loop: its latents (step layout, no batch axis) and its caption's conditioning.

    Latents are the mode of the VAE's posterior: where its variance was trained it is negligible, and where it was not
    (a VAE used as a plain autoencoder) a sample would be noise.
    """

    latents: Tensor
    conditioning: Conditioning
    bucket: tuple[int, int]
    caption: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """Examples in the order of the pictures, and how many encodings were made rather than found."""

    examples: tuple[Example, ...]
    latents_made: int
    conditioning_made: int


def encode_pictures(
    dataset: Dataset, pictures: Sequence[Picture], pipe: Any, base: Base, folder: Path, *, progress: Progress | None = None
) -> Encoding:
    """Each picture and caption from the cache in `folder`, or encoded with `pipe` (on its device) and put there."""
    _check_sides(pictures, base)
    encoder = _Encoder(pipe=pipe, base=base, folder=folder, precision=str(getattr(pipe, base.family.denoiser).dtype))
    examples = []
    for number, picture in enumerate(pictures, start=1):
        latents = encoder.latents(picture, dataset.folder / picture.path)
        conditioning = encoder.conditioning(picture)
        examples.append(Example(latents=latents, conditioning=conditioning, bucket=picture.bucket, caption=picture.caption))
        if progress:
            progress(number, len(pictures))
    return Encoding(examples=tuple(examples), latents_made=encoder.latents_made, conditioning_made=encoder.conditioning_made)


def load_pixels(path: Path) -> Tensor:
    """A prepared picture as [3, H, W] in [-1, 1]."""
    try:
        with Image.open(path) as picture:
            values = np.asarray(picture.convert("RGB"), dtype=np.float32)
    except OSError as error:
        raise DatasetError(
            f"prepared picture '{path}' cannot be read ({type(error).__name__}): prepare the dataset again"
        ) from error
    return torch.from_numpy(values).permute(2, 0, 1) / 127.5 - 1


class _Encoder:
    def __init__(self, *, pipe: Any, base: Base, folder: Path, precision: str) -> None:
        self.pipe, self.base, self.folder = pipe, base, folder
        self.latents_made = self.conditioning_made = 0
        self._wiring: Wiring | None = None
        self._pictures = identity([SCHEMA, "latents", base.encoders_sha256("latents"), precision])
        self._captions = identity([SCHEMA, "conditioning", base.encoders_sha256("conditioning"), precision])

    def latents(self, picture: Picture, path: Path) -> Tensor:
        place = self._place("latents", identity([self._pictures, picture.sha256, picture.bucket]))
        found = _read(place)
        if found is None:
            latents = encode(self.pipe, self.base.family, load_pixels(path)[None])
            found = _write(place, {"latents": latents[0]}, {})
            self.latents_made += 1
        tensors, _ = found
        return tensors["latents"]

    def conditioning(self, picture: Picture) -> Conditioning:
        place = self._place("conditioning", identity([self._captions, picture.caption, picture.bucket]))
        found = _read(place)
        if found is None:
            height, width = picture.bucket
            self._wiring = self._wiring or probe(self.pipe, self.base.family, height, width)
            recorded = record(self.pipe, self.base.family, picture.caption, height, width, wiring=self._wiring)
            found = _write(place, recorded.tensors(), recorded.layout())
            self.conditioning_made += 1
        return Conditioning.load(*found)

    def _place(self, kind: str, key: str) -> Path:
        return self.folder / kind / key[:2] / f"{key}.safetensors"


def _check_sides(pictures: Sequence[Picture], base: Base) -> None:
    multiple = base.family.multiple
    for picture in pictures:
        if any(side % multiple for side in picture.bucket):
            height, width = picture.bucket
            sides, needed = f"{width} x {height}", f"{base.family.name} needs sides divisible by {multiple}"
            raise DatasetError(f"{picture.file} was prepared at {sides}, {needed}: prepare the dataset again")


def _read(place: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    if not place.is_file():
        return None
    try:
        with safe_open(place, framework="pt") as file:
            layout = json.loads((file.metadata() or {})["layout"])
            return {name: file.get_tensor(name) for name in file.keys()}, layout  # noqa: SIM118 (not a dict)
    except (SafetensorError, KeyError, ValueError):
        return None  # damaged by a full disk or by hand: encoded again, and written over


def _write(place: Path, tensors: dict[str, Tensor], layout: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    place.parent.mkdir(parents=True, exist_ok=True)
    here = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    save_file(here, part, metadata={"layout": json.dumps(layout, sort_keys=True)})
    os.replace(part, place)
    return here, layout
