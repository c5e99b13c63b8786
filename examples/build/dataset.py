"""Write the demo dataset: 80 Fluent emoji 3D with captions to train on, 20 more held out.

    python dataset.py --packages packages --out ../emoji

The names are ones that the embedded base knows in the flat style, so what the adapter has to learn is the style.
"""

import argparse
import random
from pathlib import Path

from pictures import ANIMALS_AND_NATURE, FOOD_AND_DRINK, Emoji, emojis, read
from PIL import Image


def write(chosen: list[Emoji], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for emoji in chosen:
        stem = emoji.name.lower().replace(" ", "-")
        picture = read(emoji.solid).resize((128, 128), Image.Resampling.LANCZOS)
        picture.save(folder / f"{stem}.webp", quality=92, method=6)
        (folder / f"{stem}.txt").write_text(emoji.name + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    pool = [emoji for emoji in emojis(arguments.packages) if emoji.group in (ANIMALS_AND_NATURE, FOOD_AND_DRINK)]
    random.Random(7).shuffle(pool)
    write(pool[:80], arguments.out / "pictures")
    write(pool[80:100], arguments.out / "held_out")
    print("held out:", ", ".join(emoji.name for emoji in pool[80:100]))


if __name__ == "__main__":
    main()
