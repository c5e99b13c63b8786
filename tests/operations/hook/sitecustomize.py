"""In every process of a drill: each rename below its world is written down, and the one that was named kills whom it was told to.

DRILL_WORLD is the world's folder. In it, `strike.json` names a rename and its victims: {"file": pattern, "when": "before" or
"after", "kill": [roles], "full": whether the disk is full from then on for whoever meets it}; whoever meets it takes the file away
first, so that it strikes once, and makes `struck` when all others are killed. `renames` is what was finished.
"""

import fnmatch
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

STRIKE, STRUCK, RENAMES, FLOW = "strike.json", "struck", "renames", "flow.pid"


def install(world: str) -> None:
    """For the rest of this process, once."""
    if hasattr(os.replace, "world"):
        return
    for name in ("replace", "rename"):
        setattr(os, name, noted(getattr(os, name), world))


def noted(method: Callable[..., None], world: str) -> Callable[..., None]:
    def told(source: Any, target: Any, **named: Any) -> None:
        path = os.path.relpath(os.fspath(target), world)
        if path.startswith(os.pardir):
            method(source, target, **named)
            return
        strike(world, path, "before")
        method(source, target, **named)
        with open(os.path.join(world, RENAMES), "a") as log:
            log.write(f"{time.monotonic():.3f} {os.getpid()} {path}\n")
        strike(world, path, "after")

    told.world = world  # type: ignore[attr-defined]
    return told


def strike(world: str, path: str, when: str) -> None:
    """Kill whom the world's strike names, where this is the rename that it names."""
    file = os.path.join(world, STRIKE)
    try:
        with open(file) as order:
            wanted = json.load(order)
        if when != wanted["when"] or not fnmatch.fnmatch(path, wanted["file"]):
            return
        os.unlink(file)
    except FileNotFoundError:  # none is ordered, or another process was faster
        return
    if wanted.get("full"):
        fill(os.path.join(world, path))
    found = {pid for role in wanted["kill"] for pid in victims(world, role)}
    for pid in found - {os.getpid()}:
        os.kill(pid, signal.SIGKILL)
    with open(os.path.join(world, STRUCK), "w"):
        pass
    if os.getpid() in found:
        os.kill(os.getpid(), signal.SIGKILL)


def fill(path: str) -> None:
    """No file that this process writes grows beyond half of that one: what a full disk does to whoever writes the next like it."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path) // 2, hard))


def victims(world: str, role: str) -> Iterator[int]:
    """Processes of this world by what they are: their command lines tell, and a forked flow has left its number."""
    import psutil

    if role in ("training flow", "waiting flow"):
        above = {process.pid for process in psutil.Process().parents()}
        yield from (pid for pid in victims(world, "flow") if (pid in above) == (role == "training flow"))
        return
    if role == "flow" and os.path.exists(os.path.join(world, FLOW)):
        with open(os.path.join(world, FLOW)) as file:
            yield int(file.read())
    for process in psutil.process_iter(["pid", "cmdline", "environ"]):
        if (process.info["environ"] or {}).get("DRILL_WORLD") == world and is_role(process.info["cmdline"] or [], role):
            yield process.info["pid"]


def is_role(words: list[str], role: str) -> bool:
    """Whether a command line is the one of a role; `machine` is all of them."""
    reaped, launched = "flows.orchestration.reaper" in words, "accelerate.commands.launch" in words
    return {
        "machine": True,
        "flow": "prefect.engine" in words,
        "reaper": reaped and launched,
        "launcher": launched and not reaped,
        "trainer": "training/run.py" in " ".join(words) or ("training.run" in words and not launched),
        "worker": not reaped and words[2:5] == ["prefect", "worker", "start"],
        "keeper": words[2:5] == ["flows.cli.main", "worker", "up"],
        "server": not reaped and (words[2:5] == ["prefect", "server", "start"] or "uvicorn" in " ".join(words)),
    }[role]


if world := os.environ.get("DRILL_WORLD"):
    install(world)
