"""Pictures that nobody drew with us, and what happens to pictures on their way through the world."""

from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

import skimage.data
from PIL import Image
from PIL.Image import Image as Picture

FOLDER = Path(skimage.data.__file__).parent
NAMES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg", "page.png")
EMOJI = Path(__file__).resolve().parents[3] / "examples" / "emoji" / "pictures"

Attack = Callable[[Picture], Picture]


@cache
def photograph(name: str, side: int | None = None) -> Picture:
    """One of scikit-image's photographs, its shorter side at most or exactly this long."""
    picture = Image.open(FOLDER / name).convert("RGB")
    return picture if side is None else resized(picture, side / min(picture.size))


def emoji(count: int) -> list[Picture]:
    return [Image.open(path).convert("RGB") for path in sorted(EMOJI.glob("*.webp"))[:count]]


def jpeg(quality: int) -> Attack:
    def attack(picture: Picture) -> Picture:
        file = BytesIO()
        picture.save(file, "jpeg", quality=quality)
        return Image.open(file)

    return attack


def resized(picture: Picture, factor: float) -> Picture:
    size = (round(picture.width * factor), round(picture.height * factor))
    return picture.resize(size, Image.Resampling.LANCZOS)


def cut(picture: Picture, share: float) -> Picture:
    """Without this share of each edge."""
    across, down = round(picture.width * share), round(picture.height * share)
    return picture.crop((across, down, picture.width - across, picture.height - down))
