"""From a picture in memory to bytes of a file, and from bytes to the link or data URI that the caller gets."""

import io
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from fal.toolkit import Image
    from PIL.Image import Image as Picture

OutputFormat = Literal["jpeg", "png", "webp"]

# PNG at level 1 and JPEG at 95 are what fal's own toolkit uses; a higher PNG level costs more time than the model's last step.
_SAVE: dict[OutputFormat, dict[str, Any]] = {
    "jpeg": {"quality": 95},
    "png": {"compress_level": 1},
    "webp": {"quality": 90, "method": 2},
}


def encode(picture: "Picture", output_format: OutputFormat, *, xmp: bytes | None = None) -> bytes:
    """The picture as a file, with nothing beside its pixels but this XMP. Deterministic: the same gives the same bytes."""
    file = io.BytesIO()
    options = {**_SAVE[output_format], **(_with_xmp(output_format, xmp) if xmp else {})}
    picture.convert("RGB").save(file, format=output_format, exif=b"", icc_profile=None, **options)
    return file.getvalue()


def _with_xmp(output_format: OutputFormat, xmp: bytes) -> dict[str, Any]:
    """PNG keeps XMP in a text chunk with this name, the other formats have a place of their own for it."""
    if output_format != "png":
        return {"xmp": xmp}
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return {"pnginfo": text}


def hand_out(data: bytes, output_format: OutputFormat, size: tuple[int, int], *, inline: bool) -> "Image":
    """Give the bytes a URL: inside of the answer (a data URI) or in fal's storage. The bytes are not encoded again."""
    from fal.toolkit import Image  # the detector of marks runs where no app does
    from fal.toolkit.image import ImageSize

    where = {"repository": "in_memory"} if inline else {}
    return Image.from_bytes(data, output_format, size=ImageSize(width=size[0], height=size[1]), **where)
