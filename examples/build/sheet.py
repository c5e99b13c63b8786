"""Draw the sample sheet of the embedded base: a name a tile, with the seed that makes it again.

python sheet.py --base ../base --out ../base/samples.png
"""

import argparse
from pathlib import Path

import torch
from diffusers import ZImagePipeline
from PIL import Image, ImageDraw, ImageFont

# fmt: off
NAMES = (
    "red apple", "banana", "strawberry", "watermelon", "carrot", "broccoli", "mushroom", "pizza", "hamburger", "doughnut",
    "ice cream", "birthday cake", "cat face", "dog face", "panda", "fox", "lion", "koala", "frog", "monkey face", "pig face",
    "owl", "penguin", "butterfly", "fish", "octopus", "turtle", "whale", "snail", "lady beetle", "tulip", "sunflower", "cactus",
    "palm tree", "maple leaf", "rose",
)
# fmt: on
STEPS, GUIDANCE, SEED, TILE, COLUMNS = 24, 0.5, 0, 112, 12


def draw(base: Path) -> Image.Image:
    """One tile a name, every tile from the same seed."""
    pipeline = ZImagePipeline.from_pretrained(base, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    sheet = Image.new("RGB", (COLUMNS * TILE, -(-len(NAMES) // COLUMNS) * (TILE + 18)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for start in range(0, len(NAMES), COLUMNS):
        names = NAMES[start : start + COLUMNS]
        generators = [torch.Generator().manual_seed(SEED) for _ in names]
        pictures = pipeline(
            list(names), height=64, width=64, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=generators
        ).images
        for column, (name, picture) in enumerate(zip(names, pictures, strict=True)):
            left, top = column * TILE, start // COLUMNS * (TILE + 18)
            sheet.paste(picture.resize((96, 96), Image.Resampling.BICUBIC), (left + 8, top + 4))
            pen.text((left + TILE // 2, top + 102), name, fill="black", font=font, anchor="ma")
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    draw(arguments.base).save(arguments.out)
    print(f"{arguments.out}: seed {SEED}, {STEPS} steps, guidance {GUIDANCE}, names from left to right: {', '.join(NAMES)}")


if __name__ == "__main__":
    main()
