"""Run a command so that nothing of it outlives its parent: python -m flows.orchestration.reaper GRACE COMMAND...

The command and all its descendants get SIGTERM when standard input reaches its end (the parent is gone) or when SIGTERM or
SIGINT arrives, and SIGKILL after GRACE seconds. Descendants that start a session of their own are caught too: this process is
their subreaper. Linux only; elsewhere the command's own process group is what is ended.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import psutil

from flows.orchestration.tied import tie

PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    grace, command = float(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    stop = threading.Event()

    def end_it(*_: object) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end_it)
    # What our parent handed on is for the command. It ends with us, too, should somebody kill us.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False, preexec_fn=tie)

    def watch_parent() -> None:
        os.read(0, 1)  # returns at end of file
        stop.set()

    threading.Thread(target=watch_parent, daemon=True).start()
    while child.poll() is None and not stop.wait(0.1):
        pass
    if child.poll() is None:
        end(child, grace)
    reap()
    code = child.returncode
    os._exit(code if code >= 0 else 128 - code)


def end(child: "subprocess.Popen[bytes]", grace: float) -> None:
    """SIGTERM to the whole tree, then wait for the command itself."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def reap() -> None:
    """SIGKILL whatever is left, until nothing is."""
    deadline = time.monotonic() + 10
    while (left := psutil.Process().children(recursive=True)) and time.monotonic() < deadline:
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=0.2)


if __name__ == "__main__":
    main()
