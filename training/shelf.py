"""Prepared pictures of a dataset, opened when they are looked at: a large dataset does not fill the memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

from PIL import Image

from training.data.manifest import Dataset, Picture


class Shelf(Sequence[Image.Image]):
    """The pictures of one split, in order."""

    def __init__(self, dataset: Dataset, split: Literal["train", "held_out"]) -> None:
        self._folder, self._pictures = dataset.folder, dataset.split(split)

    @property
    def names(self) -> list[str]:
        """What the pictures are called in reports."""
        return [picture.file for picture in self._pictures]

    def __len__(self) -> int:
        return len(self._pictures)

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...

    @overload
    def __getitem__(self, index: slice) -> list[Image.Image]: ...

    def __getitem__(self, index: int | slice) -> Image.Image | list[Image.Image]:
        if isinstance(index, slice):
            return [self._opened(picture) for picture in self._pictures[index]]
        return self._opened(self._pictures[index])

    def _opened(self, picture: Picture) -> Image.Image:
        with Image.open(self._folder / picture.path) as file:
            return file.convert("RGB")
