"""What a worker's keeper knows of runs whose processes are gone, until a server has heard of it."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.orchestration import keeping
from flows.orchestration.engines import RUN_ID, engines, has_worker
from flows.orchestration.worker_process import Kept, WorkerState, read_state
from tests.operations.prefect import until

RUN, OTHER = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
SECONDS = 60.0
# Stands for Prefect's worker: one run, whose command line and environment are those of an engine.
WORKER = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', 'prefect.engine']).wait()"


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """Of a worker whose server is away."""
    (tmp_path / "prefect").mkdir()
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        yield Kept(tmp_path, WorkerState(name="gpu", pool="gpu", pid=1), 1, lambda _: None)


@pytest.fixture
def child(tmp_path: Path) -> Iterator[keeping.Child]:
    """The worker below its reaper."""
    started = keeping.start([sys.executable, "-c", WORKER, "worker"], env={RUN_ID: RUN}, cwd=Path.cwd(), log=tmp_path / "log")
    until(lambda: list(engines(started)) == [RUN], SECONDS, "the worker did not begin")
    yield started
    keeping.end(started)


def test_a_worker_that_is_killed_keeps_its_runs_on_the_list(kept: Kept, child: keeping.Child, tmp_path: Path) -> None:
    """Its reaper ends them before it ends itself: whoever looks in between sees a worker without runs."""
    kept.look(child)
    assert read_state(tmp_path, "gpu").runs == (RUN,)
    reaper = psutil.Process(child.pid)
    below = reaper.children(recursive=True)
    reaper.suspend()
    try:
        for process in below:
            process.send_signal(signal.SIGKILL)
        until(lambda: not has_worker(child) and not engines(child), SECONDS, "they live")
        kept.look(child)
        assert read_state(tmp_path, "gpu").runs == (RUN,)
    finally:
        reaper.resume()
    kept.ended(child.wait(SECONDS))
    assert read_state(tmp_path, "gpu").runs == (RUN,)
    assert kept.left == {RUN}


def test_what_can_not_be_settled_stays_on_the_list_beside_new_runs(kept: Kept, tmp_path: Path) -> None:
    """And is told to the next keeper, too."""
    kept.keep_state((RUN,))
    kept.ended(None)
    kept.keep_state((OTHER,))
    assert read_state(tmp_path, "gpu").runs == (RUN, OTHER)
    assert Kept(tmp_path, kept.state, 1, lambda _: None).left == {RUN, OTHER}


def test_a_run_that_goes_on_is_not_settled_any_more(kept: Kept, child: keeping.Child, tmp_path: Path) -> None:
    kept.left = {RUN, OTHER}
    kept.look(child)
    assert kept.left == {OTHER}
