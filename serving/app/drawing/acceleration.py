"""What makes steps cheaper: compiled blocks (the same pictures), a first-block cache and weights in eight bits (like pictures)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from ..runner.logs import told
from ..settings import Acceleration, Base
from .compile_cache import cache_key, platform_cache
from .first_block import BLOCKS, FirstBlockCache

if TYPE_CHECKING:
    import torch

_RECOMPILES = 64  # kinds of calls (one picture or more, sizes) that are compiled before the rest runs as it was written


def accelerate(denoiser: "torch.nn.Module", how: Acceleration, *, device: "torch.device", dtype: "torch.dtype") -> "Accelerated":
    """Prepare a denoiser that has its adapter fused and is on its device. Raises SettingsError where it can not be done."""
    if how.fp8:
        _keep_in_eight_bits(denoiser, dtype)
    cache = FirstBlockCache(denoiser, how.first_block_cache) if how.first_block_cache else None
    wanted = how.compile == "on" or (how.compile == "auto" and device.type == "cuda" and not how.fp8)
    return Accelerated(denoiser, cache, compiled=wanted and _compile(denoiser))


class Accelerated:
    """A denoiser as accelerate() has prepared it.

    alone: pictures must be drawn one a call, since what is left out is decided for all pictures of a call together.
    """

    def __init__(self, denoiser: "torch.nn.Module", cache: FirstBlockCache | None, *, compiled: bool) -> None:
        self._denoiser, self._cache, self.compiled = denoiser, cache, compiled
        self.alone = cache is not None

    def call(self) -> AbstractContextManager[None]:
        """Around each call of the pipeline."""
        return self._cache.call() if self._cache else nullcontext()

    def start(self, draw: Callable[[], None], *, base: Base) -> None:
        """Draw the first pictures, by which blocks are compiled; where that fails, a line says so and they run as written."""
        if not self.compiled:
            draw()
            return
        import torch._dynamo

        weight = next(self._denoiser.parameters())
        kind = f"{type(self._denoiser).__name__} {weight.dtype} {'cached' if self._cache else 'whole'}"
        on_platform = weight.device.type == "cuda"  # code for one CPU may not run on another
        try:
            with platform_cache(cache_key(base, kind=kind)) if on_platform else nullcontext():
                draw()
                if self._cache:
                    draw()  # a cache that was emptied is another case to the compiler than a new one
        except Exception as error:
            _take_back(self._denoiser)
            self.compiled = False
            told("not_compiled", error=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
            draw()  # whatever is wrong beside compiling fails here again, and stops the start
            return
        torch._dynamo.config.suppress_errors = True  # a later shape that can not be compiled runs as it was written


def _keep_in_eight_bits(denoiser: Any, dtype: "torch.dtype") -> None:
    """Weights of linear layers and convolutions as float8_e4m3fn, each cast to `dtype` while it runs; norms and embeddings stay."""
    import torch

    denoiser.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)


def _compile(denoiser: Any) -> bool:
    """Have the repeated blocks compiled when they first run, once for all sizes; whether there are any."""
    import torch._dynamo

    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, _RECOMPILES)
    if getattr(denoiser, "_repeated_blocks", None):
        denoiser.compile_repeated_blocks(dynamic=True)
        return True
    blocks = list(_blocks(denoiser))
    for block in blocks:
        block.compile(dynamic=True)
    if not blocks:
        told("not_compiled", error=f"nothing is known of the blocks of {type(denoiser).__name__}")
    return bool(blocks)


def _blocks(denoiser: Any) -> Iterator["torch.nn.Module"]:
    """Blocks of a denoiser of which diffusers does not say what it repeats."""
    row = BLOCKS.get(type(denoiser).__name__)
    for name in row.lists if row else ():
        yield from getattr(denoiser, name)


def _take_back(denoiser: "torch.nn.Module") -> None:
    for module in denoiser.modules():
        module._compiled_call_impl = None
