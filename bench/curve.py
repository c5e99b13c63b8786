"""Held-out loss over steps, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loops import Ours
from PIL import Image, ImageDraw, ImageFont

from training.trainee import held_out_loss
from training.validation import stable_losses

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 400, 70, 50, 30, 170
COLOURS = ((31, 119, 180), (214, 39, 40))


def draw_curves(folder: Path, plain: Any, file: Path, *, steps: int, every: int = 10) -> None:
    """Trains both for `steps` steps from the base, measures every so many, writes a PNG."""
    ours = Ours(folder)  # weights as they are before training
    measure = held_out_loss(ours.trainee.denoiser, ours.pipe.scheduler, ours.base.family, ours.held_out, rows=8)
    assert measure is not None, "the demo holds pictures out"
    points = {"lorasmith": [(0, measure())], "plain, cached": [(0, measure())]}
    curve, _ = ours.train(steps, held_out_loss=measure, validate_every=every)
    points["lorasmith"] += [(point.step, point.held_out) for point in curve if point.held_out is not None]
    for done in range(every, steps + 1, every):
        for step in range(done - every, done):
            plain.set_rate(step, steps)
            plain.step()
        losses = stable_losses(plain.pipe.transformer, ours.pipe.scheduler, ours.base.family, ours.held_out, rows=8)
        points["plain, cached"].append((done, float(losses.mean())))
    for name, found in points.items():
        print(f"{name}: held-out loss " + ", ".join(f"{loss:.3f}@{step}" for step, loss in found[:: max(1, len(found) // 5)]))
    chart(points, steps).save(file)


def chart(points: dict[str, list[tuple[int, float]]], steps: int) -> Image.Image:
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    every = [loss for found in points.values() for _, loss in found]
    low, high = min(every), max(every)

    def place(step: float, loss: float) -> tuple[float, float]:
        across = LEFT + step / steps * (WIDTH - LEFT - RIGHT)
        return across, TOP + (high - loss) / (high - low) * (HEIGHT - TOP - BOTTOM)

    for tick in range(5):
        loss, step = low + (high - low) * tick / 4, steps * tick // 4
        pen.line((place(0, loss), place(steps, loss)), fill=(225, 225, 225))
        pen.text((LEFT - 8, place(0, loss)[1]), f"{loss:.3f}", fill="black", font=font, anchor="rm")
        pen.text((place(step, low)[0], HEIGHT - BOTTOM + 8), str(step), fill="black", font=font, anchor="ma")
    for row, ((name, found), colour) in enumerate(zip(points.items(), COLOURS, strict=True)):
        pen.line([place(*point) for point in found], fill=colour, width=3)
        pen.text((WIDTH - RIGHT + 12, TOP + 20 * row), name, fill=colour, font=font)
    pen.text((LEFT, 8), "held-out loss over steps", fill="black", font=font)
    return picture
