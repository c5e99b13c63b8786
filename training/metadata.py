"""The text in a safetensors header: read without the tensors, replaced without touching them, always in the same order."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.errors import AdapterError

PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")
_LIMIT = 100 << 20  # bytes of a header; the format's own bound


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file as JSON, and where the tensors begin; AdapterError for anything else."""
    if path.suffix.lower() in PICKLES:
        raise AdapterError(f"adapter '{path}' is a pickle, which can run code when it is read: save it as .safetensors")
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            raw = file.read(length) if length <= _LIMIT else b""
    except OSError as error:
        raise AdapterError(f"adapter '{path}' cannot be read ({error.strerror}): give a .safetensors file") from error
    try:
        header = json.loads(raw)
    except ValueError as error:
        raise AdapterError(f"adapter '{path}' is no safetensors file: save it as .safetensors") from error
    if not isinstance(header, dict) or not all(isinstance(value, dict) for value in header.values()):
        raise AdapterError(f"adapter '{path}' is no safetensors file: its header holds no tensors")
    return header, 8 + length


def metadata_of(path: Path) -> dict[str, str]:
    """The text beside the tensors."""
    return {str(key): str(value) for key, value in read_header(path)[0].get("__metadata__", {}).items()}


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    header, _ = read_header(path)
    return {name: tuple(about["shape"]) for name, about in header.items() if name != "__metadata__"}


def tensors_sha256(path: Path) -> str:
    """sha256 over the tensors' bytes alone: what modelspec and kohya call the model's hash; new metadata leaves it as it is."""
    _, start = read_header(path)
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, "sha256").hexdigest()


def rewrite(source: Path, target: Path, metadata: Mapping[str, str]) -> Path:
    """Write `source` as `target` with this metadata and the same tensors, whole or not at all; equal text gives equal bytes."""
    header, start = read_header(source)
    tensors = {name: about for name, about in header.items() if name != "__metadata__"}
    text = json.dumps({"__metadata__": dict(sorted(metadata.items())), **tensors}, separators=(",", ":"), ensure_ascii=False)
    raw = text.encode()
    raw += b" " * (-len(raw) % 8)  # tensors begin at a multiple of eight
    part = target.with_name(f".{target.name}.part")
    with source.open("rb") as old, part.open("wb") as new:
        new.write(len(raw).to_bytes(8, "little") + raw)
        old.seek(start)
        shutil.copyfileobj(old, new, 1 << 20)
    os.replace(part, target)
    return target
