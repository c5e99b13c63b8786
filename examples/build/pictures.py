"""Pictures and captions for the embedded base and the demo dataset, from three npm packages.

Noto emoji (emoji-datasource-google: pictures Apache-2.0), Fluent emoji 3D (@lobehub/fluent-emoji-3d: MIT) and their names
(emojibase-data: MIT). Unpack them side by side first:

    mkdir packages && cd packages
    for name in emoji-datasource-google@16.0.0 @lobehub/fluent-emoji-3d@1.1.0 emojibase-data@17.0.0; do npm pack $name; done
    for file in *.tgz; do mkdir ${file%.tgz} && tar xzf $file -C ${file%.tgz} --strip 1; done
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ANIMALS_AND_NATURE, FOOD_AND_DRINK, FLAGS = 3, 4, 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Emoji:
    """One emoji that both styles draw."""

    code: str
    name: str
    tags: tuple[str, ...]
    group: int
    noto: Path
    fluent: Path


def emojis(packages: Path) -> list[Emoji]:
    """Every emoji that both styles draw, flags and skin tones left out, in Unicode's order."""
    names = json.loads(one(packages, "*emojibase-data*/en/data.json").read_text())
    noto, fluent = one(packages, "*emoji-datasource-google*/img/google/64"), one(packages, "*fluent-emoji-3d*/assets")
    found = []
    for entry in names:
        if entry.get("group") in (None, 2, FLAGS):
            continue
        code = entry["hexcode"].lower()
        for spelling in (code, code.replace("-fe0f", "")):
            pair = noto / f"{spelling}.png", fluent / f"{spelling}.webp"
            if pair[0].exists() and pair[1].exists():
                found.append(
                    Emoji(
                        code=spelling,
                        name=entry["label"],
                        tags=tuple(entry.get("tags", ())),
                        group=entry["group"],
                        noto=pair[0],
                        fluent=pair[1],
                    )
                )
                break
    return found


def one(folder: Path, pattern: str) -> Path:
    """The only path below `folder` that matches; FileNotFoundError says which package is missing."""
    matches = sorted(folder.glob(pattern))
    if len(matches) != 1:
        raise FileNotFoundError(f"{pattern}: found {len(matches)} in {folder}; unpack the three packages there (see pictures.py)")
    return matches[0]


def over_white(path: Path, side: int) -> Image.Image:
    """The picture over white, side x side."""
    with Image.open(path) as picture:
        cut = picture.convert("RGBA")
    canvas = Image.new("RGBA", cut.size, "white")
    canvas.alpha_composite(cut)
    return canvas.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)


def as_array(paths: list[Path], side: int = 64) -> np.ndarray:
    """[N, 3, side, side] float32 in [-1, 1]."""
    stack = np.stack([np.asarray(over_white(path, side)) for path in paths])
    return stack.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
