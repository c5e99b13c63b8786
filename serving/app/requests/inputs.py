"""Pictures that callers send: a data URI or an https link becomes pixels, after everything about it was looked at."""

import asyncio
import base64
import binascii
import io
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from ..errors import BadPicture
from ..runner.contained import contained_call
from .downloads import Internet, download
from .places import Place, Places
from .sizes import fitted

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from ..settings import Limits

MAX_BYTES = 15 << 20  # of the file
MAX_BODY = 22 << 20  # of a request: the file in base64, and the other fields
MAX_PIXELS = 25_000_000
MAX_SCANS = 64  # of a JPEG: each costs a pass over all pixels, and a few bytes of the file
MAX_PARTS = 50_000  # of a file; an ordinary one of MAX_BYTES has some thousands

_FORMATS = ("JPEG", "PNG", "WEBP")
_ORIENTATION = 0x0112  # EXIF
_SEGMENT = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")  # of a JPEG, with a length behind it; not what may stand among pixels
_SCAN, _END = 0xDA, 0xD9
_DECODERS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="decode")  # two at once: a picture takes 8 bytes a pixel
_STARTS = Places("start", at_once=32)  # links that pictures are drawn from; a file in the request needs no place
_T = TypeVar("_T")


async def start_picture(
    url: str, *, limits: "Limits", caller: str = "", size: tuple[int, int] | None = None, internet: Internet | None = None
) -> "Picture":
    """The picture that a request starts from, in RGB and of the size that is drawn. Raises BadPicture, Busy.

    size: width and height; where the shapes differ, the middle is kept. None is the picture's own size as the limits allow it.
    Animations give their first frame, what is transparent becomes white, colour profiles and all other metadata are dropped.
    """
    if _is_inline(url):
        data = await _in_thread(lambda: _inline(url))
    else:
        with _STARTS.one(caller) as place:
            data = await download(url, max_bytes=MAX_BYTES, place=place, internet=internet)

    def pixels() -> "Picture":
        from PIL import Image, ImageOps

        picture = _upright(_opened(data))
        return ImageOps.fit(picture, size or fitted(*picture.size, limits), method=Image.Resampling.LANCZOS)

    return await _in_thread(pixels)


async def picture_file(url: str, *, place: Place, internet: Internet | None = None) -> bytes:
    """The file as it was sent; its format and size in pixels were looked at, its pixels not. Raises BadPicture."""
    if _is_inline(url):
        data = await _in_thread(lambda: _inline(url))
    else:
        data = await download(url, max_bytes=MAX_BYTES, place=place, internet=internet)
    await _in_thread(lambda: _opened(data))
    return data


def _is_inline(url: str) -> bool:
    return url[:5].lower() == "data:"


async def _in_thread(work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(_DECODERS, contained_call(work))


def _inline(uri: str) -> bytes:
    """The bytes of a data URI in base64."""
    head, _, content = uri.partition(",")
    if not head.lower().endswith(";base64"):
        raise BadPicture("The data URI must be in base64: data:image/png;base64,...", type="file_download_error")
    if len(content) // 4 * 3 - 2 > MAX_BYTES:
        raise BadPicture(f"The file is larger than the {MAX_BYTES} bytes allowed", type="file_too_large")
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadPicture("The data URI holds what is no base64", type="file_download_error") from error


class _Patient(io.BytesIO):
    """A file of few parts: reading it in very many small pieces fails, before their number costs time."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MAX_PARTS:
            raise OSError(f"the file has more than {MAX_PARTS} parts")
        return super().read(size)


def _opened(data: bytes) -> "Picture":
    """The picture with its header read, and nothing decoded yet."""
    from PIL import Image, UnidentifiedImageError

    if data.startswith(b"\xff\xd8") and _scans(data) > MAX_SCANS:
        raise BadPicture(f"The JPEG has more than {MAX_SCANS} scans or {MAX_PARTS} parts: save it anew")
    try:
        picture = Image.open(_Patient(data), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise BadPicture("The file is no JPEG, PNG or WebP picture", type="unsupported_image_format") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels() from error
    except Exception as error:  # whatever a decoder says to bytes of a stranger, the fault is the file's
        raise _unreadable() from error
    if picture.width * picture.height > MAX_PIXELS:
        raise _too_many_pixels()
    return picture


def _scans(data: bytes) -> int:
    """How often a JPEG goes over its pixels, before anything else that the file holds behind them."""
    scans, place = 0, 2
    for _ in range(MAX_PARTS):
        found = _SEGMENT.search(data, place)
        if found is None or (kind := data[found.end() - 1]) == _END or scans > MAX_SCANS:
            return scans
        scans += kind == _SCAN
        place = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return MAX_SCANS + 1


def _upright(picture: "Picture") -> "Picture":
    """The pixels in RGB on white, turned as the camera says."""
    try:
        picture.load()
        flat = _flat(picture)
    except Exception as error:  # as above
        raise _unreadable() from error
    flat.info.clear()
    return _turned(flat, _orientation(picture))


def _orientation(picture: "Picture") -> object:
    """How the camera says that it was held; nothing where its EXIF is damaged, which harms no pixel."""
    try:
        return picture.getexif().get(_ORIENTATION)
    except Exception:  # as above: there are as many ways to damage it as lines that read it
        return None


def _flat(picture: "Picture") -> "Picture":
    from PIL import Image

    if picture.mode.startswith("I"):  # 16 bits of grey: convert() would cut them off at 255
        return picture.point(lambda value: value / 256).convert("L").convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layers = picture.convert("RGBA")
    white = Image.new("RGB", layers.size, "white")
    white.paste(layers, mask=layers.getchannel("A"))
    return white


def _turned(picture: "Picture", orientation: object) -> "Picture":
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(orientation) if isinstance(orientation, int) else None
    return picture if turn is None else picture.transpose(turn)


def _too_many_pixels() -> BadPicture:
    return BadPicture(f"The picture has more than the {MAX_PIXELS} pixels allowed", type="image_too_large")


def _unreadable() -> BadPicture:
    return BadPicture("The picture can not be read: it is cut off or damaged")
