"""The base model: where it lies, what it is, and loading it whole, plain and quiet."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from training.base_files import deciding_files
from training.config import identity
from training.errors import BaseModelError, HubError
from training.families import Family, family_of
from training.quantised import loading

_REPOSITORY = re.compile(r"(?:hf://)?([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?")
_WANTED = ["model_index.json", *(f"*/*.{suffix}" for suffix in ("json", "safetensors", "txt", "model", "jinja"))]
_UNWANTED = ["*/*.fp16.safetensors", "*/*.non_ema*.safetensors"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A base on this disk: folder, what the user called it, the Hub's commit if it came from there, sha256 of every file."""

    folder: Path
    ref: str
    revision: str | None
    family: Family
    files: dict[str, str]

    @property
    def name(self) -> str:
        """The Hub's name, or the folder's own: where it lies on this disk is nobody else's business."""
        return self.ref if self.revision else self.folder.resolve().name

    @property
    def weights_sha256(self) -> str:
        """One hash over all weights."""
        return identity({name: sha for name, sha in self.files.items() if name.endswith(".safetensors")})

    def encoders_sha256(self, kind: Literal["latents", "conditioning"]) -> str:
        """One hash over the files that decide what a picture, or a caption, is encoded to."""
        if kind == "latents":
            return identity({name: sha for name, sha in self.files.items() if name.startswith("vae/")})
        weights = re.compile(rf"(vae|{self.family.denoiser})/.*\.safetensors")
        return identity({name: sha for name, sha in self.files.items() if not weights.fullmatch(name)})


def locate(ref: str, revision: str | None = None) -> Base:
    """A base by folder or Hub repository (owner/name, hf://owner/name@revision); the Hub's files are downloaded once.

    Raises BaseModelError for what is not there or not supported, HubError for a Hub that cannot be asked.
    """
    folder = Path(ref)
    if folder.is_dir():
        index, revision = folder / "model_index.json", None
    else:
        folder, revision = _download(ref, revision)
        index = folder / "model_index.json"
    try:
        family = family_of(json.loads(index.read_text(encoding="utf-8")))
    except OSError as error:
        raise BaseModelError(f"base '{ref}' has no model_index.json: give a diffusers pipeline folder or repository") from error
    except ValueError as error:
        raise BaseModelError(f"base '{ref}': {' '.join(str(error).split())}") from error
    return Base(folder=folder, ref=ref, revision=revision, family=family, files=_hashes(folder))


def load_pipeline(base: Base, dtype: torch.dtype, precision: str = "auto") -> Any:
    """The base as a plain diffusers pipeline, frozen and without progress bars; `precision` may quantise its denoiser."""
    import diffusers

    _quiet()
    how = {"dtype": dtype, "use_safetensors": True, "local_files_only": True, **loading(precision, base.family)}
    try:
        pipe = diffusers.DiffusionPipeline.from_pretrained(base.folder, **how)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BaseModelError(
            f"base '{base.ref}' cannot be loaded ({' '.join(str(error).split())[:300]}): fetch it again"
        ) from error
    pipe.set_progress_bar_config(disable=True)
    for component in pipe.components.values():
        if isinstance(component, torch.nn.Module):
            component.requires_grad_(False).eval()
    return pipe


def weight_dtype(precision: str, device: torch.device) -> torch.dtype:
    """What frozen weights are computed in; auto: bfloat16, but float32 on the CPU, where halves are slower."""
    if precision == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return torch.float32 if precision == "fp32" else torch.bfloat16


def _download(ref: str, revision: str | None) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    match = _REPOSITORY.fullmatch(ref)
    if match is None:
        raise BaseModelError(f"base '{ref}' is neither a folder nor a repository name: give a path or owner/name")
    repository, wanted = match[1], revision or match[2]
    try:
        folder = Path(snapshot_download(repository, revision=wanted, allow_patterns=_WANTED, ignore_patterns=_UNWANTED))
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        at = f"@{wanted}" if wanted else ""
        message = f"base '{repository}{at}' is no folder here and not on the Hub (or is gated): check the name, or set HF_TOKEN"
        raise BaseModelError(message) from error
    except (HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise HubError(
            f"base '{repository}' is no folder here and the Hub cannot be asked ({reason}): try again, or give a folder"
        ) from error
    return folder, folder.name


def _hashes(folder: Path) -> dict[str, str]:
    return {name: sha256_of(path) for name, path in deciding_files(folder).items()}


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _quiet() -> None:
    import diffusers.utils.logging
    import transformers.utils.logging

    silence: Callable[[], None]
    for logging in (diffusers.utils.logging, transformers.utils.logging):
        for silence in (logging.disable_progress_bar, logging.set_verbosity_error):
            silence()
