"""What the forecast says of serving: machines that are too small, how many runners, how long a start and an end may take."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.errors import JobError
from flows.job import Job
from flows.job_file import load_job, parse_job
from flows.money.sizing import Needs, gpu_of, needs_of, require_machine, scaling, startup_timeout, termination_grace
from flows.settings import app_settings
from training.forecast.memory import WORKSPACE

ROOT = Path(__file__).resolve().parents[2]


def job(base: str | None = None, **serving: Any) -> Job:
    raw = json.loads(load_job(ROOT / "examples/emoji/job.yaml").model_dump_json())
    raw["base"] = {"ref": base or raw["base"]["ref"]}
    raw["serving"] |= serving
    return parse_job(raw)


@pytest.fixture(scope="module")
def counted() -> Needs:
    """Of the demo's base, which is counted in a moment."""
    needs = needs_of(job(machine_type="GPU-H100"))
    assert needs
    return needs


def test_a_cpu_and_a_base_that_can_not_be_counted_are_not_judged() -> None:
    assert needs_of(job(machine_type="S")) is None
    assert needs_of(job("/no/such/base", machine_type="GPU-H100")) is None
    require_machine(job(machine_type="S"))


def test_weights_in_two_bytes_and_work_beside_them(counted: Needs) -> None:
    stored = sum(path.stat().st_size for path in (ROOT / "examples" / "base").rglob("*.safetensors"))
    assert counted.weights == pytest.approx(stored, rel=0.01)
    assert counted.memory > counted.weights + WORKSPACE
    assert counted.seconds
    assert 0 < counted.seconds[0] < counted.seconds[1]


@pytest.mark.parametrize(("machine", "gpu"), [("GPU-H100", "H100"), ("GPU-RTX4090", "RTX 4090"), ("GPU-A100", "A100 40G")])
def test_machines_are_known_by_their_gpu(machine: str, gpu: str) -> None:
    found = gpu_of(machine)
    assert found
    assert found.name == gpu


def test_a_machine_that_can_not_hold_the_base_is_refused_and_one_that_just_can_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = job(machine_type="GPU-RTX4090")
    for memory, says in ((25e9, "refused"), (23e9, "told"), (20e9, "")):
        monkeypatch.setattr("flows.money.sizing._counted", lambda *_, memory=memory: (memory, memory, 1e12))
        if says == "refused":
            with pytest.raises(JobError, match=r"serving.machine_type: got 'GPU-RTX4090'; the base needs 23 GiB by the forecast"):
                require_machine(wanted)
        else:
            require_machine(wanted)
        assert ("large batches may not fit" in capsys.readouterr().err) == (says == "told")


@pytest.mark.parametrize(
    ("peak", "seconds", "runners"),
    [
        (None, (1.0, 4.0), 2),
        (60, None, 2),
        (6, (1.0, 4.0), 2),
        (60, (1.0, 4.0), 3),  # one image a second, two seconds each, at seven tenths of the time
        (100_000, (1.0, 4.0), 50),
    ],
)
def test_runners_follow_the_peak(peak: float | None, seconds: tuple[float, float] | None, runners: int) -> None:
    assert scaling(peak_images=peak, seconds=seconds) == runners


@pytest.mark.parametrize(
    ("seconds", "grace"),
    [(None, 315), ((0.1, 0.2), 30), ((1.0, 4.0), 143), ((10.0, 40.0), 315)],
)
def test_a_runner_may_finish_what_it_holds(seconds: tuple[float, float] | None, grace: int) -> None:
    assert termination_grace(request_timeout=300, images_held=32, seconds=seconds) == grace


def test_no_grace_is_longer_than_the_platform_allows() -> None:
    assert termination_grace(request_timeout=3600, images_held=32, seconds=None) == 3600


@pytest.mark.parametrize(("weights", "seconds"), [(None, 600), (1e9, 600), (57e9, 900), (1e12, 3600)])
def test_a_start_has_the_time_that_its_weights_need(weights: float | None, seconds: int) -> None:
    assert startup_timeout(weights) == seconds


def test_what_the_job_names_wins_over_the_forecast() -> None:
    needs = Needs(memory=60e9, weights=57e9, seconds=(1.0, 4.0))
    left_open = app_settings(job(machine_type="GPU-H100", peak_images=600), needs=needs)
    assert (left_open.max_concurrency, left_open.termination_grace, left_open.startup_timeout) == (29, 143, 900)
    named = job(machine_type="GPU-H100", peak_images=600, max_concurrency=3, termination_grace=77, startup_timeout=88)
    settings = app_settings(named, needs=needs)
    assert (settings.max_concurrency, settings.termination_grace, settings.startup_timeout) == (3, 77, 88)
