"""A LoRA as pairs of matrices by module, and what it takes to write several modules as one that holds their rows side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from training.errors import AdapterError


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """The update up @ down * alpha / rank of one module: down [rank, in, ...], up [out, rank, ...]."""

    down: Tensor
    up: Tensor
    alpha: float

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    def equals(self, other: Pair) -> bool:
        """Bit for bit, and at the same strength."""
        return torch.equal(self.down, other.down) and torch.equal(self.up, other.up) and self.scale == other.scale


Lora = Mapping[str, Pair]  # by module name in diffusers


def different(one: Lora, other: Lora) -> list[str]:
    """Modules that only one of the two has, or that are not bit-equal and equally strong in both."""
    return sorted(name for name in {*one, *other} if name not in one or name not in other or not one[name].equals(other[name]))


def joined(parts: Sequence[Pair | None], rows: Sequence[int]) -> Pair:
    """One pair for a matrix whose rows are those of `parts`, `rows` each: downs stacked, ups on the diagonal, None as zeros.

    Raises AdapterError for parts of unlike rank or strength, which one pair cannot hold.
    """
    known = [part for part in parts if part is not None]
    first = known[0]
    if {(part.rank, part.scale) for part in known} != {(first.rank, first.scale)}:
        raise AdapterError("modules that the original checkpoint holds as one matrix have unlike rank or alpha here")
    down = torch.cat([torch.zeros_like(first.down) if part is None else part.down for part in parts])
    up = first.up.new_zeros(sum(rows), first.rank * len(parts))
    for place, (part, (top, bottom)) in enumerate(zip(parts, _bounds(rows), strict=True)):
        if part is not None:
            up[top:bottom, place * first.rank : (place + 1) * first.rank] = part.up
    return Pair(down=down, up=up, alpha=first.alpha * len(parts))


def parted(pair: Pair, rows: Sequence[int]) -> list[Pair | None]:
    """The inverse of `joined`: a pair for each part, None for one that is zero; a pair that is not diagonal goes whole to each."""
    count, ups = len(rows), [pair.up[top:bottom] for top, bottom in _bounds(rows)]
    rank = pair.rank // count
    if pair.rank % count or not _is_diagonal(ups, rank):
        return [Pair(down=pair.down.clone(), up=up.clone(), alpha=pair.alpha) for up in ups]
    blocks = [slice(place * rank, (place + 1) * rank) for place in range(count)]
    cut = [
        Pair(down=pair.down[block].clone(), up=up[:, block].clone(), alpha=pair.alpha / count)
        for block, up in zip(blocks, ups, strict=True)
    ]
    return [part if part.down.any() or part.up.any() else None for part in cut]


def _is_diagonal(ups: Sequence[Tensor], rank: int) -> bool:
    return all(not up[:, : place * rank].any() and not up[:, (place + 1) * rank :].any() for place, up in enumerate(ups))


def _bounds(rows: Sequence[int]) -> list[tuple[int, int]]:
    """First row of each part and the one after its last."""
    return list(pairwise(accumulate(rows, initial=0)))
