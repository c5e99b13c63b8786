"""What a base is made of, from its configs alone: a folder, the Hub's cache, values known here, or config.json files of the Hub."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from training.errors import BaseModelError, HubError
from training.families import Family, family_of

REPOSITORY = re.compile(r"(?:hf://)?([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?")
_TIMEOUT = 10.0  # seconds for one config.json


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A model inside a base: the library that has its class, the class, its config."""

    library: str
    kind: str
    config: Mapping[str, Any]

    def build(self) -> nn.Module:
        """The model on the meta device, float32, frozen: shapes without weights."""
        import importlib

        kind = getattr(importlib.import_module(self.library), self.kind, None)
        if kind is None:
            raise BaseModelError(f"{self.library} has no {self.kind}: install a newer {self.library}")
        values = {name: value for name, value in self.config.items() if name != "quantization_config"}
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # what libraries tell each other about their next release
            model: nn.Module = (
                kind.from_config(values) if self.library == "diffusers" else kind(kind.config_class.from_dict(dict(values)))
            )
        return model.requires_grad_(False).eval()


@dataclass(frozen=True, kw_only=True, slots=True)
class Anatomy:
    """The parts of a base, and where their configs are from."""

    name: str
    family: Family
    denoiser: Part
    autoencoder: Part
    encoders: tuple[Part, ...]
    source: str


def anatomy_of(ref: str, revision: str | None = None) -> Anatomy:
    """The parts of a base by folder or repository. Reads config.json files only, writes nothing.

    Raises BaseModelError for a base that is not there or not supported, HubError for one that only the Hub could tell of.
    """
    folder = Path(ref)
    if folder.is_dir():
        return _from_files(folder.resolve().name, lambda name: _read(folder / name), f"configs in {folder.name}")
    match = REPOSITORY.fullmatch(ref)
    if match is None:
        raise BaseModelError(f"base '{ref}' is neither a folder nor a repository name: give a path or owner/name")
    repository, revision = match[1], revision or match[2]
    if _cached(repository, revision, "model_index.json"):
        return _from_files(repository, lambda name: _read(_cached(repository, revision, name)), "configs in the Hub's cache")
    known = _known(repository)
    if known:
        return known
    return _from_files(repository, lambda name: _fetched(repository, revision, name), "configs on the Hub")


@cache
def facts() -> Mapping[str, Any]:
    """training/facts/bases.yaml, parsed."""
    parsed: dict[str, Any] = yaml.safe_load((files("training") / "facts" / "bases.yaml").read_text(encoding="utf-8"))
    return parsed


def _known(repository: str) -> Anatomy | None:
    for entry in facts()["bases"].values():
        if repository in entry["repositories"]:
            return _anatomy(repository, entry)
    return None


def _anatomy(repository: str, entry: Mapping[str, Any]) -> Anatomy:
    def part(library: str, described: Mapping[str, Any]) -> Part:
        return Part(library=library, kind=described["class"], config=described["config"])

    return Anatomy(
        name=repository,
        family=family_of({"_class_name": entry["pipeline"]}),
        denoiser=part("diffusers", entry["denoiser"]),
        autoencoder=part("diffusers", facts()["autoencoders"][entry["autoencoder"]]),
        encoders=tuple(part("transformers", facts()["encoders"][name]) for name in entry["encoders"]),
        source=f"known values ({entry['source']})",
    )


def _from_files(name: str, read: Callable[[str], dict[str, Any] | None], source: str) -> Anatomy:
    index = read("model_index.json")
    if index is None:
        raise BaseModelError(f"base '{name}' has no model_index.json: give a diffusers pipeline folder or repository")
    family = family_of(index)
    parts = {}
    for role, described in index.items():
        is_model = isinstance(described, list) and len(described) == 2 and described[0] in ("diffusers", "transformers")
        config = read(f"{role}/config.json") if is_model and not re.search(r"token|schedul|process|extractor", role) else None
        if config is not None:
            parts[role] = Part(library=described[0], kind=described[1], config=config)
    missing = [role for role in (family.denoiser, "vae") if role not in parts]
    if missing:
        raise BaseModelError(f"base '{name}' has no {missing[0]}/config.json: fetch it again, or give a diffusers pipeline")
    rest = [part for role, part in parts.items() if role not in (family.denoiser, "vae")]
    encoders = tuple(part for part in rest if part.library == "transformers")
    return Anatomy(
        name=name, family=family, denoiser=parts[family.denoiser], autoencoder=parts["vae"], encoders=encoders, source=source
    )


def _read(path: Path | None) -> dict[str, Any] | None:
    if path is None or not path.is_file():
        return None
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BaseModelError(f"'{path}' is not JSON: fetch the base again") from error
    return parsed if isinstance(parsed, dict) else None


def _cached(repository: str, revision: str | None, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


def endpoint() -> str:
    """Where the Hub is."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _fetched(repository: str, revision: str | None, name: str) -> dict[str, Any] | None:
    """A JSON file of the Hub, kept in memory; None where the repository has none of that name."""
    import httpx
    from huggingface_hub import get_token, hf_hub_url

    try:
        url = hf_hub_url(repository, name, revision=revision, endpoint=endpoint())
        key = get_token()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        answer = httpx.get(url, headers=headers, follow_redirects=True, timeout=_TIMEOUT)
        if answer.status_code in (401, 403, 404) and name == "model_index.json":
            raise BaseModelError(f"base '{repository}' is not on the Hub or is gated: check the name, or set HF_TOKEN")
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        parsed = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        if isinstance(error, BaseModelError):
            raise
        reason = " ".join(str(error).split())[:120]
        raise HubError(
            f"base '{repository}' is not known here and the Hub cannot be asked ({reason}): try again, or give a folder"
        ) from error
    return parsed if isinstance(parsed, dict) else None
