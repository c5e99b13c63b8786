"""Concept and prompt scores by models that look at pictures: CLIP and DINO, from a folder or from what the Hub's cache has.

Nothing is downloaded: a model that is not on this disk leaves its scores unmeasured, with the reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.comparison import unmeasured
from training.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import Tensor

    from training.config import EvaluationConfig
    from training.distances import Rows

_ROWS = 16  # pictures or texts a call
_INDEX = "config.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scorer:
    """A model that turns pictures (and prompts, where it reads) into rows of unit length, and what it is called in reports."""

    name: str
    pictures: Callable[[Sequence[Image.Image]], Rows]
    prompts: Callable[[Sequence[str]], Rows] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scorers:
    """The models at hand; a reason in place of one that is not."""

    clip: Scorer | str
    dino: Scorer | str

    @property
    def looks(self) -> Scorer | str:
        """What distances between pictures are taken with: DINO sees the subject best, CLIP stands in for it."""
        return self.dino if isinstance(self.dino, Scorer) or isinstance(self.clip, str) else self.clip


def open_scorers(models: EvaluationConfig, device: torch.device) -> Scorers:
    """CLIP and DINO, loaded; ConfigError where a folder was given that is no such model."""
    return Scorers(clip=_opened(models.clip, "clip", device), dino=_opened(models.dino, "dino", device))


def fingerprint(ref: str) -> str | None:
    """What decides a model's scores: the commit in the Hub's cache, or a hash of a folder's files; None where there is neither."""
    folder = _folder(ref)
    if folder is None:
        return None
    if not Path(ref).is_dir():
        return folder.name
    files = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors", ".txt"))
    return hashlib.sha256(b"".join(path.name.encode() + hashlib.sha256(path.read_bytes()).digest() for path in files)).hexdigest()


def picture_scores(
    scorer: Scorer | str, columns: Mapping[str, Sequence[Image.Image]], references: Sequence[Image.Image]
) -> dict[str, Any]:
    """Mean cosine of each drawn picture to all reference pictures, by column. (Ruiz et al. 2023: DINO, CLIP-I)"""
    if isinstance(scorer, str):
        return unmeasured(scorer)
    real = scorer.pictures(references)
    each = {name: (scorer.pictures(drawn) @ real.T).mean(axis=1) for name, drawn in columns.items()}
    return {"model": scorer.name} | {name: float(values.mean()) for name, values in each.items()}


def prompt_scores(scorer: Scorer | str, columns: Mapping[str, Sequence[Image.Image]], prompts: Sequence[str]) -> dict[str, Any]:
    """Mean cosine of each drawn picture to its own prompt, by column. (Radford et al. 2021: CLIP-T)"""
    if isinstance(scorer, str):
        return unmeasured(scorer)
    assert scorer.prompts is not None, "only CLIP reads"
    texts = scorer.prompts(prompts)
    each = {name: (scorer.pictures(drawn) * texts).sum(axis=1) for name, drawn in columns.items()}
    return {"model": scorer.name} | {name: float(values.mean()) for name, values in each.items()}


def _opened(ref: str, kind: str, device: torch.device) -> Scorer | str:
    folder = _folder(ref)
    if folder is None:
        return f"{kind.upper()} model '{ref}' is not on this disk"
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    local = {"local_files_only": True}
    try:
        model = AutoModel.from_pretrained(folder, use_safetensors=True, **local).to(device).eval()
        processor = AutoImageProcessor.from_pretrained(folder, **local)
        tokenizer = AutoTokenizer.from_pretrained(folder, **local) if hasattr(model, "get_text_features") else None
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = f"{kind.upper()} model '{ref}' cannot be loaded ({' '.join(str(error).split())[:200]})"
        if not Path(ref).is_dir():
            return reason  # what lies in the Hub's cache may be half of a model, or weights in another format
        raise ConfigError(f"evaluation.{kind}: {reason}: give a folder of a transformers model in safetensors") from error
    if kind == "clip" and tokenizer is None:
        raise ConfigError(f"evaluation.clip: '{ref}' is a {type(model).__name__} that reads no prompts: give a CLIP")
    name = Path(ref).name if Path(ref).is_dir() else ref
    prompts = (lambda texts: _rows(texts, lambda part: _read(model, tokenizer, part))) if tokenizer else None
    return Scorer(name=name, pictures=lambda drawn: _rows(drawn, lambda part: _seen(model, processor, part)), prompts=prompts)


def _folder(ref: str) -> Path | None:
    """Where a model lies: the folder itself, or its snapshot in the Hub's cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if (Path(ref) / _INDEX).is_file():
        return Path(ref)
    try:
        found = try_to_load_from_cache(ref, _INDEX)
    except HFValidationError as error:
        raise ConfigError(
            f"evaluation: '{ref}' holds no {_INDEX}: give the folder of a transformers model, or owner/name"
        ) from error
    return Path(found).parent if isinstance(found, str) else None


def _rows(items: Sequence[Any], embed: Callable[[Sequence[Any]], Tensor]) -> Rows:
    import torch

    with torch.no_grad():
        parts = [embed(items[start : start + _ROWS]) for start in range(0, len(items), _ROWS)]
    whole = torch.nn.functional.normalize(torch.cat(parts).float(), dim=1)
    return np.asarray(whole.cpu().double().numpy())


def _seen(model: Any, processor: Any, pictures: Sequence[Image.Image]) -> Tensor:
    pixels = processor(images=list(pictures), return_tensors="pt")["pixel_values"].to(model.device)
    answer = model.get_image_features(pixel_values=pixels) if hasattr(model, "get_image_features") else model(pixel_values=pixels)
    pooled: Tensor = answer.pooler_output
    return pooled


def _read(model: Any, tokenizer: Any, texts: Sequence[str]) -> Tensor:
    longest = model.config.text_config.max_position_embeddings
    words = tokenizer(list(texts), padding="max_length", truncation=True, max_length=longest, return_tensors="pt").to(model.device)
    pooled: Tensor = model.get_text_features(**words).pooler_output
    return pooled
