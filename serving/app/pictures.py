"""From a picture in memory to bytes of a file, and from bytes to the link or data URI that the caller gets."""

import io
from typing import TYPE_CHECKING, Any, Literal

from fal.toolkit import Image
from fal.toolkit.image import ImageSize

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

OutputFormat = Literal["jpeg", "png", "webp"]

# PNG at level 1 and JPEG at 95 are what fal's own toolkit uses; a higher PNG level costs more time than the model's last step.
_SAVE: dict[OutputFormat, dict[str, Any]] = {
    "jpeg": {"quality": 95},
    "png": {"compress_level": 1},
    "webp": {"quality": 90, "method": 2},
}


def encode(picture: "Picture", output_format: OutputFormat) -> bytes:
    """The picture as a file. Deterministic: the same picture gives the same bytes."""
    file = io.BytesIO()
    picture.convert("RGB").save(file, format=output_format, **_SAVE[output_format])
    return file.getvalue()


def hand_out(data: bytes, output_format: OutputFormat, size: tuple[int, int], *, inline: bool) -> Image:
    """Give the bytes a URL: inside of the answer (a data URI) or in fal's storage. The bytes are not encoded again."""
    where = {"repository": "in_memory"} if inline else {}
    return Image.from_bytes(data, output_format, size=ImageSize(width=size[0], height=size[1]), **where)
