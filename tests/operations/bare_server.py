"""Traps 6 to 14 on a server and workers as `prefect server start` and `prefect worker start` start them."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import psutil
from prefect import get_client
from prefect.blocks.system import Secret
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.deployments import run_deployment
from prefect.states import Cancelling

from tests.operations.measured import Measured
from tests.operations.prefect import ROOT, Prefect, until
from tests.operations.stack import TOYS, is_alive, marked, notes, process_of

BARE = ROOT / "tests" / "operations" / "bare.yaml"
START_SECONDS = 300.0  # on a machine that has other work to do
OUTAGE_SECONDS = 45.0
LONG_OUTAGE_SECONDS = 150.0
WAIT_SECONDS = 60.0
LATE_SECONDS = 75.0
SILENCE_SECONDS = 150.0


def stop(server: Prefect, folder: Path) -> Measured:
    """Traps 6 and 7: SIGTERM to a worker with a run, in a pool that takes one."""
    server("work-pool", "set-concurrency-limit", "cpu", "1")
    worker = server.start_worker("cpu")
    first, second = (folder / name for name in ("first", "second"))
    for each in (first, second):
        each.mkdir()
    run = start(server, "patient/patient", first)
    until(lambda: notes(first) == ["begun"], START_SECONDS, "the run did not begin")
    engine = process_of(first)
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)
    start(server, "patient/patient", second)
    server.start_worker("cpu", "another")
    time.sleep(WAIT_SECONDS)
    alive = "alive" if is_alive(engine) else "gone"
    begun = "began" if notes(second) else "did not begin"
    now = state(server, run)
    said = f"its process is {alive}, the run is {now}; {WAIT_SECONDS:.0f} s later the next run of the pool {begun}"
    return Measured(now == "Running" and begun != "began", said)


def zombie(server: Prefect, folder: Path) -> Measured:
    """Trap 8: worker and run are killed in one moment."""
    worker = server.start_worker("cpu")
    run = start(server, "patient/patient", folder)
    until(lambda: notes(folder) == ["begun"], START_SECONDS, "the run did not begin")
    tree = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
    for act in (psutil.Process.suspend, psutil.Process.kill):
        for process in tree:
            act(process)
    within(SILENCE_SECONDS, lambda: state(server, run) != "Running")
    now = state(server, run)
    with server.client_settings(), get_client(sync_client=True) as client:
        looking = [one.name for one in client.read_automations() if one.name != "toy-trigger"]
    return Measured(
        now == "Running", f"{SILENCE_SECONDS:.0f} s later the run is {now}; automations there by default: {len(looking)}"
    )


def outage(server: Prefect, folder: Path) -> Measured:
    """Trap 11: cancelled after the server was away."""
    server.start_worker("gpu")
    mark, run = f"MARK-{folder.name}", start(server, "training/training", folder)
    until(lambda: len(marked(mark)) == 4, START_SECONDS, "the training did not begin")
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
    said = f"cancelled after an outage of {OUTAGE_SECONDS:.0f} s: the training is {took}, the run is {state(server, run)}"
    return Measured(bool(marked(mark)), said)


def moved(server: Prefect, _: Path) -> Measured:
    """Trap 13: one deployment by its name, where a default pool is set."""
    content = TOYS.read_text().replace('toy_flows.py:patient", tags', 'toy_flows.py:patient", concurency_limit: 1, tags', 1)
    file = server.folder / "typo.yaml"
    file.write_text(content)
    with_default = {**server.environment, "PREFECT_DEFAULT_WORK_POOL_NAME": "gpu"}
    server.environment, before = with_default, server.environment
    said = server("--no-prompt", "deploy", "-n", "patient", "--prefect-file", str(file))
    server.environment = before
    found = json.loads(server("deployment", "inspect", "patient/patient", "-o", "json"))
    deploy(server, TOYS)
    warned = "is told" if "concurency" in said else "is dropped in silence"
    said = f"an unknown key {warned}; `deploy -n` of a deployment of pool cpu went to {found['work_pool_name']}"
    return Measured(warned != "is told" or found["work_pool_name"] != "cpu", said)


def lease(server: Prefect, folder: Path) -> Measured:
    """Trap 9: leases in memory, and the server is killed."""
    server("gcl", "create", "toy-slot", "--limit", "1")
    server.start_worker("cpu")
    run = start(server, "holding/holding", folder)
    until(lambda: notes(folder) == ["held"], START_SECONDS, "the run did not begin")
    server.kill(server.server)
    server.start_server()
    holder, begun = process_of(folder), time.monotonic()
    while is_alive(holder) and time.monotonic() - begun < 330:
        time.sleep(1)
    end = f"killed after {time.monotonic() - begun:.0f} s" if not is_alive(holder) else "alive after 330 s"
    slots = json.loads(server("gcl", "inspect", "toy-slot", "-o", "json"))["active_slots"]
    said = f"the holder was {end}, the run is {state(server, run)}, slots still taken: {slots}"
    return Measured(end.startswith("killed") or bool(slots), said)


def long_outage(server: Prefect, folder: Path) -> Measured:
    """Section 1: the body ends while the server is away for longer than its client asks."""
    server.start_worker("cpu")
    run = start(server, "patient/patient", folder)
    until(lambda: notes(folder) == ["begun"], START_SECONDS, "the run did not begin")
    server.kill(server.server)
    (folder / "go").touch()
    time.sleep(LONG_OUTAGE_SECONDS)
    server.start_server()
    time.sleep(WAIT_SECONDS)
    now, done = state(server, run), "had" if "done" in notes(folder) else "had not"
    return Measured(
        now != "Completed", f"its body {done} finished, the run is {now} {WAIT_SECONDS:.0f} s after the server came back"
    )


def tree(server: Prefect, folder: Path) -> Measured:
    """Trap 10: a launcher and two workers, one of them in a session of its own, and no reaper."""
    deploy(server, BARE)
    server.start_worker("gpu")
    found = []
    for how in ("cancelled", "killed"):
        place = folder / f"{folder.name}-{how}"
        place.mkdir()
        mark, run = f"MARK-{place.name}", start(server, "tree/tree", place)
        until(lambda mark=mark: len(marked(mark)) == 3, START_SECONDS, "the tree did not begin")  # type: ignore[misc]
        if how == "cancelled":
            cancel(server, run)
        else:
            os.kill(process_of(place), signal.SIGKILL)
        within(WAIT_SECONDS, lambda mark=mark: not marked(mark))  # type: ignore[misc]
        found.append((how, len(marked(mark)), state(server, run)))
        sweep(mark)
    place = folder / f"{folder.name}-timed"
    place.mkdir()
    start(server, "impatient/impatient", place)
    mark = f"MARK-{place.name}"
    until(lambda: notes(place).count("begun") == 2 and len(marked(mark)) > 2, START_SECONDS, "no second attempt")
    within(10, lambda: len(marked(mark)) == 6)
    both = len(marked(mark))
    sweep(mark)
    said = "; ".join(f"{how}: {left} of 3 processes live {WAIT_SECONDS:.0f} s later, the run is {now}" for how, left, now in found)
    return Measured(
        any(left for _, left, _ in found) or both > 3, f"{said}; a timeout with a retry: {both} processes of two attempts"
    )


def late(server: Prefect, _: Path) -> Measured:
    """Trap 12: a schedule of every ten seconds, and no worker for a while."""
    with server.client_settings(), get_client(sync_client=True) as client:
        often = client.read_deployment_by_name("brief/often")
        client.update_deployment_schedule(often.id, often.schedules[0].id, active=True)
        ours = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[often.id]))

        def names() -> list[str]:
            return [str(run.state.name) for run in client.read_flow_runs(flow_run_filter=ours) if run.state]

        until(lambda: names().count("Late") >= 4, LATE_SECONDS * 2, lambda: f"{names()}")
        waiting = [run.id for run in client.read_flow_runs(flow_run_filter=ours) if run.state and run.state.name == "Late"]
        server.start_worker("cpu")
        within(START_SECONDS, lambda: "Late" not in {state(server, run) for run in waiting})
        taken = sum(state(server, run) not in ("Late", "Cancelled") for run in waiting)
        client.update_deployment_schedule(often.id, often.schedules[0].id, active=False)
    return Measured(taken > 1, f"{len(waiting)} runs were late when a worker came, it took {taken} of them")


def asleep(server: Prefect, _: Path) -> Measured:
    """Trap 14: an operator pauses a schedule and a trigger, and everything is deployed again; then with `active: true`."""
    with server.client_settings(), get_client(sync_client=True) as client:

        def awake() -> tuple[bool, bool]:
            found = client.read_deployment_by_name("patient/scheduled")
            (trigger,) = [one for one in client.read_automations() if one.name == "toy-trigger"]
            return found.schedules[0].active, trigger.enabled

        before = client.read_deployment_by_name("patient/scheduled")
        client.update_deployment_schedule(before.id, before.schedules[0].id, active=False)
        (trigger,) = [one for one in client.read_automations() if one.name == "toy-trigger"]
        client.pause_automation(trigger.id)
        assert awake() == (False, False)
        deploy(server, TOYS)
        schedule, again = awake()
        woken = server.folder / "active.yaml"
        woken.write_text(TOYS.read_text().replace("slug: yearly}", "slug: yearly, active: true}"))
        deploy(server, woken)
        named = awake()[0]
    words = {True: "wakes", False: "stays asleep"}
    said = f"deployed again, a paused schedule {words[schedule]} (with `active: true` it {words[named]}), "
    said += f"a paused trigger {words[again]}"
    return Measured(schedule or again or named, said)


def signals(server: Prefect, _: Path) -> Measured:
    """`&` in a script: the shell has SIGINT ignored for whatever it starts so."""
    found = {}
    for name in ("SIGINT", "SIGTERM"):
        worker = ignoring(server, f"worker-{name}")
        log = server.folder / f"worker-{name}.log"
        until(lambda log=log: "started!" in log.read_text(), START_SECONDS, "the worker did not start")  # type: ignore[misc]
        worker.send_signal(signal.Signals[name])
        within(30, lambda worker=worker: worker.poll() is not None)  # type: ignore[misc]
        found[name] = "ends it" if worker.poll() is not None else "is not heard for 30 s"
    return Measured("is not heard for 30 s" in found.values(), ", ".join(f"{name} {said}" for name, said in found.items()))


def ignoring(server: Prefect, name: str) -> "subprocess.Popen[bytes]":
    """A worker that was started with `&` by a shell that is no terminal's."""
    command = shlex.join([sys.executable, "-m", "prefect", "worker", "start", "--pool", "cpu", "--name", name])
    with (server.folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"trap '' INT; exec {command}"],
            cwd=ROOT,
            env=server.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    server.processes.append(process)
    return process


def key(server: Prefect, folder: Path) -> Measured:
    """Section 1: one idempotency key, and other parameters the second time."""
    with server.client_settings():
        made = [
            run_deployment("patient/patient-once", parameters={"folder": f"{folder}/{n}"}, idempotency_key=folder.name, timeout=0)
            for n in ("one", "two")
        ]
    same = made[0].id == made[1].id  # type: ignore[union-attr]
    kept = Path(made[1].parameters["folder"]).name  # type: ignore[union-attr]
    which = "the first run" if same else "a run of its own"
    return Measured(same and kept == "one", f"the second call gets {which}, with parameters {kept!r}, and no warning")


def secret(server: Prefect, folder: Path) -> Measured:
    """Section 1: a Secret block that a deployment's job variables name."""
    value = f"value-{folder.name}"
    with server.client_settings():
        Secret(value=value).save("toy-secret", overwrite=True)
    named = 'job_variables: {env: {TOY: "{{ prefect.blocks.secret.toy-secret }}"}}'
    file = server.folder / "secret.yaml"
    file.write_text(BARE.read_text().replace("work_queue_name: default}", f"work_queue_name: default, {named}}}", 1))
    deploy(server, file)
    with server.client_settings(), get_client(sync_client=True) as client:
        kept = client.read_deployment_by_name("tree/tree").job_variables["env"]["TOY"]
    return Measured(kept == value, f"the deployment keeps {'its value in plain text' if kept == value else repr(kept)}")


def deploy(server: Prefect, file: Path) -> None:
    server("--no-prompt", "deploy", "--all", "--prefect-file", str(file))


def cancel(server: Prefect, run: UUID) -> None:
    with server.client_settings(), get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Cancelling())


def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Whether it came true before `seconds` were over."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def sweep(mark: str) -> None:
    """End what a form left behind; it is what was measured."""
    for process in marked(mark):
        process.kill()


def start(server: Prefect, deployment: str, folder: Path) -> UUID:
    with server.client_settings(), get_client(sync_client=True) as client:
        found = client.read_deployment_by_name(deployment)
        run: UUID = client.create_flow_run_from_deployment(found.id, parameters={"folder": str(folder)}).id
    return run


def state(server: Prefect, run: UUID) -> str:
    with server.client_settings(), get_client(sync_client=True) as client:
        found = client.read_flow_run(run).state
    return found.name or found.type.value if found else "unknown"


FORMS: dict[str, Callable[[Prefect, Path], Measured]] = {
    each.__name__.replace("_", "-"): each
    for each in (key, secret, zombie, tree, signals, late, asleep, lease, outage, long_outage, moved, stop)
}
