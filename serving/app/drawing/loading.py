"""The base's pipeline from its parts, each imported from its own module: from_pretrained imports and asks for more."""

import gc
import inspect
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from ..settings import Installed

_LIBRARIES = frozenset({"diffusers", "transformers"})  # both import the one module that holds the name which is asked for
_INDEX = "model_index.json"
_CARRIED = ("*.json", "*.txt", "*.model", "*.jinja")  # of a part's folder, beside its weights
_WEIGHTS = "*.safetensors"
_VARIANTS = "*.*.safetensors"  # the same weights in other precisions
_LEFT_OUT = frozenset({"safety_checker", "feature_extractor"})  # of sd15: it paints over pictures; the app's own checker decides


class _Unknown(Exception):
    """A part that is not simply a class of diffusers or transformers."""


def import_libraries(package: Installed) -> None:
    """Import what the base's parts and pipelines need, and nothing else.

    Python's garbage collector waits meanwhile and leaves alone for good what was imported: a million objects that stay.
    Looking through them again and again is a fifth of a start, and would interrupt requests later.
    """
    index = _index(_base(package, [_INDEX]))
    running = gc.isenabled()
    gc.disable()
    try:
        import_module("torch")
        for library, name in [("diffusers", index.get("_class_name", "")), *_parts(index).values()]:
            with suppress(_Unknown):
                _class(library, name)
        gc.freeze()
    finally:
        if running:
            gc.enable()


def denoiser_name(package: Installed) -> str:
    """The name of the part that every step runs."""
    return "unet" if "unet" in _index(_base(package, [_INDEX])) else "transformer"


def fetched(package: Installed, *, leaving: str | None = None) -> Path:
    """The folder of the base: the packed one, or the Hub's at its pinned revision, without the weights of the part `leaving`."""
    wanted = [(name, pattern) for name in _parts(_index(_base(package, [_INDEX]))) for pattern in (*_CARRIED, _WEIGHTS)]
    return _base(package, [_INDEX, *(f"{name}/{pattern}" for name, pattern in wanted if (name, pattern) != (leaving, _WEIGHTS))])


def load_pipeline(folder: Path, *, dtype: Any, elsewhere: Mapping[str, Path] | None = None) -> Any:
    """The pipeline that model_index.json of this folder names, its models in `dtype`; parts `elsewhere` come from other folders.

    Only safetensors are read, and no code of the folder is run. Raises SettingsError for a folder that is no pipeline.
    """
    index, places = _index(folder), elsewhere or {}
    named = _parts(index)
    try:
        kind = _class("diffusers", index.get("_class_name", ""))
        parts = {name: _part(*said, places.get(name, folder / name), dtype) for name, said in named.items()}
    except _Unknown:
        return _by_diffusers(folder, named, dtype, places)
    return kind(**dict.fromkeys(kind._optional_components) | _plain(kind, index) | parts)


def image_to_image(pipe: Any, name: str) -> Any:
    """The pipeline of this class around the same parts. Raises SettingsError where diffusers has none of this name."""
    try:
        kind = _class("diffusers", name)
    except _Unknown as error:
        raise SettingsError(f"settings.json: pipeline.image_to_image: there is no {error}: build the package anew") from error
    takes = inspect.signature(kind.__init__).parameters
    parts = {name: part for name, part in pipe.components.items() if name in takes}
    changing = kind(**dict.fromkeys(kind._optional_components) | _plain(kind, pipe.config) | parts)
    changing.set_progress_bar_config(disable=True)
    return changing


def _base(package: Installed, patterns: list[str]) -> Path:
    """The folder that holds these files of the base."""
    base = package.settings.base
    if base.kind == "folder":
        return Path(package.base)
    from huggingface_hub import snapshot_download

    endpoint = os.environ.get("HF_ENDPOINT")
    return Path(
        snapshot_download(base.ref, revision=base.revision, allow_patterns=patterns, ignore_patterns=_VARIANTS, endpoint=endpoint)
    )


def _index(folder: Path) -> dict[str, Any]:
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"base {folder} is no diffusers pipeline ({error}): build the package anew") from error
    if not isinstance(index, dict):
        raise SettingsError(f"base {folder} is no diffusers pipeline: {_INDEX} is no object: build the package anew")
    return index


def _parts(index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Library and class of each part that is loaded."""
    named = {name: value for name, value in index.items() if _names_a_part(value) and name not in _LEFT_OUT}
    return {name: (library, kind) for name, (library, kind) in named.items() if library}


def _names_a_part(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(one, str | None) for one in value)


def _plain(kind: Any, index: Mapping[str, Any]) -> dict[str, Any]:
    """What the pipeline is given beside its parts."""
    takes = inspect.signature(kind.__init__).parameters
    plain = {name: value for name, value in index.items() if name in takes and not _names_a_part(value)}
    return plain | ({"requires_safety_checker": False} if "requires_safety_checker" in takes else {})


def _class(library: str, name: str) -> Any:
    found = getattr(import_module(library), name, None) if library in _LIBRARIES else None
    if not hasattr(found, "from_pretrained"):
        raise _Unknown(f"{library}.{name}")
    return found


def _part(library: str, name: str, folder: Path, dtype: Any) -> Any:
    from torch import nn

    kind = _class(library, name)
    if not issubclass(kind, nn.Module):
        return kind.from_pretrained(folder, local_files_only=True)
    return kind.from_pretrained(folder, dtype=dtype, use_safetensors=True, local_files_only=True).eval()


def _by_diffusers(folder: Path, parts: Mapping[str, tuple[str, str]], dtype: Any, elsewhere: Mapping[str, Path]) -> Any:
    """The slow way, for parts that are of the pipeline's own module."""
    from diffusers import DiffusionPipeline

    given = {name: _part(*parts[name], place, dtype) for name, place in elsewhere.items()}
    return DiffusionPipeline.from_pretrained(folder, dtype=dtype, use_safetensors=True, local_files_only=True, **given)
