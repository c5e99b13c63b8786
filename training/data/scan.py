"""What lies in a picture folder: files, sizes from their headers, pixels."""

import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
MAX_SIDE = 16_384  # a longer side is no photograph: more likely a scan strip or an attack
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, TypeError, IndexError, EOFError, OverflowError, struct.error, zlib.error)


class Unreadable(ValueError):
    """The file is no picture that can be decoded."""


class TooLarge(ValueError):
    """The header promises more pixels than the limit; nothing was decoded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A picture file: where it is, and the name that reports use."""

    path: Path
    name: str
    held_out: bool = False


def find(folder: Path, *, held_out: bool = False, prefix: str = "", without: Path | None = None) -> list[Found]:
    """Pictures below folder in name order, hidden files and the folder `without` left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        elsewhere = without is not None and path.is_relative_to(without)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden and not elsewhere:
            found.append(Found(path=path, name=prefix + relative.as_posix(), held_out=held_out))
    return found


def decode(path: Path, *, max_pixels: int) -> Image.Image:
    """The picture as RGB: first frame, EXIF orientation applied, alpha over white, 16 bit scaled down.

    Raises TooLarge from the header alone, Unreadable when the decoder gives up.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is no fault of the pixels; the size is judged below
            with Image.open(path) as picture:
                width, height = picture.size
                if width * height > max_pixels or max(width, height) > MAX_SIDE:
                    raise TooLarge(f"{width} x {height} pixels")
                picture.load()
                return _to_rgb(ImageOps.exif_transpose(picture))
    except TooLarge:
        raise
    except Image.DecompressionBombError as error:
        raise TooLarge("more pixels than a decoder should be asked for") from error
    except _DECODER_ERRORS as error:
        raise Unreadable(" ".join(str(error).split()).replace(str(path), path.name) or type(error).__name__) from error


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        return _eight_bit(picture).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        colour = picture.convert("RGBA")
        white = Image.new("RGBA", colour.size, (255, 255, 255, 255))
        white.alpha_composite(colour)
        return white.convert("RGB")
    return picture.convert("RGB")


def _eight_bit(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture, dtype=np.float64)
    top = float(values.max(initial=0.0))
    if top > 255:  # Pillow clips 16-bit grey instead of scaling it
        values = values / 257.0 if top <= 65_535 else values * (255.0 / top)
    elif picture.mode == "F" and top <= 1.0:
        values = values * 255.0
    return Image.fromarray(np.clip(values.round(), 0, 255).astype(np.uint8), mode=None)
