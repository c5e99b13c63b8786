"""The last looks as a picture: requests, latency and money of each release over time, in one SVG that needs nothing else. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 760, 110, 64, 16, 34, 46
COLOURS = ("#1f5fae", "#b3541e", "#2b7a3d", "#7b3f99", "#8a6d00", "#a3234e")  # readable on white and on black, and apart in grey
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 3", "10 4")
PANELS = (  # title, unit, path into a row
    ("requests of the last 24 hours", "", ("day", "requests")),
    ("failed requests of the window", "", ("window", "failed")),
    ("p95 of a request, in seconds", " s", ("window", "p95")),
    ("revenue of the last 24 hours, in dollars", "", ("money", "revenue")),
    ("cost of machines of the last 24 hours, in dollars", "", ("money", "cost")),
)
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.s{fill:#555}.g{stroke:#999;stroke-width:1;opacity:.5}.p{fill:#fff}"
    "@media(prefers-color-scheme:dark){text{fill:#eee}.s{fill:#bbb}.p{fill:#17181a}.l{filter:brightness(1.7)}}"
)
Point = tuple[float, float]


def svg(rows: Sequence[Mapping[str, Any]]) -> str:
    """A panel a figure, a line a release, of the rows of the history; figures that nobody told are gaps."""
    names = sorted({f"{row['app']} ({row['target']})" for row in rows})[: len(COLOURS)]
    span = _span(rows)
    shown = [panel for panel in PANELS if any(_value(row, panel[2]) is not None for row in rows)]
    height = TOP + len(shown) * (PANEL + GAP) + 24
    parts = [part for number, panel in enumerate(shown) for part in _panel(panel, TOP + number * (PANEL + GAP), rows, names, span)]
    legend = "".join(_key(number, name) for number, name in enumerate(names))
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(_words(rows))}">'
    paper = '<rect class="p" width="100%" height="100%"/>'
    return f"{head}<style>{STYLE}</style>{paper}{legend}{''.join(parts)}{_moments(rows, height - 10)}</svg>\n"


def _words(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the chart shows, for who can not see it."""
    if not rows:
        return "no look was kept yet"
    return f"{len(rows)} looks from {_when(rows[0])} to {_when(rows[-1])} UTC; the figures of the last one are in the table"


def _when(row: Mapping[str, Any]) -> str:
    return f"{datetime.fromisoformat(row['at']).astimezone(UTC):%Y-%m-%d %H:%M}"


def _span(rows: Sequence[Mapping[str, Any]]) -> Point:
    moments = [datetime.fromisoformat(row["at"]).timestamp() for row in rows] or [0.0]
    return min(moments), max(max(moments), min(moments) + 60.0)


def _value(row: Mapping[str, Any], path: tuple[str, str]) -> float | None:
    part = row.get(path[0])
    value = part.get(path[1]) if part else None
    return None if value is None else float(value)


def _panel(
    panel: tuple[str, str, tuple[str, str]], top: float, rows: Sequence[Mapping[str, Any]], names: Sequence[str], span: Point
) -> Iterator[str]:
    title, unit, path = panel
    most = max((value for row in rows if (value := _value(row, path)) is not None), default=0.0) or 1.0
    yield f'<text x="{LEFT}" y="{top + 12}">{escape(title)}</text>'
    for share in (0.0, 1.0):
        y = top + GAP / 2 + PANEL * (1 - share) - 4
        yield f'<line class="g" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="s" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{most * share:.3g}{unit}</text>'
    for number, name in enumerate(names):
        points = [_place(row, path, span, most, top) for row in rows if f"{row['app']} ({row['target']})" == name]
        yield from _lines(points, number)


def _place(row: Mapping[str, Any], path: tuple[str, str], span: Point, most: float, top: float) -> Point | None:
    value = _value(row, path)
    if value is None:
        return None
    share = (datetime.fromisoformat(row["at"]).timestamp() - span[0]) / (span[1] - span[0])
    return LEFT + share * (WIDTH - LEFT - RIGHT), top + GAP / 2 + PANEL * (1 - max(value, 0.0) / most) - 4


def _lines(points: Sequence[Point | None], number: int) -> Iterator[str]:
    """A line for each run of points without a gap; one alone is a dot."""
    run: list[Point] = []
    for point in (*points, None):
        if point is not None:
            run.append(point)
        elif run:
            drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
            style = f'stroke="{COLOURS[number]}" stroke-dasharray="{DASHES[number]}"'
            yield f'<polyline class="l" fill="none" stroke-width="2" {style} points="{drawn}"/>'
            yield f'<circle class="l" cx="{run[-1][0]:.1f}" cy="{run[-1][1]:.1f}" r="3" fill="{COLOURS[number]}"/>'
            run = []


def _moments(rows: Sequence[Mapping[str, Any]], y: float) -> str:
    """When the first and the last look were, below the panels."""
    if not rows:
        return ""
    first, last = sorted((rows[0], rows[-1]), key=lambda row: str(row["at"]))
    left = f'<text class="s" x="{LEFT}" y="{y}">{_when(first)} UTC</text>'
    return f'{left}<text class="s" x="{WIDTH - RIGHT}" y="{y}" text-anchor="end">{_when(last)} UTC</text>'


def _key(number: int, name: str) -> str:
    x = LEFT + number * 220
    style = f'stroke-width="2" stroke="{COLOURS[number]}" stroke-dasharray="{DASHES[number]}"'
    line = f'<line class="l" x1="{x}" x2="{x + 26}" y1="16" y2="16" {style}/>'
    return f'{line}<text x="{x + 32}" y="20">{escape(name)}</text>'
