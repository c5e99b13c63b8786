"""families: what can be trained."""

import json
from typing import Annotated

import typer

SHORT = ("family", "pipeline", "loaded by", "distilled", "LoRA layers")


def register(root: typer.Typer) -> None:
    root.command()(families)


def families(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with every column.")] = False,
) -> None:
    """List the model families that can be trained: pipeline, who loads the LoRA, which weights are distilled, LoRA layers.

    Example: lorasmith families
    """
    from training.families.table import rows

    table = rows()
    if as_json:
        print(json.dumps(table, indent=2))
        return
    widths = [max(len(row[column]) for row in table) for column in SHORT]
    for cells in (SHORT, *([row[column] for column in SHORT] for row in table)):
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
