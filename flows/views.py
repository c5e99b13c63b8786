"""Prefect artifacts: the same reports that lie on disk, shown in Prefect's pages. Views, never records."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.artifacts import create_image_artifact, create_link_artifact, create_markdown_artifact, create_table_artifact

from flows.run_summary import rows_of


def license_report(folder: Path) -> None:
    create_markdown_artifact((folder / "report.md").read_text(), key="license-report", description=f"{folder}/report.html")


def dataset_report(folder: Path) -> None:
    create_markdown_artifact((folder / "report.md").read_text(), key="dataset-report", description=f"{folder}/contact.png")


def loss_table(bundle: Path) -> None:
    evaluation = json.loads((bundle / "evaluation.json").read_text())
    rows = [
        {"picture": row["caption"], "base": round(row["base"], 4), "adapter": round(row["adapter"], 4)}
        for row in evaluation["per_picture"]
    ]
    total = {"picture": "mean", "base": round(evaluation["loss"]["base"], 4), "adapter": round(evaluation["loss"]["adapter"], 4)}
    create_table_artifact([total, *rows], key="held-out-loss", description="Stable validation loss on held-out pictures")


def sample_grid(bundle: Path) -> None:
    first = json.loads((bundle / "evaluation.json").read_text())["samples"][0]
    columns = [name for name in first if name not in ("prompt", "seed")]
    create_image_artifact((bundle / "samples" / "grid.png").as_uri(), key="sample-grid", description=" | ".join(columns))


def endpoint_link(release: Mapping[str, Any]) -> None:
    create_link_artifact(release["urls"]["run"], link_text=f"{release['app']} {release['revision']}", key="endpoint")


def run_summary(run: Mapping[str, Any]) -> None:
    """What the command line says at the end of a run."""
    rows = rows_of(run) | {
        "seconds": ", ".join(f"{step} {seconds:g}" for step, seconds in run["seconds"].items()),
        "record": f"lorasmith runs show {run['run']}",
    }
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])
    create_markdown_artifact(table, key="run-summary", description=f"{run['app']} {run['revision']}")
