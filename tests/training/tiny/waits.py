"""What a denoiser's own forward reads back from the device, where an accelerator makes Python wait.

`python -m tests.training.tiny.waits` prints it for every family.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.training.tiny.questions import CAPTIONS, denoiser_of, fresh_latents, fresh_timesteps, recorded
from training.adapter import inject
from training.denoise import predict
from training.families import FAMILIES

READS = ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__")
SIZED_BY_VALUES = (
    "nonzero",
    "masked_select",
    "unique",
    "_unique2",
    "bincount",
    "repeat_interleave",
)  # their results' shapes are read


def waits(name: str) -> Counter[str]:
    """Operation -> times in one forward of the tiny denoiser with a LoRA in it, as training calls it."""
    denoiser, family = copy.deepcopy(denoiser_of(name)), FAMILIES[name]
    inject(denoiser, family, rank=2, alpha=2.0, seed=0)
    question = fresh_latents(name, 1), fresh_timesteps(name, 1), recorded(name, CAPTIONS[1])
    seen: Counter[str] = Counter()
    with _reads(seen), _Shapes(seen):
        predict(denoiser, family, *question)
    return seen


class _Shapes(TorchDispatchMode):
    """Counts operations whose result's shape depends on values."""

    def __init__(self, seen: Counter[str]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("index", "index_put", "index_put_", "_index_put_impl_") and _by_mask(args[1]):
            self.seen["mask as index"] += 1
        elif name in SIZED_BY_VALUES and "output_size" not in (kwargs or {}):
            self.seen[name] += 1
        return func(*args, **(kwargs or {}))


def _by_mask(indices: Any) -> bool:
    return any(isinstance(index, Tensor) and index.dtype == torch.bool for index in indices)


@contextmanager
def _reads(seen: Counter[str]) -> Iterator[None]:
    def counting(name: str) -> Any:
        plain = getattr(Tensor, name)

        def read(tensor: Tensor, *args: Any, **options: Any) -> Any:
            seen[name] += 1
            return plain(tensor, *args, **options)

        return read

    with patch.multiple(Tensor, **{name: counting(name) for name in READS}):
        yield


def cell(counts: Counter[str]) -> str:
    """As a cell of docs/families.md: the operations, without how often, which grows with the layers."""
    return ", ".join(f"`{name}`" for name in sorted(counts)) or "nothing"


if __name__ == "__main__":
    for each in FAMILIES:
        print(f"{each:16} {dict(waits(each))}")
