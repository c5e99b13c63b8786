"""The worker as a child process: exactly the environment given, requests on its stdin, replies on a pipe, its talk in a log."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

WORKER: Final = Path(__file__).with_name("worker.py")
LOG_LIMIT_BYTES: Final = 8 * 1024 * 1024
_CLOSE_SECONDS: Final = 5.0


class WorkerGone(Exception):
    """The worker ended without an answer; `code` is how."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Worker:
    """One running worker; it ends when this object is closed or collected, and when this process dies, however it dies."""

    def __init__(self, *, env: Mapping[str, str], cwd: Path, log: Path, masks: tuple[str, ...]) -> None:
        self._replies, reply_end = os.pipe()
        # -P: neither the package nor this folder (which has a platform.py) may shadow a module of the SDK.
        # A session of its own: Ctrl-C is for the process that asked, which still needs the worker to set things back.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-u", str(WORKER), str(reply_end)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=dict(env),
            pass_fds=(reply_end,),
            start_new_session=True,
        )
        os.close(reply_end)
        self._buffer = b""
        assert self._process.stdout is not None
        pump = threading.Thread(target=_write_log, args=(self._process.stdout, log, masks), name="worker log", daemon=True)
        pump.start()
        self.close = weakref.finalize(self, _end, self._process, self._replies, pump)

    def ask(self, request: Mapping[str, Any], *, timeout: float) -> dict[str, Any]:
        """The reply to one request; raises TimeoutError and WorkerGone, after either of which the worker is to be closed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerGone(self._process.wait()) from None
        deadline = time.monotonic() + timeout
        waiting = select.poll()  # not select(), which fails where a process has more than 1024 files open
        waiting.register(self._replies, select.POLLIN)
        while b"\n" not in self._buffer:
            if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError(f"no answer within {timeout:.0f} s")
            chunk = os.read(self._replies, 1 << 20)
            if not chunk:
                raise WorkerGone(self._process.wait())
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply


def mask(text: str, masks: tuple[str, ...]) -> str:
    for secret in masks:
        text = text.replace(secret, "********")
    return text


def _write_log(stream: IO[bytes], path: Path, masks: tuple[str, ...]) -> None:
    with stream, os.fdopen(_open_log(path), "ab", buffering=0) as log:
        for line in stream:
            log.write(mask(line.decode("utf-8", "replace"), masks).encode())


def _open_log(path: Path) -> int:
    """Descriptor to append to a log that only its owner reads; a long one is moved aside, one old copy is kept."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        os.replace(path, path.with_suffix(".old.log"))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _end(process: subprocess.Popen[bytes], replies: int, pump: threading.Thread) -> None:
    """Close the worker's stdin, which ends it; what does not end in time is killed with all that it started."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_CLOSE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    os.close(replies)
    pump.join(_CLOSE_SECONDS)
