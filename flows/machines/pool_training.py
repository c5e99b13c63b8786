"""A training as a run of its own on the work pool of the GPUs: started once, found again after a crash, ended with its parent.

Only its end comes back through Prefect. Weights and evaluation are found in the store, so the workers of both pools share one
LORASMITH_HOME: one machine, or a folder on a file system whose locks hold between machines (the store's lock is what keeps two
processes from the same training, whoever started them).
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from flows.adapter_steps import adapter_inputs
from flows.champion import champion_of
from flows.errors import FlowError, JobError, StepFailed, StepKilled
from flows.home import home
from flows.job import Job
from flows.machines.placing import Pool, place
from flows.orchestration.resuming import LIMIT
from flows.orchestration.server_away import WORKERS_RUN
from flows.progress import say
from flows.step_inputs import evaluation_inputs, twin_inputs
from flows.store import Artefact, digest, find
from flows.targets import Target

LINE, CODE = "lorasmith.line", "lorasmith.exit_code"
POLL_SECONDS = 2.0
PATIENCE = timedelta(seconds=90)  # a server that is busy with its database may be silent for sixty of them
ROUNDS = 2  # a second one where another release went live while the first was under way
MOST_CHARACTERS = 2000

Made = TypeVar("Made")


def train_on_pool(job: Job, dataset: Artefact, licences: Artefact, target: Target) -> None:
    """Have adapter and evaluation made on the GPU pool, where the job's training runs there and where they are not made yet.

    A second call with the same inputs, from whatever run, waits for the training that is under way. StepFailed carries the
    training's own line and exit code; FlowError where it ended well and its work is not in this store.
    """
    chosen = place(job.compute, deployed=WORKERS_RUN in os.environ)
    if not isinstance(chosen, Pool):
        return
    key = digest(adapter_inputs(job, dataset, licences))
    for _ in range(ROUNDS):
        if is_made(job, key, dataset, licences, target):
            return
        given = {"job": job.model_dump(mode="json"), "licences": licences.key, "dataset": dataset.key, "target": target}
        with get_client(sync_client=True) as client:
            require_completed(waited_for(client, the_run(client, chosen, key, given)))
    if not is_made(job, key, dataset, licences, target):
        raise FlowError(
            f"the training ended well, but its work is not in {home() / 'store'}: workers of both pools need one "
            "LORASMITH_HOME, the same code and the same scorers"
        )


def is_made(job: Job, key: str, dataset: Artefact, licences: Artefact, target: Target) -> bool:
    """Whether the steps of publish will find the adapter, the evaluation and what it is compared with."""
    adapter = find(home(), "adapter", key)
    if adapter is None:
        return False
    champion = champion_of(job, adapter, target)
    others = {"champion": champion.key} if champion else {}
    if champion and (inputs := twin_inputs(job, dataset, adapter, licences)):
        others["twin"] = digest(inputs)
    return find(home(), "bundle", digest(evaluation_inputs(job, adapter.key, others))) is not None


def the_run(client: SyncPrefectClient, chosen: Pool, key: str, given: Mapping[str, Any]) -> FlowRun:
    """The unfinished run of these inputs, or a new one; one that crashed just now is waited for, as it may go on.

    Prefect gives the first run of an idempotency key back for ever, also one that failed: so the key counts attempts. Two that ask
    at the same moment name the same attempt, and get one run.
    """
    tag = f"training-{key[:16]}"
    these = FlowRunFilter(tags=FlowRunFilterTags(all_=[tag]))
    while left := unended(runs := client.read_flow_runs(flow_run_filter=these), datetime.now(UTC)):
        if not is_final(left[0]):
            say(f"  train       goes on in run {left[0].name}")
            return left[0]
        time.sleep(POLL_SECONDS)
    try:
        run: FlowRun = run_deployment(  # type: ignore[assignment]
            chosen.deployment,
            parameters=dict(given),
            timeout=0,
            tags=[tag],
            idempotency_key=f"{tag}-{next_attempt(run.idempotency_key for run in runs)}",
            as_subflow=True,  # so that the server cancels it with its parent, where the parent could not
        )
    except ObjectNotFound:
        raise JobError(
            f"compute: the deployment {chosen.deployment} is not on this Prefect server: name the one of `lorasmith server up` in "
            "PREFECT_API_URL, or set compute: here"
        ) from None
    return run


def unended(runs: Iterable[FlowRun], now: datetime) -> list[FlowRun]:
    """Those that go on or may go on, the former first: a new run beside one that is resumed would train for nothing."""
    return sorted((run for run in runs if not has_ended(run, now)), key=is_final)


def is_final(run: FlowRun) -> bool:
    return run.state is not None and run.state.is_final()


def next_attempt(keys: Iterator[str | None]) -> int:
    """One more than the attempts that were, by the last part of their idempotency keys."""
    return 1 + max((int(key.rpartition("-")[2]) for key in keys if key and key.rpartition("-")[2].isdecimal()), default=0)


def waited_for(client: SyncPrefectClient, run: FlowRun) -> FlowRun:
    """The run once it has ended. Where we are cancelled it is too; where only our process ends, it goes on."""
    told = ""
    try:
        while not has_ended(run, datetime.now(UTC)):
            if run.state and told != (told := str(run.state.name)):
                say(f"  train       {run.name} on the pool {run.work_pool_name}: {told}{hint(told, run)}")
            time.sleep(POLL_SECONDS)
            with suppress(httpx.HTTPError):  # a server that is away comes back; the training does not need it
                run = client.read_flow_run(run.id)
    except BaseException as ending:
        if isinstance(ending, KeyboardInterrupt) or is_cancelled(client):
            with suppress(httpx.HTTPError):
                client.set_flow_run_state(run.id, Cancelling(message="The publish that waited for it was cancelled."))
        raise
    return run


def has_ended(run: FlowRun, now: datetime) -> bool:
    """Whether this is its end: one that crashed is scheduled again by `lorasmith server up`, where that is what runs the server."""
    state = run.state
    if state is None or not state.is_final():
        return False
    return not state.is_crashed() or now - state.timestamp > PATIENCE


def hint(state: str, run: FlowRun) -> str:
    return f"; no worker has taken it yet: lorasmith worker up --pool {run.work_pool_name}" if state == "Late" else ""


def is_cancelled(client: SyncPrefectClient) -> bool:
    """Whether somebody wants this run to end; else its worker or its machine goes down, and the next run finds the training."""
    own = os.environ.get(WORKERS_RUN)
    if own is None:
        return False
    with suppress(httpx.HTTPError):
        state = client.read_flow_run(UUID(own)).state
        return state is not None and (state.is_cancelling() or state.is_cancelled())
    return False


def require_completed(run: FlowRun) -> None:
    """StepFailed with the line and the code that the training told, or with what Prefect knows of its end."""
    state = run.state
    assert state
    if state.is_completed():
        return
    if state.is_cancelled():
        raise StepFailed(f"the training {run.name} was cancelled; run again and it goes on from its last checkpoint", exit_code=130)
    told = run.labels if state.is_failed() else {}  # those of one that crashed are of an attempt before
    line = told.get(LINE) or f"the training {run.name} ended as {state.name} ({state.message or 'no reason is known'})"
    raise StepFailed(str(line), exit_code=int(told.get(CODE, 1)))


def though_killed(step: Callable[[], Made]) -> Made:
    """What a step gives, started again where its trainer was killed, LIMIT times at most: in a pool nobody else would do it."""
    for times in range(1, LIMIT + 1):
        try:
            return step()
        except StepKilled as error:
            say(f"! train       {error}; it goes on from its last checkpoint ({times} of {LIMIT} times)")
    return step()


@contextmanager
def fault_told() -> Iterator[None]:
    """What goes wrong inside is kept as labels of the run, as one line and an exit code, for the run that waits for it."""
    from prefect.runtime import flow_run

    try:
        yield
    except Exception as error:
        code = getattr(error, "exit_code", None)
        line = " ".join((str(error) if isinstance(code, int) else f"{type(error).__name__}: {error}").split())
        labels: dict[str, bool | int | float | str] = {LINE: line[:MOST_CHARACTERS], CODE: code if isinstance(code, int) else 1}
        with get_client(sync_client=True) as client, suppress(httpx.HTTPError):
            client.update_flow_run_labels(UUID(flow_run.id), labels)
        raise
