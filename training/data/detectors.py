"""Faces and content that is not safe for work: judged by a local model where one is given, else by what is installed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from training.data import nsfw
from training.data.faces import faces
from training.data.local_model import local_model
from training.data.policy import WHOLE, Remark, Unmeasured
from training.data.statement import Statement
from training.errors import DatasetError

LABELS: Mapping[str, re.Pattern[str]] = {
    "faces": re.compile(r"face", re.IGNORECASE),
    "nsfw": re.compile(r"nsfw|porn|hentai|sexy|explicit|nud(e|ity)|unsafe", re.IGNORECASE),
}
MENDED: Mapping[str, str] = {
    "faces": "state consent in dataset.yaml or leave the picture out; ignore it where the face is drawn and no person's",
    "nsfw": "leave the picture out, or lower the finding where such pictures are meant and allowed",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Detector:
    """A check by its name, which is the code of its finding, and the score of a picture: from `least` up it is found."""

    name: str
    score: Callable[[Image.Image], float]
    least: float = 0.5
    counts: bool = False  # scores are numbers of what was found, not probabilities

    def remark(self, file: str, score: float) -> Remark | None:
        """The finding that a score comes to."""
        if score < self.least:
            return None
        found = f"{score:g} found" if self.counts else f"found with probability {score:.2f}"
        return Remark(file=file, code=self.name, message=f"{found}: {MENDED[self.name]}")


def detectors_of(models: Mapping[str, Path], statement: Statement) -> tuple[list[Detector], list[Remark]]:
    """The detectors at hand, and `unmeasured` for each that is not; where consent is stated, faces need no looking for."""
    unknown = sorted(models.keys() - LABELS.keys())
    if unknown:
        raise DatasetError(f"detectors: got {unknown[0]!r}; the detectors are {', '.join(LABELS)}")
    detectors, remarks = [], []
    for name, labels in LABELS.items():
        if name == "faces" and statement.consent:
            continue
        try:
            score = local_model(name, models[name], labels) if name in models else None
            detectors.append(Detector(name=name, score=score) if score else _installed(name))
        except Unmeasured as error:
            message = f"{name}: {error}, so nobody looked: give dataset.detectors.{name} the folder of a model, or look yourself"
            remarks.append(Remark(file=WHOLE, code="unmeasured", message=message))
    return detectors, remarks


def _installed(name: str) -> Detector:
    if name == "faces":
        return Detector(name=name, score=faces(), least=1, counts=True)
    return Detector(name=name, score=nsfw.open_nsfw(), least=nsfw.LEAST)
