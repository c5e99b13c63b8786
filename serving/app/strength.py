"""Other strengths than the fused one: the low-rank difference is added for one request and leaves no trace in the weights."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import SettingsError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class LowRank:
    """One adapted layer and the two factors of its change: output += scaling * up(down(input)) at strength 1."""

    layer: "torch.nn.Module"
    down: "torch.nn.Module"
    up: "torch.nn.Module"
    scaling: float


def low_rank_parts(model: "torch.nn.Module") -> list[LowRank]:
    """The low-rank parts of the one adapter that peft has put into `model`, kept for after it was fused and removed."""
    from peft.tuners.lora import LoraLayer

    return [_part(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer) and module.scaling]


@contextmanager
def strength_added(parts: Sequence[LowRank], difference: float) -> Iterator[None]:
    """Run the layers at (fused strength + difference). The weights are not touched, so the way back is exact."""
    hooks = [part.layer.register_forward_hook(_adding(part, difference)) for part in parts] if difference else []
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def moved(parts: Iterable[LowRank], *, device: Any, dtype: Any) -> list[LowRank]:
    """The parts on another device, ready to run beside layers of this dtype."""
    return [LowRank(layer=p.layer, down=p.down.to(device, dtype), up=p.up.to(device, dtype), scaling=p.scaling) for p in parts]


def _part(name: str, module: Any) -> LowRank:
    (adapter, scaling), *others = module.scaling.items()
    if others or adapter not in module.lora_A or adapter in getattr(module, "lora_magnitude_vector", ()):
        raise SettingsError(f"layer {name} has an adapter that is no plain LoRA (one pair of low-rank factors): export it as one")
    return LowRank(layer=module.base_layer, down=module.lora_A[adapter], up=module.lora_B[adapter], scaling=float(scaling))


def _adding(part: LowRank, difference: float) -> Any:
    def add(_layer: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        change = part.up(part.down(inputs[0].to(part.down.weight.dtype)))  # some layers get float32 beside halves
        return output + change.to(output.dtype) * (part.scaling * difference)

    return add
