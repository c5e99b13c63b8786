"""Pictures made by calling the deployed app: held-out prompts, fixed seeds, each call billed, so each is kept.

What is written here depends on the calls alone; texts and layout are rendered over it as often as anybody likes.
"""

import base64
import binascii
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image, UnidentifiedImageError

from serving.app.billing import BillingUnit, Delivered, units_for
from serving.listing.errors import GalleryError
from serving.listing.planning import Shot, arguments_of

DATA_URI = re.compile(r"data:image/[\w.+-]+;base64,(?P<payload>[A-Za-z0-9+/=\s]+)\Z")
MAX_PIXELS = 4096 * 4096
SLUG_LENGTH = 32
CALLS = "calls.json"


class Called(Protocol):
    """What one call of the app came back with."""

    @property
    def status(self) -> int: ...
    @property
    def units(self) -> str | None: ...
    @property
    def body(self) -> dict[str, Any]: ...
    @property
    def seconds(self) -> float: ...


Call = Callable[[dict[str, Any]], Called]
Progress = Callable[[str], None]


def unit_of(settings: Mapping[str, Any] | None) -> BillingUnit:
    """What one unit of a package is, by its settings."""
    unit: BillingUnit = ((settings or {}).get("billing") or {}).get("unit", "image")
    return unit


def photographed(shots: Sequence[Shot], *, out: Path, call: Call, progress: Progress, unit: BillingUnit = "image") -> None:
    """Call the app once a shot; the pictures and calls.json into the empty folder `out`.

    GalleryError, one line, where a call fails or bills other than what it delivered.
    """
    if not shots:
        raise GalleryError(
            "no held-out prompt to make examples with: the evaluation has no samples and the dataset no held-out captions"
        )
    out.mkdir(parents=True, exist_ok=True)
    calls = []
    for index, asked in enumerate(shots):
        progress(f"example {index + 1} of {len(shots)}: {one_line(asked.prompt)}")
        arguments = arguments_of(asked)
        called = call(arguments)
        pictures, units = delivered(called, asked, unit)
        file = f"{index:02d}-{asked.role}-{slug(asked.prompt)}.png"
        (out / file).write_bytes(payload(called.body["images"][0], file))  # as delivered: its marks are part of it
        sha256 = hashlib.sha256(as_png(pictures[0])[0]).hexdigest()  # of the pixels: marks are signed anew each time
        calls.append(
            {
                "arguments": arguments,
                "status": 200,
                "images": len(pictures),
                "units": units,
                "seconds": round(called.seconds, 3),
                "sha256": sha256,
                "file": file,
            }
        )
    (out / CALLS).write_text(json.dumps({"calls": calls}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def delivered(called: Called, asked: Shot, unit: BillingUnit = "image") -> tuple[list[Image.Image], int]:
    """Decoded pictures of one call, at least one, and the units billed for them, which must be those that they are worth."""
    where = f"example {one_line(asked.prompt)!r}, seed {asked.seed}"
    if called.status != 200:
        raise GalleryError(f"{where}: the app answered {called.status} ({reason(called.body)}); look at its log, then draft again")
    entries = called.body.get("images")
    pictures = [decoded(entry, where) for entry in entries] if isinstance(entries, list) else []
    if called.units is None or not re.fullmatch(r"\d{1,6}(\.0+)?", called.units):
        raise GalleryError(
            f"{where}: got x-fal-billable-units {called.units!r}, a whole number is needed; deploy the app as packaged"
        )
    units = int(float(called.units))
    owed = units_for([Delivered(index=n, width=each.width, height=each.height) for n, each in enumerate(pictures)], unit)
    if units != owed:
        raise GalleryError(
            f"{where}: {units} units billed for {len(pictures)} pictures delivered, {owed} by {unit}; "
            "do not list an app that bills so"
        )
    if not pictures:
        raise GalleryError(f"{where}: no picture was delivered (withheld by the safety check?); hold other names out")
    return pictures, units


def decoded(entry: object, where: str) -> Image.Image:
    """A picture from a data URI, decoded to the last pixel; RGB."""
    try:
        picture = Image.open(io.BytesIO(payload(entry, where)))
        if picture.width * picture.height > MAX_PIXELS:
            raise GalleryError(f"{where}: a picture of {picture.width} x {picture.height} came back, more than any limit allows")
        return picture.convert("RGB")
    except (binascii.Error, UnidentifiedImageError, OSError) as error:
        raise GalleryError(f"{where}: the picture can not be decoded ({one_line(str(error))})") from None


def payload(entry: object, where: str) -> bytes:
    """The file in a data URI, as it was delivered."""
    url = entry.get("url") if isinstance(entry, dict) else None
    match = DATA_URI.match(url) if isinstance(url, str) else None
    if match is None:
        raise GalleryError(f"{where}: the picture came as {str(url)[:40]!r}, a data URI was asked for (sync_mode)")
    return base64.b64decode(match["payload"], validate=False)


def as_png(picture: Image.Image) -> tuple[bytes, int, int]:
    """PNG without metadata, so that equal pixels give equal bytes."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", picture.size, picture.tobytes()).save(buffer, "PNG", optimize=True)
    return buffer.getvalue(), picture.width, picture.height


def reason(body: Mapping[str, Any]) -> str:
    """What the app said, on one line: FastAPI's detail, typed or plain."""
    detail = body.get("detail", "no detail given")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        detail = detail[0].get("msg", detail[0])
    return one_line(str(detail))[:200]


def slug(prompt: str) -> str:
    """`red panda!` -> `red-panda`: a file name out of a prompt."""
    return re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")[:SLUG_LENGTH].rstrip("-") or "example"


def one_line(text: str) -> str:
    return " ".join(text.split())
