"""A table of shares, drawn: the fuller a cell, the darker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, ROW, TOP, LEFT = 150, 28, 70, 230
FULL, EMPTY, TEXT = (31, 119, 180), (255, 255, 255), (40, 40, 40)


def draw_shares(title: str, shares: Mapping[str, Mapping[str, float]], file: Path) -> None:
    """One column for each outer name, one row for each inner one, a share from 0 to 1 in each cell."""
    font, large = ImageFont.load_default(size=13), ImageFont.load_default(size=16)
    rows = list(next(iter(shares.values())))
    picture = Image.new("RGB", (LEFT + WIDTH * len(shares) + 12, TOP + ROW * len(rows) + 12), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((12, 10), title, fill=TEXT, font=large)
    for y, row in enumerate(rows):
        draw.text((12, TOP + y * ROW + 6), row, fill=TEXT, font=font)
    for x, (column, values) in enumerate(shares.items()):
        draw.multiline_text((LEFT + x * WIDTH + 4, TOP - 36), column.replace(", ", "\n"), fill=TEXT, font=font)
        for y, row in enumerate(rows):
            corner = (LEFT + x * WIDTH, TOP + y * ROW)
            shade = tuple(round(empty + (full - empty) * values[row]) for full, empty in zip(FULL, EMPTY, strict=True))
            draw.rectangle((*corner, corner[0] + WIDTH - 3, corner[1] + ROW - 3), fill=shade, outline=(200, 200, 200))
            draw.text((corner[0] + 8, corner[1] + 5), f"{values[row]:.0%}", fill=EMPTY if values[row] > 0.5 else TEXT, font=font)
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file, optimize=True)
