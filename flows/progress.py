"""What a person sees while a flow runs: one line an event, a bar on what counts; rich on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_log: ContextVar[Path | None] = ContextVar("log", default=None)


class Bar(Protocol):
    """Where a step reports how far it is."""

    def update(self, done: float, total: float | None = None, note: str = "") -> None: ...


class RichBar:
    def __init__(self, progress: Progress, name: str) -> None:
        self.progress, self.name, self.done = progress, name, 0.0
        self.task = progress.add_task(name, total=None)

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        if done < self.done:  # another stage, with a speed and an end of its own
            self.progress.reset(self.task, total=total)
        self.done = done
        self.progress.update(self.task, completed=done, total=total, description=f"{self.name} {note}".rstrip())


class LineBar:
    """A line when the share done has grown by a tenth, at most one in two seconds: readable in a log."""

    def __init__(self, console: Console, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.console, self.name, self.clock = console, name, clock
        self.last, self.tenths, self.note, self.done = clock(), 0, "", 0.0
        self.begun = (self.last, 0.0)  # of this stage: when, and what was done by then, which may be most of it

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        now, tenths = self.clock(), int(10 * done / total + 1e-9) if total else 0
        if done < self.done or not self.done:
            self.begun, self.tenths = (now, done), min(tenths, self.tenths) if done else 0
        self.done = done
        if (tenths > self.tenths or (not total and note != self.note)) and now - self.last >= 2:
            self.last, self.tenths, self.note = now, tenths, note
            said = f"{done / total:.0%}{self.left(now, done, total)}" if total else ""
            self.console.print(f"  {self.name} {note} {said}".rstrip(), highlight=False, markup=False)

    def left(self, now: float, done: float, total: float) -> str:
        """How long the rest of this stage takes at the speed so far."""
        begun, before = self.begun
        if done <= before or done >= total or now <= begun:
            return ""
        return f", {duration((now - begun) / (done - before) * (total - done))} left"


def duration(seconds: float) -> str:
    """4:05, or 1:04:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


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
        TextColumn("gone,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=out, transient=True) as progress:
        yield RichBar(progress, name)


def say(line: str) -> None:
    """One event, one line, on standard error, and in the log of the run that it is of."""
    console().print(line, highlight=False, markup=False)
    if (log := _log.get()) is not None:
        with suppress(OSError), log.open("a", encoding="utf-8") as file:  # a disk that is full keeps no run from its end
            file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}\n")


@contextmanager
def said_in(log: Path) -> Iterator[None]:
    """Keep the lines that are said inside, with their time, in a file too."""
    token = _log.set(log)
    try:
        yield
    finally:
        _log.reset(token)
