"""Bytes that a run needs on its device, phase by phase: sums over counts of parameters and a traced step. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from training.forecast.trace import Trace

GIB = 2**30
WORKSPACE = 1.0 * GIB  # context, kernels and libraries of a GPU, and what its allocator cannot give out; stated, not measured

# Bytes a parameter that an optimizer keeps between steps, as its library documents it.
STATE_BYTES: Mapping[str, float] = {
    "adamw": 8,
    "adam": 8,
    "radam": 8,
    "sgd": 4,
    "adafactor": 0,  # a row and a column for each matrix
    "adamw8bit": 2,
    "paged-adamw8bit": 2,
    "lion8bit": 1,
    "prodigy": 16,
    "schedulefree": 8,
    "came": 4,
}

# Bytes a weight of a linear layer in a quantised base, scales included: nf4 in blocks of 64 with scales quantised again.
_QUANTISED: Mapping[str, float] = {"nf4": 0.5 + 1 / 64 + 4 / (64 * 256), "int8": 1.0, "fp8": 1.0}
_PLAIN: Mapping[str, int] = {"fp32": 4, "bf16": 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Parameters of a base's parts."""

    denoiser: int
    linear: int  # those of the denoiser's linear layers, which quantisation shrinks
    largest_linear: int
    adapter: int
    encoders: int
    autoencoder: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Bytes on the device, by what they are for."""

    weights: float  # the frozen denoiser
    adapter: float  # parameters, gradients and optimizer state, float32
    activations: float
    workspace: float
    encode: float  # the phase before: the whole base on the device, and the autoencoder at work

    @property
    def train(self) -> float:
        """Peak of the training phase."""
        return self.weights + self.adapter + self.activations + self.workspace

    @property
    def peak(self) -> float:
        """What the device must have for the whole run."""
        return max(self.train, self.encode)


def weight_bytes(counts: Counts, precision: str) -> float:
    """The denoiser's weights in a precision; what is not a linear layer stays bfloat16 in a quantised base."""
    if precision in _PLAIN:
        return counts.denoiser * _PLAIN[precision]
    return counts.linear * _QUANTISED[precision] + (counts.denoiser - counts.linear) * 2


def memory_of(
    counts: Counts, trace: Trace, *, precision: str, checkpointing: bool, optimizer: str, passes: int, autoencoder_bytes: int
) -> Memory:
    """Memory of a run. `trace` is of one of `passes` forward passes that a backward pass covers, in the computing precision."""
    weights = weight_bytes(counts, precision)
    wide = 2 if precision == "fp32" else 1  # traced in bfloat16; what is float32 there already is counted twice, on the safe side
    spread = 2 * counts.largest_linear if precision in _QUANTISED else 0  # a layer's weights, spread out while it works
    encoders = (counts.encoders + counts.autoencoder) * _PLAIN.get(precision, 2)
    return Memory(
        weights=weights,
        adapter=counts.adapter * (4 + 4 + STATE_BYTES[optimizer]),
        activations=wide * passes * trace.activation_bytes(checkpointing=checkpointing) + spread,
        workspace=WORKSPACE,
        encode=weights + encoders + wide * autoencoder_bytes + WORKSPACE,
    )
