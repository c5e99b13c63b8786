"""How many faces a picture shows, by the Haar cascades that OpenCV carries. (Viola and Jones 2001; Lienhart and Maydt 2002)"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.policy import Unmeasured

if TYPE_CHECKING:
    from collections.abc import Callable

_SIDE = 512  # longest side that is searched, in pixels
_STEP = 1.2  # from one size of face to the next


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cascade:
    """A cascade by its file, how many overlapping hits make a face, and the smallest face as a share of the shorter side."""

    file: str
    hits: int
    smallest: float


_FRONTAL = _Cascade(file="haarcascade_frontalface_alt.xml", hits=3, smallest=0.05)
_PROFILE = _Cascade(file="haarcascade_profileface.xml", hits=5, smallest=0.08)
_LEAST = 24  # pixels a side that a face must have


@cache
def faces() -> Callable[[Image.Image], float]:
    """A counter of faces: frontal ones, and where there are none those in profile; loaded once, one thread.

    Unmeasured where OpenCV or its cascades are not here.
    """
    try:
        import cv2
    except ImportError as error:
        raise Unmeasured(f"OpenCV cannot be imported ({error})") from error
    cv2.setNumThreads(1)
    folder = resources.files("cv2") / "data"
    frontal, profile = (cv2.CascadeClassifier(str(folder / one.file)) for one in (_FRONTAL, _PROFILE))
    if frontal.empty() or profile.empty():
        raise Unmeasured("this OpenCV carries no Haar cascades")

    def count(picture: Image.Image) -> float:
        grey = _grey(picture)
        facing = _hits(frontal, _FRONTAL, grey)
        if facing:
            return float(facing)
        return float(max(_hits(profile, _PROFILE, view) for view in (grey, np.ascontiguousarray(grey[:, ::-1]))))

    return count


def _hits(classifier: Any, cascade: _Cascade, grey: NDArray[np.uint8]) -> int:
    least = max(_LEAST, round(min(grey.shape) * cascade.smallest))
    return len(classifier.detectMultiScale(grey, scaleFactor=_STEP, minNeighbors=cascade.hits, minSize=(least, least)))


def _grey(picture: Image.Image) -> NDArray[np.uint8]:
    small = picture.convert("L")
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(small, dtype=np.uint8)
