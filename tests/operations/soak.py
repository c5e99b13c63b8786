"""The traps that take minutes, on a real server as `lorasmith server up` keeps it: python -m tests.operations.soak [NAME...]

Prints a line for each: what was done, and what came of it. Exit code 1 where one of them did not end as it should.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psutil

from tests.operations.prefect import until
from tests.operations.stack import Stack, is_alive, marked, notes, process_of

ABSENCE_SECONDS = 150.0  # a run gives up after 75
OUTAGE_SECONDS = 45.0  # Prefect's watch for cancellations gives up after 25
LATE_SECONDS = 90.0
LEASE_SECONDS = 330.0  # a lease in memory killed its holder after 225


def outage(stack: Stack, folder: Path) -> str:
    """The server is away for longer than a run's watch for cancellations bears; then the run is cancelled."""
    stack.worker("gpu")
    mark, run = f"MARK-{folder.name}", stack.run("training/training", folder=str(folder))
    until(lambda: len(marked(mark)) == 4, 120, stack.said)
    away(stack, OUTAGE_SECONDS)
    until(lambda: stack.states(run)[-1] == "Running" and len(marked(mark)) == 4, 180, lambda: f"{stack.states(run)} {stack.said()}")
    time.sleep(15)  # a run that its worker gave up for the outage would go down now
    until(lambda: stack.states(run)[-1] == "Running" and len(marked(mark)) == 4, 180, lambda: f"{stack.states(run)} {stack.said()}")
    stack.cancel(run)
    begun = time.monotonic()
    until(lambda: marked(mark) == [], 10, lambda: f"survivors {marked(mark)}")
    gone = time.monotonic() - begun
    stack.until_state(run, "Cancelled")
    following = stack.run("training/training", folder=str(folder))
    until(lambda: len(marked(mark)) == 4, 120, stack.said)
    stack.cancel(following)
    stack.until_state(following, "Cancelled")
    times = notes(folder).count("begun") - 1
    return f"cancelled after an outage of {OUTAGE_SECONDS:.0f} s: gone in {gone:.1f} s, begun {times} times; the pool takes runs"


def away(stack: Stack, seconds: float) -> None:
    """No server for so long."""
    with server_away(stack):
        time.sleep(seconds)


@contextmanager
def server_away(stack: Stack) -> Iterator[None]:
    """The server is killed, and its keeper, which would start it again at once, sleeps for a while."""
    keeper = psutil.Process(stack.state()["pid"])
    keeper.suspend()
    for process in reversed(keeper.children(recursive=True)):
        process.kill()
    try:
        yield
    finally:
        keeper.resume()
    until(lambda: not stack.has_state(), 20, "its keeper has not seen it")
    until(stack.has_state, 180, stack.said)


def absence(stack: Stack, folder: Path) -> str:
    """A run's work ends while the server is away, and Prefect's client gives up before it is back."""
    stack.worker("cpu")
    run = stack.run("patient/patient", folder=str(folder))
    until(lambda: notes(folder) == ["begun"], 120, stack.said)
    with server_away(stack):
        (folder / "go").touch()
        until(lambda: notes(folder)[-1] == "done", 20, stack.said)
        engine = process_of(folder)
        time.sleep(ABSENCE_SECONDS)
    was = "its process had given up" if not is_alive(engine) else "its process was still there"
    back = time.monotonic()
    stack.until_state(run, "Completed", 300)
    took, times = time.monotonic() - back, notes(folder).count("begun")
    return f"{ABSENCE_SECONDS:.0f} s without the server: {was}; Completed {took:.0f} s after it came back, begun {times} times"


def zombies(stack: Stack, folder: Path) -> str:
    """Worker, reaper and run are killed in one moment, and nobody is there to see it."""
    worker = stack.worker("cpu")
    run = stack.run("patient/patient", folder=str(folder))
    until(lambda: notes(folder) == ["begun"], 120, stack.said)
    tree = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
    for act in (psutil.Process.suspend, psutil.Process.kill):
        for process in tree:
            act(process)
    worker.wait(20)
    (stack.home / "prefect" / "worker-cpu.json").unlink()
    begun = time.monotonic()
    until(lambda: "Crashed" in stack.states(run), 150, lambda: f"{stack.states(run)}")
    crashed = time.monotonic() - begun
    stack.until_state(run, "AwaitingRetry")
    again = time.monotonic() - begun
    stack.worker("cpu")
    (folder / "go").touch()
    stack.until_state(run, "Completed", 120)
    return f"Crashed {crashed:.0f} s after the kill, scheduled again after {again:.0f} s, completed by the next worker"


def limit(stack: Stack, folder: Path) -> str:
    """A run that kills itself at every attempt."""
    stack.worker("cpu")
    run = stack.run("patient/patient", folder=str(folder), crash=True)
    until(lambda: notes(folder).count("begun") == 4, 300, lambda: f"{notes(folder)} {stack.states(run)}")
    stack.until_state(run, "Crashed", 60)
    time.sleep(20)
    assert stack.states(run)[-1] == "Crashed"
    return f"begun {notes(folder).count('begun')} times, then left as Crashed"


def lease(stack: Stack, folder: Path) -> str:
    """The server is killed while a run holds a slot, which it holds for longer than a lease lost from memory would let it."""
    with stack.client() as client:
        client.upsert_global_concurrency_limit_by_name("toy-slot", 1)
    stack.worker("cpu")
    run = stack.run("holding/holding", folder=str(folder))
    until(lambda: notes(folder) == ["held"], 120, stack.said)
    away(stack, 1)
    holder = process_of(folder)
    deadline = time.monotonic() + LEASE_SECONDS
    while time.monotonic() < deadline:
        assert is_alive(holder), stack.said()
        time.sleep(1)
    (folder / "go").touch()
    stack.until_state(run, "Completed", 120)
    with stack.client() as client:
        slots = client.read_global_concurrency_limit_by_name("toy-slot").active_slots
    assert slots == 0, f"{slots} slots leaked"
    return f"held for {LEASE_SECONDS:.0f} s after the server was killed, then given back"


def late(stack: Stack, _: Path) -> str:
    """A schedule of every ten seconds, and no worker for a while."""
    stack.end_worker("cpu")
    with stack.client() as client:
        often = client.read_deployment_by_name("brief/often")
        client.update_deployment_schedule(often.id, often.schedules[0].id, active=True)
        time.sleep(LATE_SECONDS)
        stack.worker("cpu")
        until(lambda: "Completed" in brief(stack, often.id), 120, lambda: f"{brief(stack, often.id)}")
        names = brief(stack, often.id)
        client.update_deployment_schedule(often.id, often.schedules[0].id, active=False)
    dropped, done = names.count("Cancelled"), names.count("Completed")
    assert dropped > 2 * done, names
    return f"{LATE_SECONDS:.0f} s without a worker: {dropped} late runs dropped, {done} run when it came back"


def brief(stack: Stack, deployment: UUID) -> list[str]:
    """States of the runs of a deployment."""
    with stack.client() as client:
        return [run.state.name for run in client.read_flow_runs() if run.deployment_id == deployment]


FORMS: dict[str, Callable[[Stack, Path], str]] = {each.__name__: each for each in (outage, absence, zombies, limit, late, lease)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(FORMS), metavar="NAME", help=", ".join(FORMS))
    bad = 0
    with tempfile.TemporaryDirectory(prefix="lorasmith-soak-") as home:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        stack = Stack(Path(home), kept | {"LORASMITH_HOME": home, "OMP_NUM_THREADS": "1"})
        stack.server_up()
        try:
            for name in parser.parse_args().names:
                folder = Path(home) / name
                folder.mkdir()
                try:
                    said = FORMS[name](stack, folder)
                except AssertionError as fault:
                    bad, said = bad + 1, f"FAILED: {fault}"
                print(f"{name:<8} {said}", flush=True)
        finally:
            stack.end()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
