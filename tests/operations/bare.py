"""What Prefect itself does where `lorasmith server up` and `worker up` do otherwise: python -m tests.operations.bare [NAME...]

A line for each trap, on a server and workers as `prefect server start` and `prefect worker start` start them, with Prefect's own
settings. The answers are in docs/operations.md; this says whether they are still needed.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

from prefect import get_client
from prefect.states import Cancelling

from tests.operations.prefect import ROOT, Prefect, until
from tests.operations.stack import TOYS, is_alive, marked, notes, process_of

OWN = {
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.memory",
    "PREFECT_RUNNER_CRASH_ON_CANCELLATION_FAILURE": "false",
    "PREFECT_RUNNER_POLL_FREQUENCY": "10",
}
OUTAGE_SECONDS = 45.0
WAIT_SECONDS = 60.0


def stop(server: Prefect, folder: Path) -> str:
    """Traps 6 and 7: SIGTERM to a worker with a run, in a pool that takes one."""
    server("work-pool", "set-concurrency-limit", "cpu", "1")
    worker = server.start_worker("cpu")
    first, second = (folder / name for name in ("first", "second"))
    for each in (first, second):
        each.mkdir()
    run = start(server, "patient/patient", first)
    until(lambda: notes(first) == ["begun"], 90, "the run did not begin")
    engine = process_of(first)
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)
    start(server, "patient/patient", second)
    server.start_worker("cpu", "another")
    time.sleep(WAIT_SECONDS)
    alive = "alive" if is_alive(engine) else "gone"
    begun = "began" if notes(second) else "did not begin"
    return f"its process is {alive}, the run is {state(server, run)}; {WAIT_SECONDS:.0f} s later the next run of the pool {begun}"


def outage(server: Prefect, folder: Path) -> str:
    """Trap 11: cancelled after the server was away."""
    server.start_worker("gpu")
    mark, run = f"MARK-{folder.name}", start(server, "training/training", folder)
    until(lambda: len(marked(mark)) == 4, 90, "the training did not begin")
    server.kill(server.server)
    time.sleep(OUTAGE_SECONDS)
    server.start_server()
    time.sleep(5)
    with server.client_settings(), get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Cancelling())
    begun = time.monotonic()
    while marked(mark) and time.monotonic() - begun < WAIT_SECONDS:
        time.sleep(0.2)
    took = f"gone after {time.monotonic() - begun:.0f} s" if not marked(mark) else f"still there after {WAIT_SECONDS:.0f} s"
    return f"cancelled after an outage of {OUTAGE_SECONDS:.0f} s: the training is {took}, the run is {state(server, run)}"


def moved(server: Prefect, _: Path) -> str:
    """Trap 13: one deployment by its name, where a default pool is set."""
    content = TOYS.read_text().replace('toy_flows.py:patient", tags', 'toy_flows.py:patient", concurency_limit: 1, tags', 1)
    file = server.folder / "typo.yaml"
    file.write_text(content)
    with_default = {**server.environment, "PREFECT_DEFAULT_WORK_POOL_NAME": "gpu"}
    server.environment, before = with_default, server.environment
    said = server("--no-prompt", "deploy", "-n", "patient", "--prefect-file", str(file))
    server.environment = before
    found = json.loads(server("deployment", "inspect", "patient/patient", "-o", "json"))
    warned = "is told" if "concurency" in said else "is dropped in silence"
    return f"an unknown key {warned}; `deploy -n` of a deployment of pool cpu went to {found['work_pool_name']}"


def lease(server: Prefect, folder: Path) -> str:
    """Trap 9: leases in memory, and the server is killed."""
    server("gcl", "create", "toy-slot", "--limit", "1")
    server.start_worker("cpu")
    run = start(server, "holding/holding", folder)
    until(lambda: notes(folder) == ["held"], 90, "the run did not begin")
    server.kill(server.server)
    server.start_server()
    holder, begun = process_of(folder), time.monotonic()
    while is_alive(holder) and time.monotonic() - begun < 330:
        time.sleep(1)
    end = f"killed after {time.monotonic() - begun:.0f} s" if not is_alive(holder) else "alive after 330 s"
    slots = json.loads(server("gcl", "inspect", "toy-slot", "-o", "json"))["active_slots"]
    return f"the holder was {end}, the run is {state(server, run)}, slots still taken: {slots}"


def start(server: Prefect, deployment: str, folder: Path) -> UUID:
    with server.client_settings(), get_client(sync_client=True) as client:
        found = client.read_deployment_by_name(deployment)
        run: UUID = client.create_flow_run_from_deployment(found.id, parameters={"folder": str(folder)}).id
    return run


def state(server: Prefect, run: UUID) -> str:
    with server.client_settings(), get_client(sync_client=True) as client:
        found = client.read_flow_run(run).state
    return found.name or found.type.value if found else "unknown"


FORMS: dict[str, Callable[[Prefect, Path], str]] = {each.__name__: each for each in (stop, moved, outage, lease)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(FORMS), metavar="NAME", help=", ".join(FORMS))
    print(f"Prefect {version('prefect')}", flush=True)
    for name in parser.parse_args().names:
        with tempfile.TemporaryDirectory(prefix="lorasmith-bare-") as folder:
            kept = {each: os.environ[each] for each in ("PATH", "HOME", "LANG", "TMPDIR") if each in os.environ}
            server = Prefect(Path(folder), kept | {"OMP_NUM_THREADS": "1"}, workers=(), file=TOYS, extra=OWN)
            place = Path(folder) / f"toy-{name}"
            place.mkdir()
            try:
                print(f"{name:<8} {FORMS[name](server, place)}", flush=True)
            finally:
                (place / "go").touch()
                server.end()
    return 0


if __name__ == "__main__":
    assert Path.cwd() == ROOT, f"run it in {ROOT}"
    sys.exit(main())
