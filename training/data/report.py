"""What became of each picture, as Markdown."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from training.data.buckets import cropped_share, empty_places

_BATCHES = (1, 2, 4, 8, 16)


def report(manifest: Mapping[str, Any], *, without_tile: int = 0) -> str:
    """report.md of a dataset manifest: counts, what was left out and why, remarks, what was not measured, buckets and waste."""
    counts, pictures, findings = manifest["counts"], manifest["pictures"], manifest["findings"]
    unmeasured = [row for row in findings if row["code"] == "unmeasured"]
    left_out = [row for row in findings if row not in unmeasured and (row["level"] == "error" or row["code"] == "exact_duplicate")]
    remarks = [row for row in findings if row not in left_out and row not in unmeasured]
    hidden = f" (without {without_tile} of the pictures, which have no finding graver than those shown)" if without_tile else ""
    lines = [
        "# Dataset report",
        "",
        f"{counts['found']} pictures found: {counts['kept']} kept, {counts['dropped']} copies dropped, {counts['failed']} failed.",
        f"{counts['train']} to train on, {counts['held_out']} held out, resolution {manifest['resolution']}.",
        f"All of them at a glance: contact.png{hidden}.",
        *_table("Left out", left_out),
        *_table("Remarks", remarks),
        *_table("Not measured", unmeasured),
        *_scores(pictures),
        *_buckets(pictures),
        *_batches(pictures),
    ]
    return "\n".join(lines) + "\n"


def _table(title: str, rows: list[Mapping[str, str]]) -> list[str]:
    if not rows:
        return []
    cells = [f"| {_cell(row['file'])} | {row['code']} | {_cell(row['message'])} |" for row in rows]
    return ["", f"## {title}", "", "| file | finding | what to do |", "|---|---|---|", *cells]


def _scores(pictures: list[Mapping[str, Any]]) -> list[str]:
    """What each detector made of each picture, the last detector's highest first."""
    names = sorted({name for row in pictures for name in row.get("scores", {})})
    if not names:
        return []
    ordered = sorted(pictures, key=lambda row: -row["scores"][names[-1]])
    head = [f"| file | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
    cells = [[_cell(row["file"]), *(f"{row['scores'][name]:g}" for name in names)] for row in ordered]
    return ["", "## Scores", "", *head, *(f"| {' | '.join(row)} |" for row in cells)]


def _buckets(pictures: list[Mapping[str, Any]]) -> list[str]:
    if not pictures:
        return []
    sizes = Counter(tuple(row["bucket"]) for row in pictures)
    lost = [cropped_share(row["width"], row["height"], (row["bucket"][0], row["bucket"][1])) for row in pictures]
    worst = max(range(len(lost)), key=lost.__getitem__)
    rows = [f"| {width} x {height} | {number} |" for (height, width), number in sorted(sizes.items())]
    average = sum(lost) / len(lost)
    crop = f"Cropped away: {average:.1%} of the pixels on average, at most {lost[worst]:.1%} ({_cell(pictures[worst]['file'])})."
    return ["", "## Buckets", "", "| width x height | pictures |", "|---|---|", *rows, "", crop + " Nothing is padded."]


def _batches(pictures: list[Mapping[str, Any]]) -> list[str]:
    """Batches are of one bucket each, and the last of a bucket may be short: nothing is dropped or repeated to fill it."""
    buckets = [tuple(row["bucket"]) for row in pictures if row["split"] == "train"]
    if not buckets:
        return []
    rows = [
        f"| {size} | {(len(buckets) + empty) // size} | {empty} |" for size in _BATCHES for empty in [empty_places(buckets, size)]
    ]
    head = ["| batch size | batches an epoch | empty places in short batches |", "|---|---|---|"]
    return ["", "## Batches", "", *head, *rows]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
