"""Regional compilation: the blocks that a denoiser repeats are compiled once for every token count, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from training.config import TrainConfig
from training.errors import ConfigError


def compile_where_it_pays(denoiser: nn.Module, config: TrainConfig, *, device: str, shapes: int) -> bool:
    """Compile as config.compile says; auto: on a GPU, where the denoiser repeats blocks. Whether it was compiled."""
    if config.compile == "off" or (config.compile == "auto" and device != "cuda"):
        return False
    try:
        compile_blocks(denoiser, shapes=shapes)
    except ConfigError:
        if config.compile == "on":
            raise
        return False
    return True


def compile_blocks(denoiser: nn.Module, *, shapes: int, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile the repeated blocks of a denoiser in place, for `shapes` token counts at most; its names and weights stay.

    The blocks that diffusers names where it does, else every stack of blocks of one kind.
    Raises ConfigError for a denoiser without either.
    """
    import torch._dynamo

    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 4 * shapes)  # else silently not compiled
    how = {"dynamic": False, "backend": backend}
    if getattr(denoiser, "_repeated_blocks", None):
        denoiser.compile_repeated_blocks(**how)  # type: ignore[operator]
        return
    stacks = _stacks(denoiser)
    if not stacks:
        message = f"compile: {type(denoiser).__name__} repeats no block that could be compiled once for all"
        raise ConfigError(f"{message}: set compile: off")
    for block in (block for stack in stacks for block in stack):
        block.compile(**how)


def _stacks(module: nn.Module) -> list[nn.ModuleList]:
    """The outermost lists of blocks of one kind, as accelerate finds them."""
    from accelerate.utils.other import is_repeated_blocks

    if is_repeated_blocks(module):
        return [module]  # type: ignore[list-item]
    return [stack for child in module.children() for stack in _stacks(child)]
