"""Horizontal bars, drawn: what was measured beside what it must reach."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

WIDTH, LEFT, RIGHT, ROW, TOP = 1000, 470, 40, 34, 46
BAR, MARK, TEXT = (31, 119, 180), (214, 39, 40), (40, 40, 40)


def draw_bars(title: str, metrics: Mapping[str, Mapping[str, Any]], file: Path) -> None:
    """One bar a metric, as a share of its goal (the red line at 1); a metric has `value`, `goal` and `direction`."""
    font, large = ImageFont.load_default(size=13), ImageFont.load_default(size=16)
    picture = Image.new("RGB", (WIDTH, TOP + ROW * len(metrics) + 16), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((12, 12), title, fill=TEXT, font=large)
    shares = {name: metric["value"] / metric["goal"] for name, metric in metrics.items()}
    scale = (WIDTH - LEFT - RIGHT) / max(1.2, *shares.values())
    for row, (name, metric) in enumerate(metrics.items()):
        top = TOP + row * ROW
        aim = f"{name.replace('_', ' ')} ({metric['direction']} {metric['goal']:g})"
        draw.text((12, top + 6), aim, fill=TEXT, font=font)
        end = LEFT + shares[name] * scale
        draw.rectangle((LEFT, top + 5, end, top + ROW - 10), fill=BAR)
        draw.text((LEFT + 8, top + 6), f"{metric['value']:g}", fill="white", font=font)
    draw.line((LEFT + scale, TOP - 4, LEFT + scale, TOP + ROW * len(metrics)), fill=MARK, width=2)
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file)
