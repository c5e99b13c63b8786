"""The short table at the end of a publish."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def print_summary(run: Mapping[str, Any]) -> None:
    """A row a line. Lines are never wrapped."""
    from flows.books.run_summary import rows_of

    for name, value in rows_of(run, path=near).items():
        print(f"{name:<16} {value}")


def near(path: str) -> str:
    """From here where it lies below, else as it stands."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
