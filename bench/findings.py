"""How well the data gate finds near duplicates, faces and what is not safe for work: python -m bench.findings

Pictures are the demo's (nobody is on them) and those that scikit-image carries: an astronaut and a photographer, 100 faces and 100
cut-outs without one of 25 pixels a side (Labeled Faces in the Wild), and photographs of things.
"""

import io
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from training.data.faces import faces
from training.data.gate import HASH_BITS
from training.data.look import measured
from training.data.nsfw import LEAST, open_nsfw
from training.data.scan import decode

Pictures = Mapping[str, Image.Image]
DEMO = Path(__file__).resolve().parents[1] / "examples" / "emoji"


def main() -> None:
    demo = opened(sorted(DEMO.glob("*/*.webp")))
    spec = find_spec("skimage")
    assert spec is not None, "scikit-image is among the packages for development"
    assert spec.origin is not None
    carried = Path(spec.origin).parent / "data"
    photographs = opened(sorted([*carried.glob("*.png"), *carried.glob("*.jpg")]))
    near_duplicates(demo)
    found_faces(demo, photographs, carried / "lfw_subset.npy")
    unsafe(demo, photographs)
    seconds(demo, photographs)


def opened(paths: list[Path]) -> Pictures:
    return {path.stem: decode(path, max_pixels=10_000_000).picture for path in paths}


def near_duplicates(demo: Pictures) -> None:
    """Bits that differ: between copies of a picture, and between distinct ones, mirrored or not."""
    looks, mirrored = (hashed(demo, side) for side in ("look", "mirrored"))
    print(f"near duplicates: bits of {HASH_BITS} that differ, {len(demo)} pictures")
    for name, copy in COPIES.items():
        apart = (hashed({stem: copy(picture) for stem, picture in demo.items()}, "look") != looks).sum(axis=1)
        print(f"  {name:24} median {np.median(apart):3.0f}   most {apart.max():3}")
    names, pairs = list(demo), np.triu_indices(len(demo), 1)
    for name, other in (("distinct pictures", looks), ("distinct, one mirrored", mirrored)):
        apart = (looks[:, None] != other[None]).sum(axis=2)[pairs]
        nearest = [(apart[at], f"{names[pairs[0][at]]} and {names[pairs[1][at]]}") for at in np.argsort(apart)[:3]]
        print(f"  {name:24} median {np.median(apart):3.0f}   least {', '.join(f'{bits} ({who})' for bits, who in nearest)}")


def found_faces(demo: Pictures, photographs: Pictures, cut_outs: Path) -> None:
    look = faces()
    crops = np.load(cut_outs)  # [200, 25, 25]: faces first; allow_pickle is off
    hits = [look(framed(crop)) > 0 for crop in crops]
    print(f"faces: {sum(hits[:100])} of 100 small frontal faces found, {sum(hits[100:])} false alarms on 100 cut-outs without one")
    for name, pictures in (("demo", demo), ("photographs", photographs)):
        alarms = {stem: look(picture) for stem, picture in pictures.items()}
        told = ", ".join(f"{stem} {count:g}" for stem, count in alarms.items() if count)
        print(f"  {name}, {len(alarms)} pictures: {told or 'none'}")


def unsafe(demo: Pictures, photographs: Pictures) -> None:
    score = open_nsfw()
    print(f"nsfw: scores of pictures that are all safe; a finding from {LEAST}")
    for name, pictures in (("demo", demo), ("photographs", photographs)):
        scores = sorted(((score(picture), stem) for stem, picture in pictures.items()), reverse=True)
        highest = ", ".join(f"{stem} {value:.3f}" for value, stem in scores[:3])
        print(f"  {name}, {len(scores)} pictures: median {np.median([value for value, _ in scores]):.3f}, highest {highest}")


def seconds(demo: Pictures, photographs: Pictures) -> None:
    print("seconds of processor time for 100 pictures, models loaded")
    checks: dict[str, Callable[[Image.Image], object]] = {
        "hashes": lambda picture: measured("", picture, picture),
        "faces": faces(),
        "nsfw": open_nsfw(),
    }
    for name, check in checks.items():
        spent = {}
        for kind, pictures in (("demo", demo), ("photographs", photographs)):
            before = time.process_time()
            for picture in pictures.values():
                check(picture)
            spent[kind] = 100 * (time.process_time() - before) / len(pictures)
        print(f"  {name:8} {spent['demo']:5.1f} (demo, 128 pixels a side)   {spent['photographs']:5.1f} (photographs, about 500)")


def hashed(pictures: Pictures, which: str) -> np.ndarray:
    rows = [getattr(measured(stem, picture, picture), which) for stem, picture in pictures.items()]
    return np.unpackbits(np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), -1), axis=1)


def framed(crop: np.ndarray) -> Image.Image:
    """A cut-out at four times its size, on its own mean grey."""
    face = Image.fromarray((crop * 255).astype(np.uint8)).resize((100, 100), Image.Resampling.BICUBIC)
    whole = Image.new("L", (160, 160), int(crop.mean() * 255))
    whole.paste(face, (30, 30))
    return whole


def saved(kind: str, quality: int) -> Callable[[Image.Image], Image.Image]:
    def again(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, kind, quality=quality)
        return Image.open(file).convert("RGB")

    return again


def scaled(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda picture: picture.resize((round(picture.width * factor), round(picture.height * factor)))


def inner(percent: float) -> Callable[[Image.Image], Image.Image]:
    def crop(picture: Image.Image) -> Image.Image:
        off = max(1, round(picture.width * percent / 100))
        return picture.crop((off, off, picture.width - off, picture.height - off))

    return crop


COPIES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 90": saved("JPEG", 90),
    "JPEG, quality 30": saved("JPEG", 30),
    "WebP, quality 50": saved("WEBP", 50),
    "a quarter of the size": scaled(0.25),
    "twice the size": scaled(2),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "1 % off each side": inner(1),
    "2 % off each side": inner(2),
    "3 % off each side": inner(3),
    "5 % off each side": inner(5),
}

if __name__ == "__main__":
    main()
