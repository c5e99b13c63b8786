"""Ctrl-C: remembered, so that whatever error it causes is told as what it is; and over in the end, whatever hangs."""

import os
import signal
import sys
import threading
import time
from types import FrameType

LINE = "interrupted; run the same command again to go on from here"
CODE = 130
PATIENCE_SECONDS = 3.0
LIMIT_SECONDS = 60.0  # a deploy that is being set back may need a while; without it the next run does that

_seen = threading.Event()


def watch() -> None:
    """From here on SIGINT is remembered and raises KeyboardInterrupt; a second one ends the process at once."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else the shell wants it ignored
        signal.signal(signal.SIGINT, _on_interrupt)


def was_seen() -> bool:
    """Whether the person wants this to end: then errors of what Ctrl-C has torn down are no faults."""
    return _seen.is_set()


def _on_interrupt(_number: int, _frame: FrameType | None) -> None:
    if _seen.is_set():
        _leave()
    _seen.set()
    threading.Thread(target=_see_to_the_end, name="interrupt", daemon=True).start()
    raise KeyboardInterrupt


def _see_to_the_end() -> None:
    time.sleep(PATIENCE_SECONDS)
    _write("  putting things in order; Ctrl-C again leaves that to the next run")
    time.sleep(LIMIT_SECONDS)
    _leave()


def _leave() -> None:
    """End without any clean-up: children see their pipes close, and the next run sweeps what is half-written."""
    _write(f"lorasmith: {LINE}")
    os._exit(CODE)


def _write(line: str) -> None:
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""  # a bar hides it
    os.write(2, f"{show_cursor}{line}\n".encode())
