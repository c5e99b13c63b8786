"""Examples of the listing: what the gallery has, beside what the evaluation has for the same prompt and seed."""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from serving.listing.errors import GalleryError
from serving.listing.gallery import CALLS, as_png, one_line
from serving.listing.model import Example
from serving.listing.model_values import Picture
from serving.listing.planning import Shot, arguments_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Examples:
    """The examples, the bytes of their files, and what was called, billed and waited for them."""

    examples: tuple[Example, ...]
    files: dict[str, bytes]
    calls: tuple[dict[str, Any], ...]

    @property
    def images(self) -> int:
        """Pictures that were decoded, over all calls."""
        return sum(call["images"] for call in self.calls)

    @property
    def units(self) -> int:
        """Units that were billed, over all calls."""
        return sum(call["units"] for call in self.calls)


def collected(shots: Sequence[Shot], *, gallery: Path, bundle: Path) -> Examples:
    """The examples of `shots` out of the folder that photographed() filled; GalleryError where it was filled for others."""
    calls = json.loads((gallery / CALLS).read_text(encoding="utf-8"))["calls"]
    if [call["arguments"] for call in calls] != [arguments_of(asked) for asked in shots]:
        raise GalleryError(f"{gallery}: these pictures were made for other prompts, seeds or sizes; make the gallery again")
    files: dict[str, bytes] = {}
    outputs = [delivered_of(files, gallery / call["file"], f"examples/{call['file']}") for call in calls]
    made = list(zip(shots, calls, outputs, strict=True))
    bases = {(asked.prompt, asked.seed): output for asked, _, output in made if asked.role == "base"}
    examples = []
    for asked, call, output in made:
        if asked.role == "base":
            continue
        name = call["file"].removesuffix(".png")
        beside = {role: picture_of(files, bundle / file, f"examples/{name}-{role}.png") for role, file in sides(asked)}
        if asked.role == "pair" and "base" not in beside and (asked.prompt, asked.seed) in bases:
            beside["base"] = bases[asked.prompt, asked.seed]
        shown = {key: value for key, value in call["arguments"].items() if key != "sync_mode"}
        told: dict[str, Any] = {"alt": alt_of(asked), "role": asked.role, "strength": asked.strength}
        examples.append(Example(input=shown, output=output, seed=asked.seed, **told, **beside))
    receipts = tuple({key: value for key, value in call.items() if key != "file"} for call in calls)
    return Examples(examples=tuple(examples), files=files, calls=receipts)


def alt_of(asked: Shot) -> str:
    """What a picture is, for somebody who does not see it; the author may say it better."""
    made = f"for the prompt “{one_line(asked.prompt)}”, seed {asked.seed}"
    if asked.strength is not None:
        return f"Made by the deployed adapter at strength {asked.strength:g} {made}"
    return f"Made by the deployed adapter {made}"


def sides(asked: Shot) -> Iterator[tuple[str, str]]:
    if asked.base:
        yield "base", asked.base
    if asked.real:
        yield "real", asked.real


def delivered_of(files: dict[str, bytes], source: Path, name: str) -> Picture:
    """A picture of the gallery, the file as the app delivered it: with the marks that say that it was generated."""
    content = source.read_bytes()
    with Image.open(io.BytesIO(content)) as picture:
        width, height = picture.size
    files[name] = content
    return Picture(file=name, sha256=hashlib.sha256(content).hexdigest(), width=width, height=height)


def picture_of(files: dict[str, bytes], source: Path, name: str) -> Picture:
    """A picture of the evaluation, copied beside the listing."""
    try:
        with Image.open(source) as picture:
            content, width, height = as_png(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        where = f"{source.parent.name}/{source.name}"
        raise GalleryError(f"sample {where} is not readable ({one_line(str(error))}); evaluate again") from None
    files[name] = content
    return Picture(file=name, sha256=hashlib.sha256(content).hexdigest(), width=width, height=height)
