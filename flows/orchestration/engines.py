"""The processes below a worker: Prefect's worker, the engines that run flows, and how they are ended."""

import contextlib
import subprocess
import time
from collections.abc import Sequence

import psutil

RUN_ID = "PREFECT__FLOW_RUN_ID"  # in the environment of a process that a worker started
PATIENCE_SECONDS = 2.0


def engines(reaper: "subprocess.Popen[bytes]") -> dict[str, psutil.Process]:
    """The processes that run flows, by the id of their run."""
    found: dict[str, psutil.Process] = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(reaper.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error, KeyError):
                if "prefect.engine" in process.cmdline():
                    found[process.environ()[RUN_ID]] = process
    return found


def workers(reaper: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Prefect's worker itself, below the reaper."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(reaper.pid).children():
            with contextlib.suppress(psutil.Error):  # also of one that is over and not reaped yet
                if "worker" in process.cmdline():
                    found.append(process)
    return found


def has_worker(reaper: "subprocess.Popen[bytes]") -> bool:
    """Whether Prefect's worker lives; the reaper outlives one that was killed by as long as it takes to end its runs."""
    return any(map(is_at_work, workers(reaper)))


def freeze(reaper: "subprocess.Popen[bytes]") -> None:
    """From here on the worker starts and reports nothing more."""
    for worker in workers(reaper):
        worker.suspend()


def end_all(reaper: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Ask the runs of a frozen worker to end, wait until they have, and end it."""
    running = list(engines(reaper).values())
    for process in running:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    wait(running, seconds)
    for worker in workers(reaper):
        worker.kill()


def end_engine(process: psutil.Process) -> None:
    """SIGTERM, and SIGKILL where that is not enough; what it started is under a reaper of its own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        wait([process], PATIENCE_SECONDS)
        process.kill()


def wait(processes: Sequence[psutil.Process], seconds: float) -> None:
    """Until all are over, or the time is."""
    deadline = time.monotonic() + seconds
    while any(map(is_at_work, processes)) and time.monotonic() < deadline:
        time.sleep(0.1)


def is_at_work(process: psutil.Process) -> bool:
    """Not over; one that is over stays a zombie until its parent, which may be frozen, has looked."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
