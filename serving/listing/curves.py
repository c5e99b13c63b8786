"""Cost of a unit over the day's requests, drawn as SVG: three lines for the range of the work, one for the price. Pure."""

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 76, 150, 44, 56
COLOURS = {"high": "#b45309", "middle": "#1d4ed8", "low": "#15803d"}
WORDS = {"high": "slow end", "middle": "middle", "low": "fast end"}

Curve = Sequence[tuple[float, float]]


def sensitivity(curves: Mapping[str, Curve], *, price: float | None, title: str) -> str:
    """An SVG of both axes in the logarithm; `curves` are (requests a day, US dollars a unit) by name."""
    points = [point for curve in curves.values() for point in curve] + ([(1.0, price)] if price else [])
    xs, ys = _span([x for x, _ in points]), _span([y for _, y in points])
    parts = [_frame(title), *_grid(xs, ys)]
    parts += [_line(curve, xs, ys, COLOURS[name], WORDS[name]) for name, curve in curves.items()]
    if price:
        at = _y(price, ys)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#dc2626" stroke-dasharray="6 4"/>'
        )
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{at + 4:.1f}" fill="#dc2626">price ${price:g}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Exponents of ten around the values."""
    return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))


def _x(value: float, span: tuple[float, float]) -> float:
    return LEFT + (math.log10(value) - span[0]) / (span[1] - span[0]) * (WIDTH - LEFT - RIGHT)


def _y(value: float, span: tuple[float, float]) -> float:
    return HEIGHT - BOTTOM - (math.log10(value) - span[0]) / (span[1] - span[0]) * (HEIGHT - TOP - BOTTOM)


def _frame(title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13"><title>{escape(title)}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/><text x="{LEFT}" y="24" font-size="16">{escape(title)}</text>'
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">requests a day</text>'
    )


def _grid(xs: tuple[float, float], ys: tuple[float, float]) -> list[str]:
    lines = []
    for power in range(int(xs[0]), int(xs[1]) + 1):
        at = _x(10.0**power, xs)
        lines.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#e5e7eb"/>')
        lines.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{10**power:,}</text>')
    for power in range(int(ys[0]), int(ys[1]) + 1):
        at = _y(10.0**power, ys)
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e5e7eb"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">${10.0**power:g}</text>')
    return lines


def _line(curve: Curve, xs: tuple[float, float], ys: tuple[float, float], colour: str, word: str) -> str:
    places = " ".join(f"{_x(x, xs):.1f},{_y(y, ys):.1f}" for x, y in curve)
    end = _y(curve[-1][1], ys)
    return (
        f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>'
        f'<text x="{WIDTH - RIGHT + 8}" y="{end + 4:.1f}" fill="{colour}">{word}</text>'
    )
