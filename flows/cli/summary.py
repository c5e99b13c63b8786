"""The short table at the end of a publish."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def print_summary(run: Mapping[str, Any]) -> None:
    """Licence verdict, losses, app, what the requests cost, and where samples, listing and report lie. Lines are never wrapped."""
    loss = run["loss"]
    by_image = run.get("unit", "image") == "image"
    billed = ("=" if run["units"] == run["images"] else "!=") if by_image else f"(by {run['unit']}) for"
    rows = {
        "licence verdict": run["verdict"],
        "held-out loss": f"base {loss['base']:.4f} -> adapter {loss['adapter']:.4f} ({loss['adapter'] / loss['base'] - 1:+.1%})",
        "app, revision": f"{run['app']}, {run['revision']} ({run['target']})",
        "endpoint": run["urls"]["run"],
        "requests": f"{run['units']} units billed {billed} {run['images']} images delivered",
        "samples": near(run["grid"]),
        "listing": near(f"{run['listing']}/index.html"),
        "license report": near(run["license_report"]),
    }
    for name, value in rows.items():
        print(f"{name:<16} {value}")


def near(path: str) -> str:
    """From here where it lies below, else as it stands."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
