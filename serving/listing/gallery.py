"""Examples made by calling the deployed app: held-out prompts, fixed seeds, pictures counted after they were decoded."""

import base64
import binascii
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image, UnidentifiedImageError

from serving.listing.errors import GalleryError
from serving.listing.model import Example, Picture

DATA_URI = re.compile(r"data:image/[\w.+-]+;base64,(?P<payload>[A-Za-z0-9+/=\s]+)\Z")
MAX_PIXELS = 4096 * 4096
SLUG_LENGTH = 32


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """One prompt and seed to ask the app for, with what the evaluation has for them (paths in the bundle)."""

    prompt: str
    seed: int
    base: str | None = None
    real: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """The examples, the bytes of their files, and what was called and billed (no clock in it)."""

    examples: tuple[Example, ...]
    files: dict[str, bytes]
    calls: tuple[dict[str, Any], ...]
    images: int
    units: int


def planned(evaluation: Mapping[str, Any], dataset: Mapping[str, Any], *, prompts: int = 4, seeds: int = 2) -> tuple[Shot, ...]:
    """Held-out prompts in the evaluation's order, filled up from the dataset; the first seed is the evaluation's own."""
    sampled = {(sample["prompt"], sample["seed"]): sample for sample in evaluation.get("samples", ())}
    seed_of = {prompt: seed for prompt, seed in reversed(sampled)}
    names = [sample["prompt"] for sample in evaluation.get("samples", ())]
    names += [picture["caption"] for picture in dataset.get("pictures", ()) if picture["split"] == "held_out" and picture.get("caption")]
    chosen = list(dict.fromkeys(names))[:prompts]
    real_of = {sample["prompt"]: sample.get("real") for sample in evaluation.get("samples", ())}
    return tuple(shot(prompt, seed_of.get(prompt, 0) + step, sampled, real_of) for prompt in chosen for step in range(seeds))


def shot(prompt: str, seed: int, sampled: Mapping[tuple[str, int], Mapping[str, Any]], real_of: Mapping[str, str | None]) -> Shot:
    base = sampled.get((prompt, seed), {}).get("base")
    return Shot(prompt=prompt, seed=seed, base=base, real=real_of.get(prompt) if base else None)


def photographed(shots: Sequence[Shot], *, bundle: Path, call: Call, progress: Progress) -> Gallery:
    """Call the app once a shot. GalleryError, one line, where a call fails or bills other than what it delivered."""
    if not shots:
        raise GalleryError("no held-out prompt to make examples with: the evaluation has no samples and the dataset no held-out captions")
    files: dict[str, bytes] = {}
    examples, calls = [], []
    for index, planned_shot in enumerate(shots):
        progress(f"example {index + 1} of {len(shots)}: {one_line(planned_shot.prompt)}")
        arguments = {"prompt": planned_shot.prompt, "seed": planned_shot.seed, "num_images": 1, "output_format": "png", "sync_mode": True}
        pictures, units = delivered(call(arguments), planned_shot)
        name = f"{index:02d}-{slug(planned_shot.prompt)}"
        output = kept(files, f"examples/{name}.png", as_png(pictures[0]))
        beside = {role: from_bundle(files, bundle, file, f"examples/{name}-{role}.png") for role, file in sides(planned_shot)}
        shown = {key: value for key, value in arguments.items() if key != "sync_mode"}
        alt = f"Made by the deployed adapter for the prompt “{one_line(planned_shot.prompt)}”, seed {planned_shot.seed}"
        examples.append(Example(input=shown, output=output, seed=planned_shot.seed, alt=alt, **beside))
        calls.append({"arguments": arguments, "status": 200, "images": len(pictures), "units": units, "sha256": output.sha256})
    images, total = (sum(int(entry[key]) for entry in calls) for key in ("images", "units"))
    return Gallery(examples=tuple(examples), files=files, calls=tuple(calls), images=images, units=total)


def delivered(called: Called, asked: Shot) -> tuple[list[Image.Image], int]:
    """Decoded pictures of one call and the units billed for them; they must be equal, and at least one."""
    where = f"example {one_line(asked.prompt)!r}, seed {asked.seed}"
    if called.status != 200:
        raise GalleryError(f"{where}: the app answered {called.status} ({reason(called.body)}); look at its log, then draft again")
    entries = called.body.get("images")
    pictures = [decoded(entry, where) for entry in entries] if isinstance(entries, list) else []
    if called.units is None or not re.fullmatch(r"\d{1,6}(\.0+)?", called.units):
        raise GalleryError(f"{where}: got x-fal-billable-units {called.units!r}, a whole number is needed; deploy the app as packaged")
    units = int(float(called.units))
    if units != len(pictures):
        raise GalleryError(f"{where}: {units} units billed for {len(pictures)} pictures delivered; do not list an app that bills so")
    if not pictures:
        raise GalleryError(f"{where}: no picture was delivered (withheld by the safety check?); hold other names out")
    return pictures, units


def decoded(entry: object, where: str) -> Image.Image:
    """A picture from a data URI, decoded to the last pixel; RGB."""
    url = entry.get("url") if isinstance(entry, dict) else None
    match = DATA_URI.match(url) if isinstance(url, str) else None
    if match is None:
        raise GalleryError(f"{where}: the picture came as {str(url)[:40]!r}, a data URI was asked for (sync_mode)")
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(match["payload"], validate=False)))
        if picture.width * picture.height > MAX_PIXELS:
            raise GalleryError(f"{where}: a picture of {picture.width} x {picture.height} came back, more than any limit allows")
        return picture.convert("RGB")
    except (binascii.Error, UnidentifiedImageError, OSError) as error:
        raise GalleryError(f"{where}: the picture can not be decoded ({one_line(str(error))})") from None


def sides(asked: Shot) -> Iterator[tuple[str, str]]:
    if asked.base:
        yield "base", asked.base
    if asked.real:
        yield "real", asked.real


def from_bundle(files: dict[str, bytes], bundle: Path, source: str, name: str) -> Picture:
    """A sample of the evaluation, copied beside the listing."""
    try:
        with Image.open(bundle / source) as picture:
            return kept(files, name, as_png(picture.convert("RGB")))
    except (OSError, UnidentifiedImageError) as error:
        raise GalleryError(f"adapter bundle: sample {source} is not readable ({one_line(str(error))}); evaluate again") from None


def as_png(picture: Image.Image) -> tuple[bytes, int, int]:
    """PNG without metadata, so that equal pixels give equal bytes."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", picture.size, picture.tobytes()).save(buffer, "PNG", optimize=True)
    return buffer.getvalue(), picture.width, picture.height


def kept(files: dict[str, bytes], name: str, png: tuple[bytes, int, int]) -> Picture:
    content, width, height = png
    files[name] = content
    return Picture(file=name, sha256=hashlib.sha256(content).hexdigest(), width=width, height=height)


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
