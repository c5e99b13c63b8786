"""A checker by name: an image classifier of transformers on the Hub, at a pinned commit. Imported by setup()."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..errors import SettingsError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

# weights as safetensors alone: of nothing else is a byte fetched, so nothing can be unpickled or run
_WANTED = ("config.json", "preprocessor_config.json", "model.safetensors", "model-*.safetensors", "model.safetensors.index.json")


class Classifier:
    """Flags pictures whose unsafe labels together reach the threshold; of labels that exclude no other, the highest counts.

    It runs where the app draws, a picture at a time, so that it never takes more memory than one check.
    """

    def __init__(self, name: str, *, unsafe: Sequence[str], threshold: float) -> None:
        """Fetch and load `owner/name@commit`. Raises SettingsError, one line, where it is not there or has not these labels."""
        from safetensors import SafetensorError
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        folder = _fetched(name)
        try:
            model, loaded = AutoModelForImageClassification.from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
            self._processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise SettingsError(f"safety.checker {name!r} can not be loaded ({_line(error)}): choose another") from error
        if lacking := sorted(loaded["missing_keys"]):
            raise SettingsError(f"safety.checker {name!r} is no trained classifier: its weights lack {lacking[0]}; choose another")
        self._places = _places(name, dict(model.config.id2label), unsafe)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = model.to(self._device).eval().requires_grad_(False)
        self._one_at_a_time = threading.Lock()
        self.threshold = threshold

    def score(self, picture: "Picture") -> float:
        """How sure the classifier is of the unsafe labels, 0 to 1."""
        pixels = self._processor(picture.convert("RGB"), return_tensors="pt")["pixel_values"]
        with self._one_at_a_time, torch.inference_mode():
            (logits,) = self._model(pixel_values=pixels.to(self._device)).logits.float().cpu()
        if self._model.config.problem_type == "multi_label_classification":
            return float(logits.sigmoid()[self._places].max())
        return float(logits.softmax(dim=0)[self._places].sum())

    def flags(self, picture: "Picture") -> bool:
        """Whether the score reaches the threshold; a score that is no number does."""
        return not self.score(picture) < self.threshold


def _fetched(name: str) -> Path:
    """The commit's files in the Hub's cache; HF_ENDPOINT is asked."""
    from httpx import HTTPError
    from huggingface_hub import snapshot_download

    repository, _, commit = name.partition("@")
    try:
        return Path(
            snapshot_download(repository, revision=commit, allow_patterns=list(_WANTED), endpoint=os.environ.get("HF_ENDPOINT"))
        )
    except (OSError, ValueError, HTTPError) as error:
        raise SettingsError(
            f"safety.checker {name!r} can not be had from the Hub ({_line(error)}): check name and commit"
        ) from error


def _places(name: str, labels: dict[int, str], unsafe: Sequence[str]) -> list[int]:
    """Where the unsafe labels stand among the classifier's outputs."""
    unknown = [label for label in unsafe if label not in labels.values()]
    if unknown:
        has = ", ".join(map(repr, labels.values()))
        raise SettingsError(f"safety.checker {name!r} has no label {unknown[0]!r}: name some of {has} in safety.unsafe")
    return [place for place, label in labels.items() if label in unsafe]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
