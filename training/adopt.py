"""A LoRA that was trained elsewhere, read from diffusers', kohya's or ComfyUI's keys into pairs by module."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from training.errors import AdapterError
from training.families import Family
from training.keys import FORMATS, Names, formats_of, same
from training.metadata import metadata_of, shapes_of
from training.pairs import Lora, Pair, parted

Format = Literal["diffusers", "kohya", "comfyui"]
Modules = Mapping[str, tuple[int, ...]]  # a denoiser's linear and convolution layers: shape of the weight by name

_KINDS = (
    ("down", re.compile(r"(.+)\.lora_(?:A|down)(?:\.default)?\.weight")),
    ("up", re.compile(r"(.+)\.lora_(?:B|up)(?:\.default)?\.weight")),
    ("down", re.compile(r"(.+?)[._]lora(?:_linear_layer)?\.down\.weight")),
    ("up", re.compile(r"(.+?)[._]lora(?:_linear_layer)?\.up\.weight")),
    ("alpha", re.compile(r"(.+)\.alpha")),
)
_OTHERS = {
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "lokr_": "LoKr",
    "hada_": "LoHa",
    "lora_mid": "LoCon with a middle matrix",
}
_DOTTED = ("transformer.", "unet.", "diffusion_model.", "base_model.model.", "")
_FLAT = ("lora_unet_", "lora_transformer_", "lycoris_")
_ENCODERS = ("lora_te", "text_encoder", "text_encoders")


@dataclass(frozen=True, kw_only=True, slots=True)
class Foreign:
    """What a file holds: pairs by our module names, in which keys it was written, and the text in its header."""

    lora: Lora
    format: Format
    metadata: Mapping[str, str]


def modules_of(denoiser: nn.Module) -> Modules:
    """The layers that a LoRA can be for; where an adapter is inside, the layers that it wraps."""
    found: dict[str, tuple[int, ...]] = {}
    for name, module in denoiser.named_modules():
        plain = name.removesuffix(".base_layer")
        if isinstance(module, nn.Linear) and ".lora_" not in name:
            found[plain] = module.out_features, module.in_features  # a quantised weight is packed
        elif isinstance(module, nn.Conv2d) and ".lora_" not in name:
            found[plain] = tuple(module.weight.shape)
    return found


def read_lora(path: Path, family: Family, modules: Modules) -> Foreign:
    """The LoRA in a file, for a denoiser with these modules. AdapterError says what does not fit: kind, keys, shapes or values."""
    metadata = metadata_of(path)
    _refuse_other_kinds(path, family, metadata)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise AdapterError(f"adapter '{path}' cannot be read ({' '.join(str(error).split())[:120]}): copy it again") from error
    grouped = _grouped(path, tensors)
    names = _lexicon(family, modules)
    places = _placed(path, family, grouped, names)
    told = _told_alphas(path, metadata, family)
    lora: dict[str, Pair] = {}
    for place, given in grouped.items():
        parts = places[place]
        pair = _pair(path, place, given, partial(_told_alpha, told, parts[0]))
        _check_shapes(path, pair, parts, modules)
        split = [pair] if len(parts) == 1 else parted(pair, [modules[part][0] for part in parts])
        lora |= {name: part for name, part in zip(parts, split, strict=True) if part is not None}
    return Foreign(lora=dict(sorted(lora.items())), format=_format(grouped), metadata=metadata)


def _refuse_other_kinds(path: Path, family: Family, metadata: Mapping[str, str]) -> None:
    keys = shapes_of(path)
    for mark, kind in _OTHERS.items():
        count = sum(mark in key for key in keys)
        if count:
            first = next(key for key in keys if mark in key)
            raise AdapterError(f"adapter '{path}' is {kind} ({count} keys, first '{first}'): only plain LoRA can be taken over")
    said = metadata.get("modelspec.architecture", "").partition("/")[0].lower()
    meant = {name for name, row in FORMATS.items() if said.startswith(row.architecture)}
    if meant and family.name not in meant:
        raise AdapterError(
            f"adapter '{path}' says it is for {said}, the base is {family.name}: give the base that it was trained on"
        )


def _grouped(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    grouped: dict[str, dict[str, Tensor]] = {}
    unknown = []
    for key, tensor in sorted(tensors.items()):
        found = next(((kind, match[1]) for kind, rule in _KINDS if (match := rule.fullmatch(key))), None)
        if found is None:
            unknown.append(key)
        else:
            grouped.setdefault(found[1], {})[found[0]] = tensor
    if unknown or not grouped:
        first = f", first '{unknown[0]}'" if unknown else ""
        raise AdapterError(f"adapter '{path}': {len(unknown)} of {len(tensors)} keys are none of a LoRA{first}: give a LoRA file")
    return grouped


def _lexicon(family: Family, modules: Modules) -> Names:
    """Every spelling of every module, ours and the original checkpoint's; flat names begin with an underscore."""
    dotted = {**formats_of(family.name).layout(modules), **same(modules)}
    return {**dotted, **{"_" + name.replace(".", "_"): parts for name, parts in dotted.items()}}


def _placed(path: Path, family: Family, grouped: Mapping[str, object], names: Names) -> dict[str, tuple[str, ...]]:
    found = {place: _modules_at(place, names) for place in grouped}
    unknown = sorted(place for place, parts in found.items() if parts is None)
    if unknown:
        count = f"{len(unknown)} of {len(found)} modules"
        if unknown[0].startswith(_ENCODERS):
            raise AdapterError(
                f"adapter '{path}' also changes a text encoder ({count}, first '{unknown[0]}'), which is not served here: "
                "train one for the denoiser alone"
            )
        raise AdapterError(
            f"adapter '{path}': {count} are not in a {family.name} base, first '{unknown[0]}': give the base it is for"
        )
    return {place: parts for place, parts in found.items() if parts is not None}


def _modules_at(place: str, names: Names) -> tuple[str, ...] | None:
    for prefix in _FLAT:
        if place.startswith(prefix):
            return names.get("_" + place.removeprefix(prefix))
    for prefix in _DOTTED:
        if place.startswith(prefix):
            plain = place.removeprefix(prefix).removeprefix("base_model.model.").replace(".processor.", ".")
            parts = names.get(plain) or names.get(f"{plain}.0")  # old files say to_out for to_out.0
            if parts:
                return parts
    return None


def _told_alphas(path: Path, metadata: Mapping[str, str], family: Family) -> dict[str, Any]:
    """peft's own configuration: in the header where diffusers wrote the file, in adapter_config.json beside it where peft did."""
    beside = path.with_name("adapter_config.json")
    try:
        if "lora_adapter_metadata" in metadata:
            told = json.loads(metadata["lora_adapter_metadata"])
            prefix = f"{family.lora_prefix}."
            return {key.removeprefix(prefix): value for key, value in told.items() if key.startswith(prefix)}
        return dict(json.loads(beside.read_text(encoding="utf-8"))) if beside.is_file() else {}
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise AdapterError(f"adapter '{path}': its peft configuration cannot be read ({type(error).__name__})") from error


def _pair(path: Path, place: str, given: Mapping[str, Tensor], alpha_of: Callable[[int], float]) -> Pair:
    if "down" not in given or "up" not in given:
        lacks = "down" if "down" not in given else "up"
        raise AdapterError(f"adapter '{path}': '{place}' has no {lacks} matrix: the file is not whole, copy it again")
    down, up = given["down"].float().contiguous(), given["up"].float().contiguous()
    if down.dim() < 2 or up.dim() != down.dim() or down.shape[0] != up.shape[1]:
        raise AdapterError(
            f"adapter '{path}': '{place}' has matrices {tuple(up.shape)} and {tuple(down.shape)}, which do not chain"
        )
    alpha = given["alpha"].float().item() if "alpha" in given else alpha_of(down.shape[0])
    if not (math.isfinite(alpha) and bool(torch.isfinite(down).all()) and bool(torch.isfinite(up).all())):
        raise AdapterError(f"adapter '{path}': '{place}' holds values that are no numbers: its training diverged")
    return Pair(down=down, up=up, alpha=alpha)


def _told_alpha(told: Mapping[str, Any], name: str, rank: int) -> float:
    patterns = told.get("alpha_pattern") or {}
    fits = (value for pattern, value in patterns.items() if re.fullmatch(rf"(.*\.)?({pattern})", name))
    alpha = float(next(fits, told.get("lora_alpha") or rank))
    return alpha * math.sqrt(rank) if told.get("use_rslora") else alpha


def _check_shapes(path: Path, pair: Pair, parts: tuple[str, ...], modules: Modules) -> None:
    rows, columns = sum(modules[part][0] for part in parts), modules[parts[0]][1:]
    if pair.up.shape[0] != rows or tuple(pair.down.shape[1:]) != columns:
        theirs = (pair.up.shape[0], *pair.down.shape[1:])
        raise AdapterError(
            f"adapter '{path}' is for another base: {parts[0]} is {(rows, *columns)} here, the adapter is for {theirs}; "
            "give the base that it was trained on"
        )


def _format(places: Mapping[str, object]) -> Format:
    first = next(iter(places))
    if first.startswith(_FLAT):
        return "kohya"
    return "comfyui" if first.startswith("diffusion_model.") else "diffusers"
