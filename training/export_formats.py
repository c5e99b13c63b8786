"""The same adapter in the keys of sd-scripts (kohya) and of ComfyUI, each file read again and compared tensor for tensor."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from training.adopt import Modules, modules_of, read_lora
from training.errors import AdapterError, ExportError
from training.families import Family
from training.keys import Names, formats_of
from training.metadata import tensors_sha256
from training.pairs import Lora, different, joined

FILES = {"kohya": "adapter.kohya.safetensors", "comfyui": "adapter.comfyui.safetensors"}


def write_formats(adapter: Path, denoiser: nn.Module, family: Family) -> dict[str, Any]:
    """Write the adapter in a file beside it in each format that its family has; by format the file's hash, or why there is none.

    `denoiser` tells modules and shapes. ExportError where a file, read again, is not the adapter.
    """
    known = formats_of(family.name)
    spellings = {"kohya": known.kohya, "comfyui": known.comfyui}
    written: dict[str, Any] = {}
    modules = modules_of(denoiser)
    lora = read_lora(adapter, family, modules).lora
    for name, spelling in spellings.items():
        if spelling is None:
            written[name] = {"file": None, "why": known.why}
            continue
        flat = name == "kohya"
        try:
            tensors = spelled(lora, known.names(spelling, modules, flat=flat), modules, kohya=flat)
        except AdapterError as error:
            written[name] = {"file": None, "why": str(error)}
            continue
        path = _write(tensors, adapter.with_name(FILES[name]))
        _compare(path, lora, family, modules)
        written[name] = {"file": path.name, "tensors_sha256": tensors_sha256(path)}
    return written


def spelled(lora: Lora, names: Names, modules: Modules, *, kohya: bool) -> dict[str, Tensor]:
    """The tensors of a file with these names; kohya calls the matrices down and up, everybody else A and B."""
    down, up = ("lora_down", "lora_up") if kohya else ("lora_A", "lora_B")
    tensors: dict[str, Tensor] = {}
    for name, parts in names.items():
        if not any(part in lora for part in parts):
            continue
        pair = (
            lora[parts[0]] if len(parts) == 1 else joined([lora.get(part) for part in parts], [modules[part][0] for part in parts])
        )
        tensors[f"{name}.{down}.weight"], tensors[f"{name}.{up}.weight"] = pair.down, pair.up
        if kohya or pair.alpha != pair.rank:  # without one, everybody but kohya's own scripts takes the rank
            tensors[f"{name}.alpha"] = torch.tensor(pair.alpha, dtype=torch.float32)
    return tensors


def _write(tensors: Mapping[str, Tensor], path: Path) -> Path:
    part = path.with_name(f".{path.name}.part")
    save_file(dict(sorted(tensors.items())), part)
    os.replace(part, path)
    return path


def _compare(path: Path, lora: Lora, family: Family, modules: Modules) -> None:
    wrong = different(read_lora(path, family, modules).lora, lora)
    if wrong:
        raise ExportError(
            f"'{path}': {len(wrong)} modules differ after reading it again, first {wrong[0]}: not the trained adapter"
        )
