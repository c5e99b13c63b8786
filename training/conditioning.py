"""What a caption is to the denoiser: the arguments recorded from the pipeline, as a tree that can be cached and batched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from training.errors import BaseModelError
from training.families import Family

Node = Any  # Tensor | None | bool | int | float | str | list[Node] | tuple[Node, ...] | dict[str, Node]

SCHEMA = "lorasmith/conditioning/3"


class ReplayError(BaseModelError):
    """A pipeline's call to its denoiser can not be recorded, stored, batched or replayed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wiring:
    """How a pipeline calls its denoiser, found by probing it; see `wiring.probe`."""

    latents: str  # argument that carries them
    as_list: bool  # one tensor a picture rather than one a batch
    extra_axis: int | None  # axis of size one that the denoiser's latents have and the scheduler's lack
    timestep: str  # argument that carries it
    clock: str  # how it is written, a key of `wiring.CLOCKS`
    clock_count: int  # training timesteps of the scheduler
    clock_cast: Literal["before", "after"]  # rounded to clock_dtype before or after the clock's arithmetic
    clock_dtype: str
    sign: int  # of the answer, on its way to the scheduler
    kept: Literal["all", "first", "last"]  # part of the answer along axis 1, as long as the latents, that is the prediction
    batched: Mapping[str, int]  # path of an argument with one entry a picture -> its batch axis; others are shared by a bucket


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditioning:
    """All that the denoiser is given besides latents and timestep, for one caption or for a batch of them."""

    family: str
    wiring: Wiring
    shift: float  # of the noise levels when inference draws a picture of this size; 1 leaves them as they are
    arguments: Mapping[str, Node]
    parts: tuple[Conditioning, ...] = ()  # in place of arguments: a batch whose captions cannot share a call of the denoiser

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the recorded text states, which is the denoiser's."""
        if self.parts:
            return self.parts[0].dtype
        return next(leaf.dtype for _, leaf in _leaves(dict(self.arguments)) if leaf.is_floating_point() and leaf.dim() > 1)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by path, contiguous: ready for safetensors beside `layout()`."""
        return {path: leaf.detach().contiguous() for path, leaf in _leaves(dict(self.arguments))}

    def layout(self) -> dict[str, Any]:
        """Everything but the tensors, as JSON."""
        return {
            "schema": SCHEMA,
            "family": self.family,
            "wiring": asdict(self.wiring),
            "shift": self.shift,
            "arguments": {name: _described(node, name) for name, node in self.arguments.items()},
        }

    @classmethod
    def load(cls, tensors: Mapping[str, Tensor], layout: Mapping[str, Any]) -> Conditioning:
        """The inverse of `tensors()` and `layout()`."""
        if layout.get("schema") != SCHEMA:
            raise ReplayError(
                f"cached conditioning has schema {layout.get('schema')!r}, expected {SCHEMA!r}: delete the cache and encode again"
            )
        arguments = {name: _restored(node, tensors) for name, node in layout["arguments"].items()}
        return cls(family=layout["family"], wiring=Wiring(**layout["wiring"]), shift=layout["shift"], arguments=arguments)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Conditioning:
        """The same on another device; `dtype` changes floating-point tensors only."""

        def moved(leaf: Tensor) -> Tensor:
            return leaf.to(device=device, dtype=dtype if leaf.is_floating_point() else None)

        parts = tuple(part.to(device, dtype) for part in self.parts)
        return replace(self, arguments={name: mapped(node, moved) for name, node in self.arguments.items()}, parts=parts)


def collate(conditionings: Sequence[Conditioning], family: Family) -> Conditioning:
    """One conditioning for a batch of pictures of one bucket.

    Captions of different lengths are lists where the family takes lists, and padded with a mask where it takes masks
    (`Family.padded`), or go through the denoiser one after another where it takes neither (`Family.ragged`); other families
    pad every caption to one length while encoding, so lengths never differ.
    """
    first = conditionings[0]
    for other in conditionings[1:]:
        if (other.family, other.wiring) != (first.family, first.wiring):
            raise ReplayError("a batch mixes conditioning of two bases: delete the cache and encode again")
    if family.ragged and len({_shapes(item) for item in conditionings}) > 1:
        return replace(first, arguments={}, parts=tuple(conditionings))
    rows = [dict(item.arguments) for item in conditionings]
    masks = {}
    for text, mask in family.padded.items():
        masks[mask] = _pad(rows, text, mask)
    arguments = {name: _joined([row[name] for row in rows], name, first.wiring.batched) for name in rows[0] if name not in masks}
    return replace(first, arguments={**arguments, **masks})


def batched_paths(one: Node, two: Node, path: str) -> Iterator[tuple[str, int]]:
    """Paths whose entries double when one picture becomes two, each with the axis that does."""
    if isinstance(one, dict):
        for key in one:
            yield from batched_paths(one[key], two[key], f"{path}.{key}")
    elif isinstance(one, Tensor):
        if one.shape != two.shape:
            yield path, _doubled_axis(one, two, path)
    elif isinstance(one, (list, tuple)) and one:
        if len(two) == 2 * len(one):
            yield path, 0
        else:
            for index, (left, right) in enumerate(zip(one, two, strict=True)):
                yield from batched_paths(left, right, f"{path}.{index}")


def _doubled_axis(one: Tensor, two: Tensor, path: str) -> int:
    axes = [axis for axis, size in enumerate(one.shape) if two.shape == (*one.shape[:axis], 2 * size, *one.shape[axis + 1 :])]
    if len(axes) != 1:
        raise ReplayError(f"argument {path!r} is {tuple(one.shape)} for a picture, {tuple(two.shape)} for two: no way to batch it")
    return axes[0]


def same(left: Node, right: Node) -> bool:
    """Whether two trees are equal bit for bit."""
    if type(left) is not type(right):
        return False
    if isinstance(left, Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def mapped(node: Node, function: Any) -> Node:
    """The tree with `function` applied to each of its tensors."""
    if isinstance(node, Tensor):
        return function(node)
    if isinstance(node, dict):
        return {key: mapped(value, function) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(mapped(value, function) for value in node)
    return node


def _shapes(item: Conditioning) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(leaf.shape) for _, leaf in _leaves(dict(item.arguments)))


def _pad(rows: list[dict[str, Node]], text: str, mask: str) -> Tensor | None:
    """Pad `text` with zeros to the longest of `rows`, in place; the mask, or None where nothing is masked. Reads no tensor."""
    longest = max(row[text].shape[1] for row in rows)
    unmasked = all(row[mask] is None and row[text].shape[1] == longest for row in rows)
    kept = [
        row[mask].bool() if row[mask] is not None else row[text].new_ones(row[text].shape[:2], dtype=torch.bool) for row in rows
    ]
    for row in rows:
        row[text] = torch.nn.functional.pad(row[text], (0, 0, 0, longest - row[text].shape[1]))
    whole = torch.cat([torch.nn.functional.pad(one, (0, longest - one.shape[1])) for one in kept])
    return None if unmasked else whole


def _joined(nodes: list[Node], path: str, batched: Mapping[str, int]) -> Node:
    first = nodes[0]
    if path in batched:
        if not isinstance(first, Tensor):
            return type(first)(entry for node in nodes for entry in node)
        if len({node.movedim(batched[path], 0).shape[1:] for node in nodes}) > 1:
            shapes = sorted({tuple(node.shape) for node in nodes})
            raise ReplayError(f"argument {path!r} has shapes {shapes} in one batch: batch pictures of one bucket only")
        return torch.cat(nodes, dim=batched[path])
    if isinstance(first, dict):
        return {key: _joined([node[key] for node in nodes], f"{path}.{key}", batched) for key in first}
    if isinstance(first, (list, tuple)) and any(name.startswith(f"{path}.") for name in batched):
        return type(first)(_joined(list(rows), f"{path}.{index}", batched) for index, rows in enumerate(zip(*nodes, strict=True)))
    if not all(same(first, node) for node in nodes[1:]):
        raise ReplayError(f"argument {path!r} differs within one batch and has no batch axis: batch pictures of one bucket only")
    return first


def _leaves(node: Node, path: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(node, Tensor):
        yield path, node
    elif isinstance(node, (dict, list, tuple)):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _leaves(value, f"{path}.{key}" if path else str(key))


def _described(node: Node, path: str) -> dict[str, Any]:
    if isinstance(node, Tensor):
        return {"tensor": path}
    if isinstance(node, dict):
        return {"dict": {key: _described(value, f"{path}.{key}") for key, value in node.items()}}
    if isinstance(node, (list, tuple)):
        kind = "list" if isinstance(node, list) else "tuple"
        return {kind: [_described(value, f"{path}.{index}") for index, value in enumerate(node)]}
    if node is None or isinstance(node, (bool, int, float, str)):
        return {"value": node}
    raise ReplayError(f"argument {path!r} is a {type(node).__name__}, which can not be cached as tensors and JSON")


def _restored(node: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Node:
    ((kind, content),) = node.items()
    match kind:
        case "tensor":
            return tensors[content]
        case "dict":
            return {key: _restored(value, tensors) for key, value in content.items()}
        case "list":
            return [_restored(value, tensors) for value in content]
        case "tuple":
            return tuple(_restored(value, tensors) for value in content)
    return content
