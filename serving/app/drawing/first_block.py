"""First-block cache: where a denoiser's first block answers almost as in the step before, its other blocks are not run again."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import SettingsError

if TYPE_CHECKING:
    import torch

_Answer = Literal["picture", "text, picture", "picture, text"]
_INDICES: Mapping[_Answer, tuple[int, int | None]] = {"picture": (0, None), "text, picture": (1, 0), "picture, text": (0, 1)}
_CLOCKS = ("timestep", "timesteps", "t")  # what denoisers call the argument that is the same for all calls of one step


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocks:
    """The blocks of a denoiser that may be left out.

    lists: its lists of them, in their order. answer: what each returns. kept: how many at the end always run.
    """

    lists: tuple[str, ...]
    answer: _Answer = "picture"
    kept: int = 0


_SINGLE = Blocks(lists=("single_transformer_blocks",))  # those before work on picture and text apart
_BOTH = Blocks(lists=("transformer_blocks", "single_transformer_blocks"), answer="text, picture")
_PLAIN = Blocks(lists=("transformer_blocks",))
_LAYERS = Blocks(lists=("layers",))

# Denoisers that a test has seen draw the same picture with a cache that is never used, and one that is like it with fewer blocks.
BLOCKS: Mapping[str, Blocks] = {
    "AuraFlowTransformer2DModel": _SINGLE,
    "ChromaTransformer2DModel": _SINGLE,
    "CogView4Transformer2DModel": Blocks(lists=("transformer_blocks",), answer="picture, text"),
    "ErnieImageTransformer2DModel": _LAYERS,
    "Flux2Transformer2DModel": _SINGLE,
    "FluxTransformer2DModel": _BOTH,
    "HiDreamImageTransformer2DModel": Blocks(lists=("single_stream_blocks",)),
    "Kandinsky5Transformer3DModel": Blocks(lists=("visual_transformer_blocks",)),
    "Krea2Transformer2DModel": _PLAIN,
    "LongCatImageTransformer2DModel": _BOTH,
    "Lumina2Transformer2DModel": _LAYERS,
    "OvisImageTransformer2DModel": _BOTH,
    "PixArtTransformer2DModel": _PLAIN,
    "QwenImageTransformer2DModel": Blocks(lists=("transformer_blocks",), answer="text, picture"),
    "SD3Transformer2DModel": Blocks(lists=("transformer_blocks",), answer="text, picture", kept=1),  # the last has no text
    "SanaTransformer2DModel": _PLAIN,
    "ZImageTransformer2DModel": _LAYERS,
}
_UNFIT = {
    "UNet2DConditionModel": "a UNet halves and doubles its picture from block to block, so no first block speaks for the others",
    "QwenImage21Transformer2DModel": "its blocks keep keys and values of the first step, so later steps answer in another shape",
}


def why_not(denoiser: str) -> str | None:
    """Why a denoiser of this class can have no first-block cache; None where it can."""
    if denoiser in BLOCKS:
        return None
    return f"{denoiser} can have no first-block cache: {_UNFIT.get(denoiser, 'nothing is known of its blocks')}"


class FirstBlockCache:
    """The cache of one denoiser; it lives for one call of the pipeline and decides for all pictures of that call together."""

    def __init__(self, denoiser: "torch.nn.Module", threshold: float) -> None:
        from diffusers.hooks import FirstBlockCacheConfig, apply_first_block_cache
        from diffusers.hooks.hooks import HookRegistry

        if reason := why_not(type(denoiser).__name__):
            raise SettingsError(f"{reason}: set acceleration to none")
        self._denoiser = denoiser
        apply_first_block_cache(_holder(denoiser), FirstBlockCacheConfig(threshold=threshold))
        self._registry = HookRegistry.check_if_exists_or_initialize(denoiser)
        self._registry.invalidate_child_registries_cache()  # else the hooks just made are not found

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around one call of the pipeline: it begins and ends with nothing remembered, however it ends."""
        hook = self._denoiser.register_forward_pre_hook(_in_context(self._denoiser), with_kwargs=True)
        self._registry.reset_stateful_hooks()
        try:
            yield
        finally:
            hook.remove()
            self._registry.reset_stateful_hooks()


def _holder(denoiser: "torch.nn.Module") -> "torch.nn.Module":
    """The blocks as the one list that diffusers looks for, each known to it by what it takes and answers."""
    from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
    from torch import nn

    row = BLOCKS[type(denoiser).__name__]
    blocks = [block for name in row.lists for block in getattr(denoiser, name)]
    blocks = blocks[: len(blocks) - row.kept]
    if len(blocks) < 2:
        raise SettingsError(
            f"{type(denoiser).__name__} has {len(blocks)} blocks that could be left out, a first-block cache needs 2"
        )
    picture, text = _INDICES[row.answer]
    for kind in {type(block) for block in blocks}:
        known = TransformerBlockMetadata(return_hidden_states_index=picture, return_encoder_hidden_states_index=text)
        known._cached_parameter_indices = {"hidden_states": 0, "encoder_hidden_states": 1}  # whatever the arguments are called
        TransformerBlockRegistry.register(kind, known)
    holder = nn.Module()
    holder.transformer_blocks = nn.ModuleList(blocks)
    return holder


def _in_context(denoiser: "torch.nn.Module") -> Any:
    """A hook that keeps the calls of one step apart (with and without the prompt, say): the n-th has the n-th memory.

    Some pipelines name them for diffusers' caches and some do not; this is the same for all.
    """
    from diffusers.hooks.hooks import CacheContext, _set_cache_context

    signature = inspect.signature(type(denoiser).forward)
    last, count = None, 0

    def name(module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        nonlocal last, count
        given = signature.bind_partial(module, *arguments, **keywords).arguments
        clock = next(given[word] for word in _CLOCKS if word in given)
        now = float(clock.flatten()[0])
        last, count = now, (count + 1 if now == last else 0)
        _set_cache_context(module, CacheContext(str(count)))

    return name
