"""What became of each picture, as Markdown."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from training.data.buckets import cropped_share


def report(manifest: Mapping[str, Any]) -> str:
    """report.md of a dataset manifest: counts, what was left out and why, remarks, buckets and what they crop."""
    counts, pictures, findings = manifest["counts"], manifest["pictures"], manifest["findings"]
    left_out = [row for row in findings if row["level"] == "error" or row["code"] == "exact_duplicate"]
    remarks = [row for row in findings if row not in left_out]
    lines = [
        "# Dataset report",
        "",
        f"{counts['found']} pictures found: {counts['kept']} kept, {counts['dropped']} copies dropped, {counts['failed']} failed.",
        f"{counts['train']} to train on, {counts['held_out']} held out, resolution {manifest['resolution']}.",
        *_table("Left out", left_out),
        *_table("Remarks", remarks),
        *_buckets(pictures),
    ]
    return "\n".join(lines) + "\n"


def _table(title: str, rows: list[Mapping[str, str]]) -> list[str]:
    if not rows:
        return []
    cells = [f"| {_cell(row['file'])} | {row['code']} | {_cell(row['message'])} |" for row in rows]
    return ["", f"## {title}", "", "| file | finding | what to do |", "|---|---|---|", *cells]


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


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
