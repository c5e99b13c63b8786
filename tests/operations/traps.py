"""What of Prefect 3.7.7 would hurt, how that is measured, which answer lorasmith has, and the test that fails without it."""

from dataclasses import dataclass
from typing import Final

TRAPS_TEST, RECOVERY = "tests/operations/test_traps.py", "tests/operations/test_recovery.py"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trap:
    """number: as docs/prefect-traps.md counts. form: of tests/operations/bare.py; None where there is nothing to start.

    answer: in one sentence; where: the files that hold it; test: function in `file` that fails where they do not.
    """

    number: str
    what: str
    form: str | None
    answer: str
    where: tuple[str, ...]
    file: str
    test: str


TRAPS: Final = (
    Trap(
        number="0",
        what="a newer FastAPI ends the server at its start",
        form=None,
        answer="lock files hold it where fal wants it, too",
        where=("requirements/cpu.lock",),
        file=TRAPS_TEST,
        test="test_the_server_and_its_web_framework_fit",
    ),
    Trap(
        number="1",
        what="a cache key of INPUTS has no task in it",
        form="inputs",
        answer="NO_CACHE on every task; what was done is found in the store",
        where=("flows/store.py", "flows/steps.py"),
        file=TRAPS_TEST,
        test="test_prefects_cache_knows_neither_the_task_nor_its_code_and_is_not_used",
    ),
    Trap(
        number="2",
        what="TASK_SOURCE is the text of one function; a changed helper is a hit",
        form="helper",
        answer="keys of the store have the hash of a whole room's code",
        where=("flows/step_inputs.py", "flows/store.py"),
        file=TRAPS_TEST,
        test="test_a_changed_helper_is_another_key",
    ),
    Trap(
        number="3",
        what="a cache hit does not look for the files",
        form="files",
        answer="the store verifies every file that it finds",
        where=("flows/store.py",),
        file=TRAPS_TEST,
        test="test_an_artefact_whose_files_are_gone_is_made_again",
    ),
    Trap(
        number="4",
        what="disk full: Completed with half a result",
        form="disk",
        answer="Prefect keeps no result; artefacts are finished by one rename",
        where=("flows/store.py", "flows/books/records.py"),
        file=TRAPS_TEST,
        test="test_a_full_disk_leaves_nothing_half_written",
    ),
    Trap(
        number="5",
        what="lock files outlive who held them",
        form="lock",
        answer="flock, which the kernel takes back",
        where=("flows/store.py", "flows/retraining/app_turn.py", "flows/orchestration/server_state.py"),
        file=TRAPS_TEST,
        test="test_a_lock_goes_with_its_holder",
    ),
    Trap(
        number="6, 7",
        what="SIGTERM to a worker leaves its run Running, and its place in the pool taken",
        form="stop",
        answer="`worker up` schedules its runs again; the next worker settles those of a dead one",
        where=("flows/orchestration/worker_process.py", "flows/orchestration/resuming.py"),
        file=RECOVERY,
        test="test_a_run_survives_its_worker_and_its_server",
    ),
    Trap(
        number="8",
        what="nothing tells of a run whose machine is gone",
        form="zombie",
        answer="two automations, after a heartbeat and after Running; then scheduled again",
        where=("flows/automations/zombies.yaml", "flows/orchestration/resuming.py"),
        file=RECOVERY,
        test="test_a_run_whose_machine_is_gone_crashes_and_goes_on",
    ),
    Trap(
        number="9",
        what="leases lie in the server's memory",
        form="lease",
        answer="leases on disk",
        where=("flows/orchestration/orchestrator.py",),
        file=RECOVERY,
        test="test_a_run_survives_its_worker_and_its_server",
    ),
    Trap(
        number="10",
        what="children outlive a cancelled, a killed and a timed-out run",
        form="tree",
        answer="every child under the reaper, the worker too; no timeouts and no retries of tasks",
        where=("flows/orchestration/reaper.py", "flows/orchestration/tied.py"),
        file=RECOVERY,
        test="test_a_training_ends_with_its_worker_its_run_and_when_it_is_cancelled",
    ),
    Trap(
        number="11",
        what="no cancelling after an outage",
        form="outage",
        answer="asks every 2 s; a worker without a watch crashes its runs; the keeper looks itself",
        where=("flows/orchestration/orchestrator.py", "flows/orchestration/worker_process.py"),
        file="tests/operations/soak.py",
        test="outage",
    ),
    Trap(
        number="12",
        what="late runs of a schedule all run",
        form="late",
        answer="all but the last are dropped; retrain looks at its own lateness",
        where=("flows/orchestration/late_runs.py", "flows/retrain.py"),
        file=RECOVERY,
        test="test_of_late_runs_only_the_last_one_is_left",
    ),
    Trap(
        number="13",
        what="unknown keys are dropped; `deploy -n` goes to a default pool",
        form="moved",
        answer="refused; always --all, read back and compared; a default pool in the shell is dropped",
        where=("flows/orchestration/provisioning.py", "flows/orchestration/orchestrator.py"),
        file=TRAPS_TEST,
        test="test_a_key_that_prefect_would_drop_is_named",
    ),
    Trap(
        number="14",
        what="deploying wakes what an operator paused",
        form="asleep",
        answer="no `active` in prefect.yaml; triggers that slept are put to sleep again",
        where=("flows/orchestration/automating.py", "flows/orchestration/provisioning.py"),
        file=RECOVERY,
        test="test_what_an_operator_paused_stays_paused_and_what_was_moved_comes_back",
    ),
    Trap(
        number="&",
        what="started by a script's `&`, SIGINT is ignored",
        form="signals",
        answer="keepers hear both signals whatever the shell wants",
        where=("flows/orchestration/worker_process.py", "flows/orchestration/server_process.py"),
        file=RECOVERY,
        test="test_a_run_survives_its_worker_and_its_server",
    ),
    Trap(
        number="key",
        what="an idempotency key gives the old run with its old parameters",
        form="key",
        answer="the key has the hash of the training's inputs and counts attempts; the store says whether the work is there",
        where=("flows/machines/pool_training.py",),
        file="tests/flows/test_pool_training.py",
        test="test_an_attempt_is_never_that_of_a_run_which_has_ended",
    ),
    Trap(
        number="secret",
        what="a Secret block in job variables is kept in plain text",
        form="secret",
        answer="no job variables; secrets are read from the environment, or from blocks at run time",
        where=("prefect.yaml", "flows/secret_blocks.py"),
        file="tests/flows/test_deployments.py",
        test="test_deployment_is_what_prefect_reads",
    ),
    Trap(
        number="150 s",
        what="a run whose body ended while the server was away for long is Crashed",
        form="long-outage",
        answer="scheduled again; what was done is found",
        where=("flows/orchestration/resuming.py",),
        file="tests/operations/soak.py",
        test="absence",
    ),
)
