"""Which GPUs a training has to itself: each is held by a lock of the kernel that the trainer inherits, and that ends with it.

The work pool's limit says how many trainings run; this says on which GPU, and it also counts those that were started by hand.
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flows.errors import JobError
from flows.home import home
from flows.progress import say

AT_MOST = "LORASMITH_GPUS"  # GPUs that one training takes: a number, or all
VISIBLE = "CUDA_VISIBLE_DEVICES"
LOOK_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """GPUs by the names that CUDA_VISIBLE_DEVICES knows them by, none on a machine without, and the locks that hold them."""

    devices: tuple[str, ...]
    locks: tuple[int, ...]

    @property
    def environment(self) -> dict[str, str]:
        """What makes a child see these alone."""
        return {VISIBLE: ",".join(self.devices)} if self.devices else {}


def visible(environment: Mapping[str, str], nodes: Sequence[Path]) -> tuple[str, ...]:
    """The GPUs that this process may use: those that CUDA_VISIBLE_DEVICES names, as CUDA reads it, else all device nodes."""
    if VISIBLE not in environment:
        return tuple(str(index) for index in range(len(nodes)))
    named = [name.strip() for name in environment[VISIBLE].split(",")]
    ends = next((index for index, name in enumerate(named) if not name or name.startswith("-")), len(named))
    return tuple(named[:ends]) if nodes else ()


def at_most(environment: Mapping[str, str], there: int) -> int:
    """How many GPUs one training may take, at least 1."""
    said = environment.get(AT_MOST, "1")
    if said == "all":
        return max(there, 1)
    if not said.isdecimal() or int(said) < 1:
        raise JobError(f"{AT_MOST}: got {said!r}; give a number of GPUs, or all")
    return min(int(said), max(there, 1))


def seen() -> tuple[str, ...]:
    """The GPUs of this machine that this process may use."""
    return visible(os.environ, sorted(Path("/dev").glob("nvidia[0-9]*")))


@contextmanager
def held(devices: Sequence[str], count: int, folder: Path | None = None) -> Iterator[Granted]:
    """Hold `count` of the GPUs, once so many are free; nothing to hold where there are none."""
    if not devices:
        yield Granted(devices=(), locks=())
        return
    folder = folder or home() / "locks"
    folder.mkdir(exist_ok=True)
    told = False
    while True:
        with ExitStack() as locks:
            taken = free_of(devices, count, folder, locks)
            if len(taken) == count:
                yield Granted(devices=tuple(taken), locks=tuple(file.fileno() for file in taken.values()))
                return
        if not told:
            say(f"  waiting for {count} of {len(devices)} GPUs: others train on them")
            told = True
        time.sleep(LOOK_SECONDS)


def free_of(devices: Sequence[str], count: int, folder: Path, locks: ExitStack) -> dict[str, IO[str]]:
    """Up to `count` GPUs that nobody held, each with its lock; in one order, so that two who want several do not wait in a ring."""
    taken: dict[str, IO[str]] = {}
    for device in devices:
        if len(taken) == count:
            break
        file = locks.enter_context((folder / f"{socket.gethostname()}-gpu-{device.replace('/', '_')}.lock").open("w"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        taken[device] = file
    return taken
