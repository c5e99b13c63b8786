"""What is told at the end of a run, on the terminal and on Prefect's page."""

from collections.abc import Callable, Mapping
from typing import Any, Final

PATHS: Final = ("samples", "listing", "license report")  # rows that name a file of this disk


def rows_of(run: Mapping[str, Any], *, path: Callable[[str], str] = str) -> dict[str, str]:
    """Licence verdict, losses, app, what the requests cost, and where samples, listing and report lie, as `path` spells it."""
    loss = run["loss"]
    by_image = run.get("unit", "image") == "image"
    billed = ("=" if run["units"] == run["images"] else "!=") if by_image else f"(by {run['unit']}) for"
    return {
        "licence verdict": run["verdict"],
        "held-out loss": f"base {loss['base']:.4f} -> adapter {loss['adapter']:.4f} ({loss['adapter'] / loss['base'] - 1:+.1%})",
        "app, revision": f"{run['app']}, {run['revision']} ({run['target']})",
        "endpoint": run["urls"]["run"],
        "requests": f"{run['units']} units billed {billed} {run['images']} images delivered",
        "samples": path(run["grid"]),
        "listing": path(f"{run['listing']}/index.html"),
        "license report": path(run["license_report"]),
    }
