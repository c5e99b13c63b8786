"""Run, kill at the n-th effect, run again, look: for every effect that a clean run has."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from tests.failpoints.effects import Point, Strike, points

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 120.0


class Scenario(Protocol):
    """What is drilled, made without arguments; `run` is called in forked children, the rest in processes that live on."""

    asking: bool  # whether effects that only ask are points too

    def prepare(self, home: Path) -> None:
        """Make the state before, in the empty folder `home`."""
        ...

    def run(self, home: Path, effects: Any) -> None:
        """What can be killed and is run again; it tells `effects` of what it does (effects.watch_*)."""
        ...

    def struck(self, home: Path) -> str:
        """After a kill: assert what must hold, and say in a few words what is there."""
        ...

    def ended(self, home: Path) -> str:
        """After the run that came to its end: the same."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One point, and what was there after the kill and after the next run."""

    point: Point
    struck: str
    ended: str


class Forks:
    """The server that forks; `ended()` a run that must end well, `killed()` one that must not, `failed()` one that says why."""

    def __init__(self, settings: Mapping[str, str] | None = None, limit: float = LIMIT_SECONDS) -> None:
        self.limit = limit
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **(settings or {})}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.failpoints.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            text=True,
        )

    def ended(self, scenario: str, do: str, home: Path, log: Path) -> None:
        reply = self._ask(scenario, do, home, log, None)
        assert reply == {"code": 0}, f"{scenario} {do}: {reply}\n{said(log)}"

    def killed(self, scenario: str, home: Path, log: Path, strike: Strike) -> None:
        reply = self._ask(scenario, "run", home, log, strike)
        assert reply == {"signal": signal.SIGKILL}, f"{scenario} was not killed at {strike}: {reply}\n{said(log)}"

    def failed(self, scenario: str, home: Path, log: Path) -> None:
        reply = self._ask(scenario, "run", home, log, None)
        assert reply == {"code": 1}, f"{scenario} ended well, or was killed: {reply}\n{said(log)}"

    def close(self) -> None:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.close()
        try:
            self._server.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
        self._server.stdout.close()

    def _ask(self, scenario: str, do: str, home: Path, log: Path, strike: Strike | None) -> dict[str, Any]:
        request = {"scenario": scenario, "do": do, "home": str(home), "log": str(log), "strike": strike}
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        if not select.select([self._server.stdout], [], [], self.limit)[0]:
            os.killpg(self._server.pid, signal.SIGKILL)
            raise AssertionError(f"{scenario} {do} did not end within {self.limit:.0f} s\n{said(log)}")
        reply: dict[str, Any] = json.loads(self._server.stdout.readline())
        return reply


@contextmanager
def forks(settings: Mapping[str, str] | None = None, limit: float = LIMIT_SECONDS) -> Iterator[Forks]:
    server = Forks(settings, limit)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory where the machine has one: what a kill leaves is the same there, and no commit waits for a disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def drilled(scenario: type[Scenario], server: Forks, folder: Path) -> list[Outcome]:
    """Every point of a scenario, in the empty folder `folder`."""
    name = f"{scenario.__module__}:{scenario.__name__}"
    before, log = folder / "before", folder / "effects"
    before.mkdir(parents=True)
    server.ended(name, "prepare", before, log)
    clean = copied(before, folder / "clean")
    server.ended(name, "run", clean, log)
    scenario().ended(clean)
    return [
        drilled_at(scenario, server, point, copied(before, folder / f"{point.number}-{point.when}"))
        for point in points(log, asking=scenario.asking)
    ]


def drilled_at(scenario: type[Scenario], server: Forks, point: Point, home: Path) -> Outcome:
    """One point: killed there, looked at, run again to the end, looked at."""
    name, log = f"{scenario.__module__}:{scenario.__name__}", home.with_name(f"{home.name}.effects")
    server.killed(name, home, log, (point.number, point.when))
    try:
        struck = scenario().struck(home)
        server.ended(name, "run", home, log.with_suffix(".again"))
        outcome = Outcome(point=point, struck=struck, ended=scenario().ended(home))
    except AssertionError as error:
        raise AssertionError(f"killed {point.when} effect {point.number}, {point.name}: {error}") from error
    shutil.rmtree(home)
    return outcome


def chained(scenario: type[Scenario], server: Forks, home: Path, boundaries: Mapping[str, Strike]) -> Iterator[tuple[str, str]]:
    """(boundary, what was there then): each run is killed at the next boundary and the one after it goes on; the last ends.

    For worlds that are slow to make: `home` is prepared by whoever calls.
    """
    name = f"{scenario.__module__}:{scenario.__name__}"
    for number, (label, strike) in enumerate(boundaries.items()):
        log = home / f"boundary-{number}"
        try:
            server.killed(name, home, log, strike)
            yield label, scenario().struck(home)
        except AssertionError as error:
            raise AssertionError(f"{label}: {error}") from error
    server.ended(name, "run", home, home / "last")
    yield "nowhere", scenario().ended(home)


def table(outcomes: Sequence[Outcome]) -> str:
    """Markdown: neighbouring points where the same was found make one row, from the first to the last of them."""
    rows = ["| killed | points | found then | after the next run |", "|---|---|---|---|"]
    for (struck, ended), group in groupby(outcomes, key=lambda each: (each.struck, each.ended)):
        same = list(group)
        span = " to ".join(dict.fromkeys(where(one.point) for one in (same[0], same[-1])))
        rows.append(f"| {span} | {len(same)} | {struck} | {ended} |")
    return "\n".join(rows) + "\n"


def where(point: Point) -> str:
    """A point whose name says all has no `when`."""
    return f"{point.when} `{point.name}`" if point.when else point.name


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def said(log: Path) -> str:
    """What the child printed last."""
    out = Path(f"{log}.out")
    return out.read_text(errors="replace")[-3000:] if out.exists() else ""
