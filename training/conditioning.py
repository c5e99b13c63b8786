"""What a caption is to the denoiser: the arguments recorded from the pipeline, as a tree that can be cached and batched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from training.errors import BaseModelError
from training.families import Family

Node = Any  # Tensor | None | bool | int | float | str | list[Node] | tuple[Node, ...] | dict[str, Node]

SCHEMA = "lorasmith/conditioning/1"


class ReplayError(BaseModelError):
    """A pipeline's call to its denoiser can not be recorded, stored, batched or replayed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wiring:
    """How a pipeline calls its denoiser, found by probing it; see `denoise.probe`."""

    latents: str  # argument that carries them
    as_list: bool  # one tensor a picture rather than one a batch
    extra_axis: int | None  # axis of size one that the denoiser's latents have and the scheduler's lack
    timestep: str  # argument that carries (shift + sign * t) / scale
    clock_sign: int
    clock_shift: int
    clock_scale: int
    clock_dtype: str
    sign: int  # of the answer, on its way to the scheduler
    batched: tuple[str, ...]  # paths of arguments with one entry a picture; the others are shared by a bucket


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditioning:
    """All that the denoiser is given besides latents and timestep, for one caption or for a batch of them."""

    family: str
    wiring: Wiring
    arguments: Mapping[str, Node]

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the recorded text states, which is the denoiser's."""
        return next(leaf.dtype for _, leaf in _leaves(dict(self.arguments)) if leaf.is_floating_point() and leaf.dim() > 1)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by path, contiguous: ready for safetensors beside `layout()`."""
        return {path: leaf.detach().contiguous() for path, leaf in _leaves(dict(self.arguments))}

    def layout(self) -> dict[str, Any]:
        """Everything but the tensors, as JSON."""
        return {
            "schema": SCHEMA,
            "family": self.family,
            "wiring": {**asdict(self.wiring), "batched": list(self.wiring.batched)},
            "arguments": {name: _described(node, name) for name, node in self.arguments.items()},
        }

    @classmethod
    def load(cls, tensors: Mapping[str, Tensor], layout: Mapping[str, Any]) -> Conditioning:
        """The inverse of `tensors()` and `layout()`."""
        if layout.get("schema") != SCHEMA:
            raise ReplayError(
                f"cached conditioning has schema {layout.get('schema')!r}, expected {SCHEMA!r}: delete the cache and encode again"
            )
        wiring = Wiring(**{**layout["wiring"], "batched": tuple(layout["wiring"]["batched"])})
        arguments = {name: _restored(node, tensors) for name, node in layout["arguments"].items()}
        return cls(family=layout["family"], wiring=wiring, arguments=arguments)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Conditioning:
        """The same on another device; `dtype` changes floating-point tensors only."""

        def moved(leaf: Tensor) -> Tensor:
            return leaf.to(device=device, dtype=dtype if leaf.is_floating_point() else None)

        return replace(self, arguments={name: mapped(node, moved) for name, node in self.arguments.items()})


def collate(conditionings: Sequence[Conditioning], family: Family) -> Conditioning:
    """One conditioning for a batch of pictures of one bucket.

    Captions of different lengths are lists where the family takes lists, and padded with a mask where it takes masks
    (`Family.padded`); other families pad every caption to one length while encoding, so lengths never differ.
    """
    first = conditionings[0]
    for other in conditionings[1:]:
        if (other.family, other.wiring) != (first.family, first.wiring):
            raise ReplayError("a batch mixes conditioning of two bases: delete the cache and encode again")
    rows = [dict(item.arguments) for item in conditionings]
    masks = {}
    for text, mask in family.padded.items():
        masks[mask] = _pad(rows, text, mask)
    arguments = {name: _joined([row[name] for row in rows], name, first.wiring.batched) for name in rows[0] if name not in masks}
    return replace(first, arguments={**arguments, **masks})


def batched_paths(one: Node, two: Node, path: str) -> Iterator[str]:
    """Paths whose entries double when one picture becomes two."""
    if isinstance(one, dict):
        for key in one:
            yield from batched_paths(one[key], two[key], f"{path}.{key}")
    elif isinstance(one, Tensor):
        if one.dim() and two.shape == (2 * one.shape[0], *one.shape[1:]):
            yield path
        elif one.shape != two.shape:
            raise ReplayError(
                f"argument {path!r} is {tuple(one.shape)} for a picture, {tuple(two.shape)} for two: no way to batch it"
            )
    elif isinstance(one, (list, tuple)) and one:
        if len(two) == 2 * len(one):
            yield path
        else:
            for index, (left, right) in enumerate(zip(one, two, strict=True)):
                yield from batched_paths(left, right, f"{path}.{index}")


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


def _pad(rows: list[dict[str, Node]], text: str, mask: str) -> Tensor | None:
    """Pad `text` with zeros to the longest of `rows`, in place; the mask, or None where nothing is masked."""
    longest = max(row[text].shape[1] for row in rows)
    kept = [
        row[mask].bool() if row[mask] is not None else row[text].new_ones(row[text].shape[:2], dtype=torch.bool) for row in rows
    ]
    for row in rows:
        row[text] = torch.nn.functional.pad(row[text], (0, 0, 0, longest - row[text].shape[1]))
    whole = torch.cat([torch.nn.functional.pad(one, (0, longest - one.shape[1])) for one in kept])
    return None if bool(whole.all()) else whole


def _joined(nodes: list[Node], path: str, batched: Sequence[str]) -> Node:
    first = nodes[0]
    if path in batched:
        if not isinstance(first, Tensor):
            return type(first)(entry for node in nodes for entry in node)
        if len({node.shape[1:] for node in nodes}) > 1:
            shapes = sorted({tuple(node.shape[1:]) for node in nodes})
            raise ReplayError(f"argument {path!r} has shapes {shapes} in one batch: batch pictures of one bucket only")
        return torch.cat(nodes)
    if isinstance(first, dict):
        return {key: _joined([node[key] for node in nodes], f"{path}.{key}", batched) for key in first}
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
