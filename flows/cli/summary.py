"""The short table at the end of a publish."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_summary(run: Mapping[str, Any]) -> None:
    """Licence verdict, losses, app, what the requests cost, and where listing and report lie."""
    loss = run["loss"]
    rows = {
        "licence verdict": run["verdict"],
        "held-out loss": f"base {loss['base']:.4f} -> adapter {loss['adapter']:.4f} ({loss['adapter'] / loss['base'] - 1:+.1%})",
        "app, revision": f"{run['app']}, {run['revision']} ({run['target']})",
        "endpoint": run["urls"]["run"],
        "requests": f"{run['units']} units billed = {run['images']} images delivered",
        "samples": run["grid"],
        "listing": f"{run['listing']}/index.html",
        "license report": run["license_report"],
    }
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, str(value))
    Console().print(table, highlight=False, soft_wrap=True)
