"""What a process does to the world, numbered in order, and the SIGKILL that hits it before or after one of them."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

from serving.release.registry import Registry

When = Literal["before", "after"]
MOMENTS: tuple[When, ...] = ("before", "after")
Strike = tuple[int | str, str]  # number or name of an effect, and `before`, `after` or a moment in it
CHANGING = ("deploy", "set_revision", "set_auth", "delete", "delete_revision", "delete_environment")
ASKING = ("call", "alias", "apps", "revisions", "environments", "requests")


class Point(NamedTuple):
    """Where a process is hit: before or after its n-th effect."""

    number: int
    name: str
    when: When


class Effects:
    """Counts effects into a file that survives the process, and kills the process at `strike`.

    `midway` has the moments inside of effects that can be struck: each answers whether it has come.
    """

    def __init__(self, log: Path, strike: Strike | None = None) -> None:
        self._log, self._strike, self._count = log, strike, 0
        self.midway: dict[str, Callable[[], Callable[[], bool]]] = {}

    @contextmanager
    def around(self, name: str, *, changes: bool = True) -> Iterator[None]:
        """An effect; what only asks has no point after it, since nothing is different then."""
        self._count += 1
        number = self._count
        with self._log.open("a") as log:
            log.write(json.dumps({"number": number, "name": name, "changes": changes}) + "\n")
        if self._strike and self._strike[0] in (number, name):
            self._hit("before")
            if self._strike[1] in self.midway:
                kill_when(self.midway[self._strike[1]]())
            yield
            self._hit("after")
        else:
            yield

    def _hit(self, when: When) -> None:
        if self._strike and self._strike[1] == when:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_when(come: Callable[[], bool]) -> None:
    """SIGKILL to this process as soon as a moment has come."""

    def watch() -> None:
        while not come():
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def points(log: Path, *, asking: bool = True) -> list[Point]:
    """Where the process that wrote this log can be hit; without `asking` only at what changes something."""
    found = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [
        Point(each["number"], each["name"], when)
        for each in found
        if asking or each["changes"]
        for when in (MOMENTS if each["changes"] else MOMENTS[:1])
    ]


def watch_registry(effects: Effects) -> None:
    """Every commit that writes is an effect, named by the journal lines that it holds. For the rest of this process."""
    pending: list[str] = []
    store, commit = Registry.store, cast("Callable[..., None]", DefaultDialect.do_commit)

    def named_store(
        self: Registry, connection: Any, row: Mapping[str, Any], before: Mapping[str, Any] | None, *, event: str, **table: Any
    ) -> None:
        pending.append(f"{event} {changed(row, before)}".strip())
        store(self, connection, row, before, event=event, **table)  # type: ignore[arg-type]

    def statement(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        if found := re.match(r"(INSERT INTO|UPDATE|DELETE FROM) leases\b", text):
            pending.append("lease given back" if found[1].startswith("DELETE") else "lease taken")

    def watched_commit(self: DefaultDialect, connection: Any) -> None:
        if not pending:
            commit(self, connection)
            return
        name = "registry: " + ", ".join(dict.fromkeys(pending))
        pending.clear()
        with effects.around(name):
            commit(self, connection)

    for owner, name, method in ((Registry, "store", named_store), (DefaultDialect, "do_commit", watched_commit)):
        setattr(owner, name, method)
    sa.event.listen(sa.Engine, "before_cursor_execute", statement)


def changed(row: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    """The evidence that a journal line adds, for its name; the revision where that is all."""
    old = before["evidence"] if before else {}
    keys = [key for key, value in row["evidence"].items() if old.get(key) != value and key != "plan"]
    moved = before is not None and before.get("revision") != row.get("revision")
    return " and ".join(keys or ["revision"] * moved)


def watched(platform: Any, effects: Effects) -> Any:
    """The platform with its verbs as effects and boundaries."""

    class Watched(type(platform)):  # type: ignore[misc]
        """The same object, whose verbs tell."""

    for verb in (*CHANGING, *ASKING):
        setattr(Watched, verb, telling(getattr(type(platform), verb), verb, effects))
    platform.__class__ = Watched
    return platform


def telling(method: Callable[..., Any], verb: str, effects: Effects) -> Callable[..., Any]:
    def told(self: Any, *arguments: Any, **named: Any) -> Any:
        with effects.around(f"platform: {described(verb, arguments, named)}", changes=verb in CHANGING):
            return method(self, *arguments, **named)

    return told


def described(verb: str, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    place = named.get("environment", arguments[-1] if verb in ("set_revision", "alias") else None) or "main"
    if verb == "call":
        asked = named.get("path") or ("invalid" if arguments[1].get("num_images") == -1 else "picture")
        return f"ask {place} for {asked}" + {None: " without a key", "wrong": " with a wrong key"}.get(named.get("key", ""), "")
    return f"{verb.replace('_', ' ')} {place}"


def watch_files(effects: Effects, below: Path, named: Callable[[Path], str] = lambda path: path.parts[0]) -> None:
    """Every rename of a finished file or folder below a folder is an effect, `named` by its path. For the rest of this process."""
    for name in ("replace", "rename"):
        setattr(os, name, renaming(getattr(os, name), effects, below, named))


def renaming(method: Callable[..., None], effects: Effects, below: Path, call: Callable[[Path], str]) -> Callable[..., None]:
    def told(source: Any, target: Any, **named: Any) -> None:
        path = Path(os.fspath(target))
        if not path.is_relative_to(below):
            method(source, target, **named)
            return
        with effects.around(f"file: {call(path.relative_to(below))}"):
            method(source, target, **named)

    return told
