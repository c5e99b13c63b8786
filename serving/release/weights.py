"""Weights that may travel: safetensors only, whole, and with no code beside them."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

from serving.release.errors import PackageError

PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
MAX_FILE = 1024**3  # fal takes no larger file

_CARRIED = frozenset({".json", ".safetensors", ".txt", ".model", ".jinja"})
_LIBRARIES = frozenset({"diffusers", "transformers", "stable_diffusion"})  # the last is a module of diffusers' own


def copy_base(base: Path, target: Path) -> None:
    """Copy what a pipeline loads from `base` (the components that model_index.json names) and its papers, nothing else."""
    for component in _components(base):
        _verify_component(component)
        for path in sorted(component.rglob("*")):
            if path.is_file() and path.suffix in _CARRIED:
                _copy(path, target / path.relative_to(base))
    papers = [path for pattern in ("LICENSE*", "NOTICE*", "README*") for path in sorted(base.glob(pattern)) if path.is_file()]
    for path in [base / "model_index.json", *papers]:
        _copy(path, target / path.name)


def verify_safetensors(path: Path) -> None:
    """Raise PackageError unless `path` is a complete safetensors file that fal would take."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > size - 8:
                raise ValueError(f"its header claims {length} bytes")
            header = json.loads(file.read(length))
        end = max((tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"), default=0)
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError) as error:
        raise PackageError(f"{path} is no safetensors file ({error}): only safetensors are packed") from error
    if size != 8 + length + end:
        raise PackageError(f"{path} is cut short or padded: {size} bytes, its header says {8 + length + end}; fetch it again")
    if size > MAX_FILE:
        raise PackageError(f"{path} has {size} bytes, fal takes at most {MAX_FILE}: save it in shards, or name the base on the Hub")


def _components(base: Path) -> list[Path]:
    try:
        index = json.loads((base / "model_index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PackageError(f"base {base} is no diffusers pipeline: model_index.json can not be read ({error})") from error
    lists = {name: value for name, value in index.items() if isinstance(value, list)}
    parts = {name: value for name, value in lists.items() if value and isinstance(value[0], str)}  # others are numbers
    for name, (library, kind) in parts.items():
        if library not in _LIBRARIES:
            raise PackageError(
                f"base {base}: component {name} is {library}.{kind}, code that does not come with diffusers; it is not run"
            )
        if not (base / name).is_dir():
            raise PackageError(f"base {base}: component {name} is missing: fetch the whole base")
    return [base / name for name in parts]


def _verify_component(component: Path) -> None:
    files = [path for path in component.rglob("*") if path.is_file()]
    weights = [path for path in files if path.suffix == ".safetensors"]
    if code := [path for path in files if path.suffix == ".py"]:
        raise PackageError(f"{code[0]} is code beside weights; it is not run and not packed: remove it if the base works without")
    if (component / "config.json").is_file() and not weights:  # only models have a file of this name
        pickles = ", ".join(sorted(path.name for path in files if path.suffix in PICKLES)) or "no weights at all"
        raise PackageError(f"{component} has {pickles}: only safetensors are packed, convert it with save_pretrained")
    for index in component.glob("*.safetensors.index.json"):
        for shard in sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())):
            if not (component / shard).is_file():
                raise PackageError(f"{component}: shard {shard} is missing: fetch the whole base")
    for path in weights:
        verify_safetensors(path)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o644)  # fal hashes the mode with the content
