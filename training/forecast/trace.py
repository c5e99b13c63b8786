"""What one training step of a denoiser asks of a GPU, counted on the meta device: no weights, no arithmetic, no GPU.

The denoiser itself is run, adapter and all, so that nothing about a family has to be known here. Matrix products are counted by
the formulas of torch's FlopCounterMode, saved activations by `saved_tensors_hooks`, what lives at once by following every storage.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_ATTENTION_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """Counts of one step: floating point operations, and bytes beyond weights and optimizer."""

    forward_flops: int
    backward_flops: int
    block_flops: int  # the part of the forward that gradient checkpointing runs a second time
    saved_bytes: int  # what autograd keeps from forward to backward; each storage once, weights not counted
    kept_bytes: int  # the same under gradient checkpointing: inputs of the blocks, and what is saved outside of them
    largest_block_bytes: int  # saved inside one block, alive under checkpointing while that block is run again
    transient_bytes: int  # alive at the peak beyond what is saved: gradients and intermediates of a layer
    operations: int  # kernels, about: what bounds a step that is too small for its GPU

    def step_flops(self, *, checkpointing: bool) -> int:
        """Forward and backward; with checkpointing the blocks' forward twice."""
        return self.forward_flops + self.backward_flops + checkpointing * self.block_flops

    def activation_bytes(self, *, checkpointing: bool) -> int:
        """Peak of activations and gradients in a step."""
        kept = self.kept_bytes + self.largest_block_bytes if checkpointing else self.saved_bytes
        return kept + self.transient_bytes


def trace_step(denoiser: nn.Module, arguments: Mapping[str, Any]) -> Trace:
    """Forward and backward of a denoiser on the meta device for `arguments`, its whole call; leaves its gradients behind."""
    weights = _weights(denoiser)
    saved = _Saved(weights=weights)
    with _meter(weights) as meter:
        with saved_tensors_hooks(saved.note, lambda tensor: tensor):
            answer = _summed(denoiser(**arguments))
        forward, plain = meter.flops, saved.saved_bytes()
        saved.forget()
        answer.backward()  # type: ignore[no-untyped-call]
    blocks = _trace_blocks(denoiser, arguments)
    return Trace(
        forward_flops=forward,
        backward_flops=meter.flops - forward,
        block_flops=blocks.flops,
        saved_bytes=plain,
        kept_bytes=blocks.kept_bytes(),
        largest_block_bytes=blocks.largest_block_bytes(),
        transient_bytes=max(0, meter.peak - plain),
        operations=meter.operations,
    )


def trace_peak(module: nn.Module, run: Callable[[], Any]) -> int:
    """Bytes alive at once while `run` works with `module` without gradients on the meta device, its weights not counted."""
    with torch.no_grad(), _meter(_weights(module)) as meter:
        run()
    return meter.peak


@dataclass(kw_only=True, slots=True)
class _Saved:
    """Storages that autograd saves, by the checkpointed block they are saved in (None: outside of all)."""

    weights: frozenset[int]
    inside: dict[int | None, dict[int, Any]] = field(default_factory=lambda: {None: {}})
    taken: dict[int, Any] = field(default_factory=dict)  # by blocks, as their arguments
    block: int | None = None
    flops: int = 0  # within blocks

    def note(self, tensor: Tensor) -> Tensor:
        self._keep(tensor, self.inside.setdefault(self.block, {}))
        return tensor

    def take(self, tensor: Tensor) -> None:
        self._keep(tensor, self.taken)

    def saved_bytes(self) -> int:
        return _bytes({key: storage for kept in self.inside.values() for key, storage in kept.items()})

    def kept_bytes(self) -> int:
        return _bytes(self.inside[None] | self.taken)

    def largest_block_bytes(self) -> int:
        kept = self.inside[None] | self.taken
        return max((_bytes(inner, without=kept) for part, inner in self.inside.items() if part is not None), default=0)

    def forget(self) -> None:
        self.inside.clear()

    def _keep(self, tensor: Tensor, where: dict[int, Any]) -> None:
        if _key(tensor) not in self.weights:
            where[_key(tensor)] = tensor.untyped_storage()  # held, so that its key stays unique


def _trace_blocks(denoiser: Any, arguments: Mapping[str, Any]) -> _Saved:
    """A forward in which the blocks that diffusers would checkpoint run as they are; what they take and save is noted."""
    saved = _Saved(weights=_weights(denoiser))
    with _meter(saved.weights) as meter:

        def noted(block: Callable[..., Any], *inputs: Any) -> Any:
            if saved.block is not None:  # a block within a block is run again with it
                return block(*inputs)
            before, saved.block = meter.flops, len(saved.inside)
            try:
                return block(*inputs)
            finally:
                if saved.block in saved.inside:  # else no gradient passes, and nothing is run again
                    saved.flops += meter.flops - before
                    for leaf in tree_flatten(inputs)[0]:
                        if isinstance(leaf, Tensor):
                            saved.take(leaf)
                saved.block = None

        with _checkpointed_by(denoiser, noted), saved_tensors_hooks(saved.note, lambda tensor: tensor):
            _summed(denoiser(**arguments))
    return saved


@contextmanager
def _checkpointed_by(denoiser: Any, function: Callable[..., Any]) -> Iterator[None]:
    if not getattr(denoiser, "_supports_gradient_checkpointing", False):
        yield
        return
    denoiser.enable_gradient_checkpointing(function)
    try:
        yield
    finally:
        denoiser.disable_gradient_checkpointing()


@contextmanager
def _meter(weights: frozenset[int]) -> Iterator[_Meter]:
    with _autocast_of_meta(), _AsOnAGpu(), _Meter(weights) as meter, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mismatch dtype between input and weight")  # which kernel runs here says nothing of a GPU
        yield meter


@contextmanager
def _autocast_of_meta() -> Iterator[None]:
    """torch.autocast knows no meta device, not even to be off there: the CPU's, which leaves meta tensors alone, stands in."""
    known = torch.autocast

    def autocast(device_type: str, **options: Any) -> torch.autocast:
        return known("cpu" if device_type == "meta" else device_type, **options)

    torch.autocast = autocast  # type: ignore[assignment,misc]
    try:
        yield
    finally:
        torch.autocast = known  # type: ignore[misc]


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows every storage on the meta device from birth to death; tensors of real numbers join meta ones without them."""

    def __init__(self, weights: frozenset[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = self.peak = self.operations = self.flops = 0
        self._known = dict.fromkeys(weights)
        self._twins: dict[int, tuple[Any, Any]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        options = options or {}
        leaves = [leaf for leaf in tree_flatten((arguments, options))[0] if isinstance(leaf, Tensor)]
        if function is torch.ops.aten._to_copy.default and _is_meta(options.get("device")):
            if not leaves[0].is_meta and options.get("dtype") in (None, leaves[0].dtype):
                return leaves[0] if _is_few_numbers(leaves[0]) else self._twin(leaves[0])  # on one device this would be no copy
        elif any(leaf.is_meta for leaf in leaves) and not all(leaf.is_meta for leaf in leaves):
            arguments, options = tree_map_only(Tensor, self._twin, (arguments, options))
        answer = function(*arguments, **options)
        self.operations += not function.is_view
        formula = _FORMULAS.get(function.overloadpacket)
        if formula:
            self.flops += formula(*arguments, **options, out_val=answer)
        for leaf in tree_flatten(answer)[0]:
            if isinstance(leaf, Tensor) and leaf.is_meta:
                self._follow(leaf.untyped_storage())
        return answer

    def _twin(self, tensor: Tensor) -> Tensor:
        """The tensor on the meta device; views of one storage stay views of one storage."""
        if tensor.is_meta:
            return tensor
        storage = tensor.untyped_storage()  # held, so that its key stays unique
        made = torch.UntypedStorage(storage.nbytes(), device="meta")  # type: ignore[no-untyped-call]
        _, twin = self._twins.setdefault(_key(tensor), (storage, made))
        return torch.empty(0, dtype=tensor.dtype, device="meta").set_(twin, tensor.storage_offset(), tensor.size(), tensor.stride())

    def _follow(self, storage: Any) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()

        def died() -> None:
            self.alive -= size
            del self._known[key]

        weakref.finalize(storage, died)
        self._known[key] = None
        self.alive += size
        self.peak = max(self.peak, self.alive)


class _AsOnAGpu(TorchFunctionMode):
    """What the meta device does in another way: attention is fused, its scores never stored; numbers written out stay real."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        options = options or {}
        if function is torch.nn.functional.scaled_dot_product_attention:
            return _attention(*arguments, **options)
        if function is torch.tensor and _is_meta(options.get("device")):
            return function(*arguments, **{**options, "device": "cpu"})
        return function(*arguments, **options)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    if attn_mask is not None:
        attn_mask = attn_mask.to(query.dtype)
    if key.shape[1] != query.shape[1]:
        key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], 1) for part in (key, value))
    return _ATTENTION(query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale)[0]


def _attention_flops(query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))  # type: ignore[no-untyped-call]


def _attention_backward_flops(gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> int:
    """Twice the forward's: what the gradient needs, without the scores that a kernel computes again."""
    return 2 * int(sdpa_flop_count(query.shape, key.shape, value.shape))  # type: ignore[no-untyped-call]


_FORMULAS = {**flop_registry, _ATTENTION: _attention_flops, _ATTENTION_BACKWARD: _attention_backward_flops}


def _is_meta(device: Any) -> bool:
    return device is not None and torch.device(device).type == "meta"


def _is_few_numbers(tensor: Tensor) -> bool:
    """Sizes and lengths, which a denoiser may read back."""
    return not tensor.is_floating_point() and tensor.numel() <= 16


def _summed(answer: Any) -> Tensor:
    """A scalar that depends on the whole answer, however it is wrapped."""
    inner = answer[0] if isinstance(answer, tuple) else answer.sample
    whole = torch.stack(inner) if isinstance(inner, list) else inner
    return whole.float().square().mean()


def _weights(module: nn.Module) -> frozenset[int]:
    return frozenset(_key(tensor) for tensor in (*module.parameters(), *module.buffers()))


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _bytes(storages: Mapping[int, Any], without: Mapping[int, Any] | None = None) -> int:
    return sum(storage.nbytes() for key, storage in storages.items() if key not in (without or {}))
