"""Keep a command running until a signal says stop: under the reaper, started again where it ends by itself."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from flows.errors import FlowError

STOPS = (signal.SIGINT, signal.SIGTERM)
LOOK_SECONDS = 1.0
PAUSE_SECONDS = 2.0
SHORT_SECONDS, SHORT_LIVES = 20.0, 3  # a command that lives shorter, so many times in a row, is not started again
GRACE_SECONDS = 10.0

Child = subprocess.Popen[bytes]


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, whatever the shell that started us wants ignored.

    A command that a script starts with `&` inherits that SIGINT is ignored, and so would all that it starts; what is handled here
    is at its default again in our children.
    """
    stop = threading.Event()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in STOPS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start(command: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> Child:
    """The command under the reaper: it and all that it started end when we do, whatever ends us."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.orchestration.reaper", str(GRACE_SECONDS), *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=dict(env),
            start_new_session=True,  # Ctrl-C is for us: we say what ends when
        )


def end(child: Child) -> None:
    """The reaper ends its tree when its standard input closes."""
    assert child.stdin
    child.stdin.close()
    child.wait(GRACE_SECONDS + 30)


def keep(
    starting: Callable[[], Child],
    stop: threading.Event,
    *,
    look: Callable[[Child], None],
    before_end: Callable[[Child], None] = lambda _: None,
    after_end: Callable[[int | None], None] = lambda _: None,
) -> None:
    """Until `stop`: start, look once a second, and start again where it ended. FlowError where it keeps ending.

    before_end: what is done first where we end it. after_end: what is done when it is gone, with its exit code where it went by
    itself.
    """
    short = 0
    while not stop.is_set():
        child, begun = starting(), time.monotonic()
        try:
            while child.poll() is None and not stop.wait(LOOK_SECONDS):
                look(child)
            code = child.poll()
            if code is None:
                before_end(child)
        finally:
            end(child)
        after_end(code)
        if code is not None and not stop.is_set():
            short = short + 1 if time.monotonic() - begun < SHORT_SECONDS else 0
            if short == SHORT_LIVES:
                raise FlowError(f"ended {short} times within {SHORT_SECONDS:.0f} s of its start, the last time with code {code}")
            stop.wait(PAUSE_SECONDS)


def folder_of_logs(home: Path) -> Path:
    folder = home / "logs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def last_line(log: Path) -> str:
    """What a log ends with, for an error of one line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.is_file() else []
    return lines[-1] if lines else f"nothing in {log}"


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
