"""A drawn picture becomes a marked file: a watermark in its pixels, a plain note beside them, signed metadata around both."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import MarkingError, SettingsError
from ..pictures import OutputFormat, encode
from ..settings import Installed, Marking
from .certificate import Credential, for_development, publishers
from .manifest import ManifestSigner, read
from .metadata import packet
from .statement import statement_of
from .watermark import PAYLOAD, marked

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_TRIAL = (16, 16)  # pixels of the picture that is signed and read before any caller's


def marker_for(package: Installed, environ: Mapping[str, str] = os.environ) -> "Marker | None":
    """The marker that the settings ask for; None where the package says that pictures leave unmarked."""
    return Marker(package, environ) if package.settings.marking.enabled else None


class Marker:
    """Marks the pictures of one package; may be used by several threads.

    Setup stops with a SettingsError in one line where the certificate can not sign.
    """

    def __init__(self, package: Installed, environ: Mapping[str, str]) -> None:
        credential = _credential(package.settings.marking, environ)
        self.statement = statement_of(package.settings.marking, signer=credential.signer)
        self._payload = bytes.fromhex(package.hash[: 2 * PAYLOAD])
        self._signer = ManifestSigner(credential, title=package.settings.name, package=package.hash)
        self._try()

    def file(self, picture: "Picture", output_format: OutputFormat) -> bytes:
        """The picture as a file with all marks. MarkingError where one fails; what fails in encoding passes through."""
        try:
            watermarked = marked(picture, self._payload)
        except Exception as error:
            raise MarkingError(f"no watermark could be added ({type(error).__name__})") from error
        data = encode(watermarked, output_format, xmp=packet())
        try:
            return self._signer.signed(data, output_format)
        except Exception as error:
            raise MarkingError(f"the file could not be signed ({type(error).__name__})") from error

    def _try(self) -> None:
        """Sign a picture and read it back: a chain that C2PA does not take shows here and not at a caller's picture."""
        from PIL import Image

        try:
            manifest = read(self.file(Image.new("RGB", _TRIAL), "png"), "png")
        except MarkingError as error:
            raise SettingsError(f"the certificate can not sign pictures ({_why(error)}): is it one for C2PA signing?") from error
        if manifest is None or not manifest.valid:
            problems = ", ".join(manifest.problems) if manifest else "no manifest was written"
            raise SettingsError(f"the certificate signs, but its signature is not valid ({problems}): is it one for C2PA signing?")


def _credential(marking: Marking, environ: Mapping[str, str]) -> Credential:
    return publishers(environ) if marking.certificate == "secret" else for_development(marking.publisher)


def _why(error: MarkingError) -> str:
    return " ".join(str(error.__cause__ or error).split())[:200]
