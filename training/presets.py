"""Which layers a preset trains, found in the denoiser by what diffusers calls them; nothing here knows a family by name."""

from __future__ import annotations

import re

from torch import nn

from training.families import Family

_FEED_FORWARD = re.compile(r"(.+_)?(ff|ffn|mlp|feed_forward)(_.+)?")  # a part of a module's path
_MODULATION = re.compile(r"(.+_)?(norm|mod|modulation|adaln)\w*", re.IGNORECASE)
# Projections of the text alone, by which a word comes to mean somebody.
_TEXT = re.compile(
    r"(.*\.)?(add_[qkv]_proj|to_add_out|to_added_\w+|to_[qkv]_t|to_out_t|attn2\.to_[kv]|(ff|norm\d?)_context\..*|txt_\w+\..*)"
    r"|(.*\.)?(context_refiner|text_\w*blocks|context_\w*blocks)\..*"
)


def targets_for(denoiser: nn.Module, family: Family, preset: str) -> str:
    """Regular expression over module names, matched whole, of the layers that `preset` trains.

    style and none: the family's own targets. subject: those and the feed-forward layers beside them, which hold what things look
    like. likeness-free: those that do not read the text alone, so that no word is taught a face.
    """
    if preset in ("none", "style"):
        return family.targets
    targets = [name for name, module in denoiser.named_modules() if re.fullmatch(family.targets, name)]
    if preset == "likeness-free":
        chosen = [name for name in targets if not _TEXT.fullmatch(name)]
    else:
        blocks = {_block_of(name) for name in targets}
        chosen = sorted({*targets, *(name for name in _feed_forward(denoiser) if _block_of(name) in blocks)})
    return "|".join(re.escape(name) for name in chosen)


def _feed_forward(denoiser: nn.Module) -> list[str]:
    """Linear layers of feed-forward parts, those that only modulate left out."""
    return [
        name
        for name, module in denoiser.named_modules()
        if isinstance(module, nn.Linear)
        and any(_FEED_FORWARD.fullmatch(part) for part in name.split("."))
        and not any(_MODULATION.fullmatch(part) for part in name.split("."))
    ]


def _block_of(name: str) -> str:
    """The path down to the last number: the block of a stack that a layer lies in, attention and feed-forward alike."""
    match = re.match(r"(.*?\.\d+(\.\w*blocks\.\d+)?)\.", name)
    return match[1] if match else ""
