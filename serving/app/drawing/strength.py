"""Other strengths than the fused one: the low-rank difference is added for one call and leaves no trace in the weights."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class LowRank:
    """One adapted layer and the two factors of its change: weight += scaling * up @ down at strength 1.

    Shapes: down (rank, in) and up (out, rank); of a convolution (rank, in, *kernel) and (out, rank, 1, ...).
    """

    layer: "torch.nn.Module"
    down: "torch.Tensor"
    up: "torch.Tensor"
    scaling: float


@contextmanager
def strength_added(parts: Sequence[LowRank], difference: float) -> Iterator[None]:
    """Run the layers at (fused strength + difference). The weights are not touched, so the way back is exact.

    Blocks that were compiled run as they were written meanwhile: compiled code does not see hooks that came after it.
    """
    if not difference:
        yield
        return
    import torch

    hooks = [part.layer.register_forward_hook(_adding(part, difference)) for part in parts]
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def merge(parts: Iterable[LowRank], strength: float) -> None:
    """Add the change at this strength to the weights, in float32 and layer by layer."""
    import torch

    with torch.no_grad():
        for part in parts:
            weight: Any = part.layer.weight
            down, up = (factor.to(weight.device, torch.float32).flatten(1) for factor in (part.down, part.up))
            weight.copy_(weight.float() + (up @ down).view_as(weight) * (part.scaling * strength))


def moved(parts: Iterable[LowRank], *, device: Any, dtype: Any) -> list[LowRank]:
    """The parts on another device, ready to run beside layers of this dtype."""
    return [replace(part, down=part.down.to(device, dtype), up=part.up.to(device, dtype)) for part in parts]


def _adding(part: LowRank, difference: float) -> Any:
    def add(_layer: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        change = _change(part, inputs[0].to(part.down.dtype))  # some layers get float32 beside halves
        return output + change.to(output.dtype) * (part.scaling * difference)

    return add


def _change(part: LowRank, given: "torch.Tensor") -> "torch.Tensor":
    from torch.nn import functional

    layer: Any = part.layer
    if part.down.ndim == 2:
        return functional.linear(functional.linear(given, part.down), part.up)
    return functional.conv2d(functional.conv2d(given, part.down, None, layer.stride, layer.padding, layer.dilation), part.up)
