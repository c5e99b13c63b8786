"""The free detector: which of our marks, or of others' of the same standards, a file carries."""

import io
from typing import TYPE_CHECKING, Any

from ..errors import BadPicture
from . import manifest
from .looking import Look, look
from .metadata import source_type

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_PIXELS = 50_000_000  # of a picture that is looked at; more is refused before it is decoded

_FORMATS = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp"}


def found_marks(data: bytes, *, anchors: str | None = None) -> dict[str, Any]:
    """What the marks of a JPEG, PNG or WebP say; the keys are always the same. Raises BadPicture.

    anchors: PEM of the certificate authorities whose signatures count as trusted; without it `trusted` stays None. An absent mark
    proves nothing: each can be removed, and the plain note and the pattern can be put on any picture by anybody.
    """
    picture = _opened(data)
    grey = _grey(picture)
    signed = manifest.read(data, _FORMATS[str(picture.format)], anchors=anchors)
    noted = source_type(picture)
    seen = look(grey)
    says_so = signed is not None and signed.valid and signed.source_type == manifest.GENERATED
    return {
        "generated": says_so or seen.present or noted == manifest.GENERATED,
        "c2pa": _signed(signed),
        "watermark": _seen(seen),
        "iptc": {"present": noted is not None, "source_type": noted},
    }


def _opened(data: bytes) -> "Picture":
    """The picture with its header read; its pixels are counted before they are decoded."""
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(data), formats=tuple(_FORMATS))
    except Exception:  # whatever a decoder says to bytes of a stranger, the fault is the file's
        raise BadPicture("the file is no JPEG, PNG or WebP that can be read", type="unsupported_image_format") from None
    if picture.width * picture.height > MAX_PIXELS:
        message = f"the picture has {picture.width} x {picture.height} pixels, at most {MAX_PIXELS:,} are looked at"
        raise BadPicture(message, type="image_too_large")
    return picture


def _grey(picture: "Picture") -> "Picture":
    """The pixels' brightness; the picture is decoded with it."""
    try:
        picture.load()
        return picture.convert("L")
    except Exception:  # as above
        raise BadPicture("the file is damaged: its pixels can not be read", type="image_load_error") from None


def _signed(found: manifest.Manifest | None) -> dict[str, Any]:
    if found is None:
        nothing: dict[str, Any] = {
            "trusted": None,
            "certificate": None,
            "signer": None,
            "source_type": None,
            "package": None,
            "problems": [],
        }
        return {"present": False, "valid": False, **nothing}
    return {
        "present": True,
        "valid": found.valid,
        "trusted": found.trusted,
        "certificate": "development" if found.development else "other",
        "signer": found.signer,
        "source_type": found.source_type,
        "package": found.package,
        "problems": list(found.problems),
    }


def _seen(found: Look) -> dict[str, Any]:
    return {
        "present": found.present,
        "score": round(found.score, 2),
        "threshold": round(found.threshold, 2),
        "package": found.payload.hex() if found.payload else None,
    }
