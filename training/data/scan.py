"""What lies in a picture folder: files, sizes from their headers, pixels."""

import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"})
FOREIGN = frozenset({".heic", ".heif", ".jxl", ".jp2", ".psd", ".svg", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf"})
MASK = ".mask"  # NAME.mask.png beside NAME.jpg
MAX_SIDE = 16_384  # a longer side is no photograph: more likely a scan strip or an attack
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, TypeError, IndexError, EOFError, OverflowError, struct.error, zlib.error)


class Unreadable(ValueError):
    """The file is no picture that can be decoded."""


class TooLarge(ValueError):
    """The header promises more pixels than the limit; nothing was decoded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A picture file: where it is, the name that reports use, and the mask beside it."""

    path: Path
    name: str
    held_out: bool = False
    mask: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """A picture as RGB over white, and its alpha (L) where it has one that hides something."""

    picture: Image.Image
    alpha: Image.Image | None


def find(folder: Path, *, held_out: bool = False, prefix: str = "", without: Path | None = None) -> list[Found]:
    """Pictures below folder in name order, hidden files and the folder `without` left out; masks go with their pictures."""
    paths = [path for path in sorted(folder.rglob("*")) if _is_shown(path, folder, without)]
    stems = {path.with_suffix("") for path in paths}
    masks = {path.with_suffix("").with_suffix(""): path for path in paths if _is_mask(path, stems)}
    return [
        Found(
            path=path,
            name=prefix + path.relative_to(folder).as_posix(),
            held_out=held_out,
            mask=masks.get(path.with_suffix("")),
        )
        for path in paths
        if not _is_mask(path, stems)
    ]


def decode(path: Path, *, max_pixels: int) -> Decoded:
    """The picture: first frame, EXIF orientation applied, alpha over white, 16 bit scaled down, CMYK and palettes to RGB.

    Raises TooLarge from the header alone, Unreadable when the decoder gives up.
    """
    if path.suffix.lower() in FOREIGN:
        raise Unreadable(f"{path.suffix.lower()} is not decoded here; PNG, JPEG, WebP, TIFF, GIF, BMP and AVIF are")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is no fault of the pixels; the size is judged below
            with Image.open(path) as picture:
                width, height = picture.size
                if width * height > max_pixels or max(width, height) > MAX_SIDE:
                    raise TooLarge(f"{width} x {height} pixels")
                picture.load()
                upright = ImageOps.exif_transpose(picture)
                return Decoded(picture=_to_rgb(upright), alpha=_alpha(upright))
    except TooLarge:
        raise
    except Image.DecompressionBombError as error:
        raise TooLarge("more pixels than a decoder should be asked for") from error
    except _DECODER_ERRORS as error:
        raise Unreadable(" ".join(str(error).split()).replace(str(path), path.name) or type(error).__name__) from error


def _is_shown(path: Path, folder: Path, without: Path | None) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    elsewhere = without is not None and path.is_relative_to(without)
    return path.suffix.lower() in SUFFIXES | FOREIGN and path.is_file() and not hidden and not elsewhere


def _is_mask(path: Path, stems: set[Path]) -> bool:
    """A NAME.mask.png with no NAME of any kind beside it is a picture with an odd name."""
    bare = path.with_suffix("")
    return bare.suffix == MASK and bare.with_suffix("") in stems


def _has_alpha(picture: Image.Image) -> bool:
    return picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info


def _alpha(picture: Image.Image) -> Image.Image | None:
    if picture.mode.startswith(("I", "F")) or not _has_alpha(picture):
        return None
    alpha = picture.convert("RGBA").getchannel("A")
    return alpha if alpha.getextrema() != (255, 255) else None


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        return _eight_bit(picture).convert("RGB")
    if _has_alpha(picture):
        colour = picture.convert("RGBA")
        white = Image.new("RGBA", colour.size, (255, 255, 255, 255))
        white.alpha_composite(colour)
        return white.convert("RGB")
    return picture.convert("RGB")


def _eight_bit(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture, dtype=np.float64)
    top = float(values.max(initial=0.0))
    if picture.mode.startswith("I;16"):
        values = values / 257.0
    elif top > 255:  # Pillow clips 16-bit grey instead of scaling it
        values = values / 257.0 if top <= 65_535 else values * (255.0 / top)
    elif picture.mode == "F" and top <= 1.0:
        values = values * 255.0
    return Image.fromarray(np.clip(values.round(), 0, 255).astype(np.uint8), mode=None)
