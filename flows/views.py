"""Prefect artifacts: the same reports that lie on disk, shown in Prefect's pages. Views, never records.

A page that a server shows can open no file of a disk: pictures are in the artifact itself, and of paths the command is named
that prints them.
"""

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from flows.books.run_summary import PATHS, rows_of
from flows.orchestration.server_away import view

WIDTH = 800  # pixels; a page is not wider


@view
def page(text: str, *, key: str, description: str | None = None) -> None:
    """Markdown, as one of the pages that Prefect keeps under a key."""
    create_markdown_artifact(text, key=key, description=description)


@view
def table(rows: list[dict[str, Any]], *, key: str, description: str) -> None:
    create_table_artifact(rows, key=key, description=description)


def license_report(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    page(text, key="license-report", description="What the licences allow, before anything is made")


def dataset_report(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    page(text, key="dataset-report", description="Pictures that were kept, dropped and held out, and remarks")


def loss_table(bundle: Path) -> None:
    evaluation = json.loads((bundle / "evaluation.json").read_text())
    rows = [
        {"picture": row["caption"], "base": round(row["base"], 4), "adapter": round(row["adapter"], 4)}
        for row in evaluation["per_picture"]
    ]
    total = {"picture": "mean", "base": round(evaluation["loss"]["base"], 4), "adapter": round(evaluation["loss"]["adapter"], 4)}
    table([total, *rows], key="held-out-loss", description="Stable validation loss on held-out pictures")


def sample_grid(bundle: Path) -> None:
    first = json.loads((bundle / "evaluation.json").read_text())["samples"][0]
    columns = [name for name in first if name not in ("prompt", "seed")]
    picture = f"![{', '.join(columns)}]({shown(bundle / 'samples' / 'grid.png')})"  # an image artifact prints its address as well
    page(picture, key="sample-grid", description=" | ".join(columns))


def shown(picture: Path) -> str:
    """A picture for a page, as a data URI: at most WIDTH pixels wide."""
    small = io.BytesIO()
    with Image.open(picture) as whole:
        scaled = whole.convert("RGB")
        scaled.thumbnail((WIDTH, 4 * WIDTH))
        scaled.save(small, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(small.getvalue()).decode()}"


@view
def endpoint_link(release: Mapping[str, Any]) -> None:
    where = f"Where {release['app']} answers on {release['target']}"
    create_link_artifact(release["urls"]["run"], link_text=release["urls"]["run"], key="endpoint", description=where)


def run_summary(run: Mapping[str, Any]) -> None:
    """What the command line says at the end of a run, with the grid in place of paths."""
    page(summary_page(run), key="run-summary", description=f"{run['app']} {run['revision']}")


def summary_page(run: Mapping[str, Any]) -> str:
    rows = {name: value for name, value in rows_of(run).items() if name not in PATHS}
    rows |= {", ".join(PATHS): f"`lorasmith runs show {run['run']}` says where"}
    table = ["| what | is |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    steps = ["| step | seconds |", "|---|---|", *(f"| {step} | {seconds:g} |" for step, seconds in run["seconds"].items())]
    return "\n".join([*table, "", f"![base, adapter and real pictures]({shown(Path(run['grid']))})", "", *steps, ""])
