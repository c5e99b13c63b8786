"""A picture that a caller sends is opened, turned and cut as it should be, and what would cost more than a picture is refused."""

import asyncio
import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from serving.app.errors import BadPicture, WorkRefused
from serving.app.requests.downloads import Internet
from serving.app.requests.inputs import MAX_BODY, MAX_BYTES, MAX_PARTS, MAX_PIXELS, picture_file, start_picture
from serving.app.requests.places import Places
from serving.app.requests.sizes import fitted, require_work, work_of
from serving.app.settings import Limits
from tests.serving.app.public_server import public_server

LIMITS = Limits(
    min_side=16, max_side=64, multiple=8, max_area=48 * 64, max_steps=8, max_images=4, max_prompt_bytes=200, max_work=10**6
)
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_a_picture_comes_in_each_format_and_keeps_its_size(file_format: str) -> None:
    picture = _started(_file(_halves((48, 32)), file_format))
    assert (picture.size, picture.mode) == ((48, 32), "RGB")
    assert _near(picture.getpixel((2, 2)), RED)
    assert _near(picture.getpixel((46, 30)), BLUE)


def test_the_middle_is_kept_where_another_shape_is_asked_for() -> None:
    wide = Image.new("RGB", (96, 32), RED)
    wide.paste(BLUE, (32, 0, 64, 32))
    square = _started(_file(wide), size=(32, 32))
    assert square.size == (32, 32)
    assert square.getcolors() == [(32 * 32, BLUE)]


@pytest.mark.parametrize(
    ("own", "drawn"),
    [
        ((48, 32), (48, 32)),
        ((50, 35), (48, 32)),
        ((640, 480), (64, 48)),
        ((480, 640), (48, 64)),
        ((1000, 1000), (48, 48)),
        ((4, 4), (16, 16)),
        ((1, 500), (16, 64)),
        ((500, 1), (64, 16)),
    ],
)
def test_a_size_of_its_own_is_brought_into_the_limits(own: tuple[int, int], drawn: tuple[int, int]) -> None:
    assert _started(_file(Image.new("RGB", own))).size == drawn == fitted(*own, LIMITS)


@given(
    own=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    least=st.integers(1, 40),
    more=st.integers(0, 2000),
    multiple=st.sampled_from([1, 8, 16, 20, 64]),
    room=st.integers(0, 10**6),
)
@hypothesis_settings(deadline=None, max_examples=300, derandomize=True)
def test_every_size_ends_up_allowed(own: tuple[int, int], least: int, more: int, multiple: int, room: int) -> None:
    side = -(-least // multiple) * multiple  # the smallest that is possible: a package without one is refused when it is read
    changed = {"min_side": least, "max_side": side + more, "multiple": multiple, "max_area": side * side + room}
    limits = LIMITS.model_copy(update=changed)
    assert limits.allows(*fitted(*own, limits))


@pytest.mark.parametrize(("change", "steps"), [(None, 8), (1.0, 8), (0.5, 4), (0.55, 5), (0.01, 1)])
def test_work_counts_the_steps_that_are_drawn(change: float | None, steps: int) -> None:
    assert work_of(32, 16, 8, 3, change=change) == 32 * 16 * steps * 3
    require_work(LIMITS.model_copy(update={"max_work": 32 * 16 * steps}), 32, 16, 8, 1, change=change)
    with pytest.raises(WorkRefused, match="ask for fewer or smaller images"):
        require_work(LIMITS.model_copy(update={"max_work": 32 * 16 * steps - 1}), 32, 16, 8, 1, change=change)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_the_camera_says(orientation: int) -> None:
    upright = _started(_file(_corner(), "PNG"))
    exif = Image.Exif()
    exif[0x0112] = orientation
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Transpose that undoes what the camera tells of
    stored = _corner() if orientation == 1 else _corner().transpose(Image.Transpose(back[orientation]))
    assert np.array_equal(_started(_file(stored, "PNG", exif=exif)), upright)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*" + b"\xff" * 40])
def test_exif_that_is_damaged_turns_nothing(exif: bytes) -> None:
    assert _started(_file(_halves((48, 32)), "JPEG", exif=exif)).size == (48, 32)


@pytest.mark.parametrize(
    ("mode", "colour", "seen"),
    [
        ("RGBA", (255, 0, 0, 0), WHITE),
        ("RGBA", (255, 0, 0, 255), RED),
        ("LA", (0, 0), WHITE),
        ("LA", (100, 255), (100, 100, 100)),
        ("L", 100, (100, 100, 100)),
        ("1", 1, WHITE),
        ("I;16", 0x6400, (100, 100, 100)),
        ("I;16", 0xFFFF, WHITE),
    ],
)
def test_what_is_transparent_or_deep_becomes_plain(mode: str, colour: Any, seen: tuple[int, int, int]) -> None:
    assert _near(_started(_file(Image.new(mode, (32, 32), colour))).getpixel((8, 8)), seen)


def test_a_palette_with_a_transparent_entry_is_flattened() -> None:
    picture = Image.new("P", (32, 32), 1)
    picture.putpalette([0, 255, 0, *RED])
    assert _near(_started(_file(picture, transparency=b"\xff\x00")).getpixel((8, 8)), WHITE)
    assert _near(_started(_file(picture)).getpixel((8, 8)), RED)


def test_print_colours_are_converted() -> None:
    assert _near(_started(_file(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG")).getpixel((8, 8)), RED)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_an_animation_gives_its_first_frame(file_format: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, BLUE, WHITE)]
    assert _near(_started(_file(frames[0], file_format, save_all=True, append_images=frames[1:])).getpixel((8, 8)), RED)


def test_metadata_is_dropped() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("where", "at home")
    assert _started(_file(_halves((32, 32)), pnginfo=text, dpi=(72, 72), icc_profile=b"x" * 200)).info == {}


@pytest.mark.parametrize("file_format", ["GIF", "BMP", "TIFF", "PPM", "ICO", "TGA", "PDF", "EPS", "JPEG2000", "PCX", "DDS"])
def test_other_formats_are_refused_unread(file_format: str) -> None:
    refused = _refused(_file(_halves((32, 32)), file_format))
    assert (refused.type, refused.status, refused.field) == ("unsupported_image_format", 422, "image_url")


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"<svg/>", b"RIFF\0\0\0\0WEBP", b"\0" * 5000]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    assert _refused(data).type in ("unsupported_image_format", "image_load_error")


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_refused(file_format: str, kept: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    data = _file(noise, file_format)
    assert _refused(data[: int(len(data) * kept)]).type in ("image_load_error", "unsupported_image_format")


@given(place=st.integers(0, 2000), bits=st.integers(1, 255), file_format=st.sampled_from(["JPEG", "PNG", "WEBP"]))
@hypothesis_settings(deadline=None, max_examples=150, derandomize=True)
def test_a_damaged_file_is_a_picture_or_a_refusal(place: int, bits: int, file_format: str) -> None:
    data = bytearray(_file(_halves((32, 32)), file_format))
    data[place % len(data)] ^= bits
    try:
        size = _started(bytes(data)).size
    except BadPicture:
        return
    assert LIMITS.allows(*size)


@pytest.mark.parametrize(
    ("width", "height"), [(5001, 5001), (20_000, 20_000), (2**31 - 1, 2**31 - 1), (MAX_PIXELS + 1, 1), (1, MAX_PIXELS + 1)]
)
def test_more_pixels_than_allowed_are_refused_from_the_header(width: int, height: int) -> None:
    assert _refused(_png(width, height, zlib.compress(b"\0" * 1000))).type in ("image_too_large", "image_load_error")


def test_a_webp_whose_header_claims_too_much_is_refused() -> None:
    small = bytearray(_file(Image.new("RGBA", (32, 32)), "WEBP", save_all=True, append_images=[Image.new("RGBA", (32, 32), RED)]))
    place = small.index(b"VP8X") + 12
    small[place : place + 6] = (16382).to_bytes(3, "little") * 2
    assert _refused(bytes(small)).type in ("image_too_large", "image_load_error")


def test_a_jpeg_whose_header_claims_too_much_is_refused() -> None:
    data = bytearray(_file(_halves((32, 32)), "JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = b"\xff\xff\xff\xff"
    assert _refused(bytes(data)).type == "image_too_large"


@pytest.mark.parametrize(("kind", "head"), [(b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")])
def test_a_bomb_beside_the_pixels_of_a_png_is_refused(kind: bytes, head: bytes) -> None:
    bomb = _chunk(kind, head + zlib.compress(b"\0" * 20_000_000))
    pixels = zlib.compress(b"\0" * 32 * 97)
    assert _refused(_png(32, 32, pixels, bomb)).type == "image_load_error"
    assert _started(_png(32, 32, pixels, _chunk(b"tEXt", b"a\0b"))).size == (32, 32)


def test_pixels_behind_the_last_row_of_a_png_do_no_harm() -> None:
    assert _started(_png(32, 32, zlib.compress(b"\0" * 20_000_000))).size == (32, 32)


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    data = _file(_halves((64, 64)), "JPEG", progressive=True)
    assert _started(data).size == (48, 48)
    scan = data.rindex(b"\xff\xda")
    bomb = data[:-2] + data[scan:-2] * 100 + b"\xff\xd9"
    assert "more than 64 scans" in str(_refused(bomb))


def test_scans_of_what_follows_the_picture_do_not_count() -> None:
    """Phones keep a film or more pictures behind the end of a JPEG."""
    assert _started(_file(_halves((64, 48)), "JPEG") + b"\xff\xda\0\2" * 500).size == (64, 48)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_a_file_of_very_many_parts_is_refused(file_format: str) -> None:
    data = _file(_halves((32, 32)), file_format)
    if file_format == "PNG":
        bomb = data[:33] + _chunk(b"teXt", b"") * MAX_PARTS + data[33:]
    else:
        bomb = data[:2] + b"\xff\xe9\0\2" * MAX_PARTS + data[2:]
    assert _refused(bomb).type == "image_load_error"


@pytest.mark.parametrize(
    ("uri", "type"),
    [
        ("data:", "file_download_error"),
        ("data:image/png,abc", "file_download_error"),
        ("data:image/png;base64", "unsupported_image_format"),
        ("data:;base64,****", "file_download_error"),
        ("data:image/png;base64,AAA", "file_download_error"),
        ("data:image/png;base64,é", "file_download_error"),
        ("data:image/png;base64,", "unsupported_image_format"),
        ("DATA:image/png;BASE64,AAAA", "unsupported_image_format"),
        ("data:text/html;base64,PHNjcmlwdD4=", "unsupported_image_format"),
        ("data:image/png;base64," + "A" * (MAX_BYTES // 3 * 4 + 8), "file_too_large"),
    ],
    ids=lambda value: value[:40],
)
def test_a_data_uri_is_held_to_its_form(uri: str, type: str) -> None:
    with pytest.raises(BadPicture) as refused:
        asyncio.run(start_picture(uri, limits=LIMITS))
    assert refused.value.type == type
    assert len(str(refused.value)) < 200


def test_the_content_type_that_is_claimed_does_not_matter() -> None:
    uri = _uri(_file(_halves((32, 32)), "WEBP")).replace("image/png", "text/html;charset=x")
    assert asyncio.run(start_picture(uri, limits=LIMITS)).size == (32, 32)


def test_a_body_holds_a_picture_of_full_size() -> None:
    assert MAX_BYTES * 4 / 3 + 100_000 < MAX_BODY


def test_a_link_is_downloaded_and_opened() -> None:
    data = _file(_halves((48, 32)), "JPEG")

    async def scenario() -> tuple[Any, bytes]:
        async with public_server({"/a": data, "/long": b"x" * (MAX_BYTES + 1)}) as server:
            with pytest.raises(BadPicture, match="larger than the 15728640 bytes"):
                await filed(server.url("/long"), internet=server.internet)
            url, internet = server.url("/a"), server.internet
            return await start_picture(url, limits=LIMITS, internet=internet), await filed(url, internet=internet)

    picture, file = asyncio.run(scenario())
    assert picture.size == (48, 32)
    assert file == data


def test_a_file_to_be_verified_is_looked_at_but_not_changed() -> None:
    data = _file(_halves((48, 32)))
    assert asyncio.run(filed(_uri(data))) == data
    with pytest.raises(BadPicture, match="more than the 25000000 pixels"):
        asyncio.run(filed(_uri(_png(6000, 6000, b""))))


async def filed(url: str, internet: Internet | None = None) -> bytes:
    with Places("test", at_once=1).one("somebody") as place:
        return await picture_file(url, place=place, internet=internet)


def _started(data: bytes, size: tuple[int, int] | None = None) -> Any:
    return asyncio.run(start_picture(_uri(data), limits=LIMITS, size=size))


def _refused(data: bytes) -> BadPicture:
    with pytest.raises(BadPicture) as refused:
        _started(data)
    return refused.value


def _uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _file(picture: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format=file_format, **({"lossless": True} if file_format == "WEBP" else {}), **options)
    return file.getvalue()


def _halves(size: tuple[int, int]) -> Image.Image:
    """Red at the left, blue at the right."""
    picture = Image.new("RGB", size, RED)
    picture.paste(BLUE, (size[0] // 2, 0, *size))
    return picture


def _corner() -> Image.Image:
    """A picture that no turn and no mirror leaves as it is."""
    picture = Image.new("RGB", (48, 48), WHITE)
    picture.paste(RED, (0, 0, 24, 8))
    return picture


def _png(width: int, height: int, pixels: bytes, *more: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join([_chunk(b"IHDR", head), *more, _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _near(found: Any, wanted: tuple[int, int, int]) -> bool:
    return all(abs(a - b) <= 6 for a, b in zip(found, wanted, strict=True))
