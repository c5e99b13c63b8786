"""A transformers classifier or object detector in a local folder, as the probability of the labels that are asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.errors import DatasetError


def local_model(name: str, folder: Path, labels: re.Pattern[str]) -> Callable[[Image.Image], float]:
    """The model in `folder` (config.json, preprocessor_config.json, *.safetensors); DatasetError where it cannot judge."""
    import torch
    import transformers

    config = _json(name, folder, "config.json")
    if not list(folder.glob("*.safetensors")):
        raise DatasetError(f"detectors.{name}: '{folder}' holds no *.safetensors: give a transformers model with such weights")
    detects = any("ObjectDetection" in str(kind) for kind in config.get("architectures") or ())
    loader: Any = transformers.AutoModelForObjectDetection if detects else transformers.AutoModelForImageClassification
    try:
        model = loader.from_pretrained(folder, local_files_only=True, use_safetensors=True, trust_remote_code=False).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise DatasetError(f"detectors.{name}: '{folder}' cannot be loaded ({' '.join(str(error).split())[:160]})") from error
    wanted = [index for index, label in model.config.id2label.items() if labels.search(str(label))]
    if not wanted:
        known = ", ".join(map(str, model.config.id2label.values()))[:120]
        raise DatasetError(f"detectors.{name}: '{folder}' knows {known}: give a model with a label like {labels.pattern}")
    shape = _json(name, folder, "preprocessor_config.json")

    def score(picture: Image.Image) -> float:
        with torch.no_grad():
            logits = model(pixel_values=torch.from_numpy(_pixels(picture, shape))).logits[0]
        if detects and logits.shape[-1] == len(model.config.id2label):  # detectors without a class for nothing
            return float(logits[..., wanted].sigmoid().max())
        return float(logits.softmax(-1)[..., wanted].sum(-1).max())

    return score


def _pixels(picture: Image.Image, shape: Mapping[str, Any]) -> NDArray[np.float32]:
    """[1, 3, H, W] as the model's preprocessor makes them: whole picture, no crop."""
    size: Any = shape.get("size", 224)
    sides: dict[str, int] = size if isinstance(size, dict) else {"shortest_edge": size}
    shortest = sides.get("shortest_edge", 224)
    width, height = sides.get("width", shortest), sides.get("height", shortest)
    values = np.asarray(picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    mean, std = (np.asarray(shape.get(key, [0.5] * 3), dtype=np.float32) for key in ("image_mean", "image_std"))
    return ((values - mean) / std).astype(np.float32).transpose(2, 0, 1)[None].copy()


def _json(name: str, folder: Path, file: str) -> dict[str, Any]:
    try:
        found = json.loads((folder / file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"detectors.{name}: '{folder / file}' cannot be read ({type(error).__name__}): give a model") from error
    if not isinstance(found, dict):
        raise DatasetError(f"detectors.{name}: '{folder / file}' holds no fields: give the folder of a transformers model")
    return found
