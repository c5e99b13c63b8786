"""What a person sees while a flow runs: one line an event, a bar on what counts; rich on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Bar(Protocol):
    """Where a step reports how far it is."""

    def update(self, done: float, total: float | None = None, note: str = "") -> None: ...


class RichBar:
    def __init__(self, progress: Progress, name: str) -> None:
        self.progress, self.name = progress, name
        self.task = progress.add_task(name, total=None)

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        self.progress.update(self.task, completed=done, total=total, description=f"{self.name} {note}".rstrip())


class LineBar:
    """A line when the share done has grown by a tenth, at most one in two seconds: readable in a log."""

    def __init__(self, console: Console, name: str) -> None:
        self.console, self.name, self.last, self.share, self.note = console, name, time.monotonic(), 0.0, ""

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        share = done / total if total else 0.0
        fresh = share - self.share >= 0.1 or (not total and note != self.note)
        if fresh and time.monotonic() - self.last >= 2:
            self.last, self.share, self.note = time.monotonic(), share, note
            self.console.print(f"  {self.name} {note} {f'{share:.0%}' if total else ''}".rstrip(), highlight=False)


def console() -> Console:
    return Console(file=sys.stderr, soft_wrap=True)


@contextmanager
def bar(name: str) -> Iterator[Bar]:
    """A bar for one step; it appears at once and leaves its final line."""
    out = console()
    if not out.is_terminal:
        yield LineBar(out, name)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, transient=True) as progress:
        yield RichBar(progress, name)


def say(line: str) -> None:
    """One event, one line, on standard error."""
    console().print(line, highlight=False, markup=False)
