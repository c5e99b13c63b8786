"""A Hub that is away: asked again with growing pauses that chance moves, up to a limit, then one line and exit code 5."""

import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from flows.errors import HubFailed, JobError, StepFailed
from flows.patience import MOST_SECONDS, SETTING, patience, patiently, require_asked
from tests.licenses.loopback_hub import LoopbackHub, serving

PICTURES = Path(__file__).resolve().parents[2] / "examples" / "emoji" / "pictures"


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.pauses = 0.0, list[float]()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


class Away:
    """Comes back at a moment of the clock."""

    def __init__(self, clock: Clock, until: float) -> None:
        self.clock, self.until, self.asked = clock, until, 0

    def __call__(self) -> str:
        self.asked += 1
        if self.clock.now < self.until:
            raise StepFailed("the Hub cannot be asked", exit_code=5)
        return "answer"


def tried(away: Away, seconds: float, seed: int = 0) -> str:
    clock, chance = away.clock, random.Random(seed).uniform
    return patiently(away, seconds=seconds, clock=clock, sleep=clock.sleep, chance=chance)


def test_a_hub_that_comes_back_is_asked_again() -> None:
    away = Away(Clock(), until=30)
    assert tried(away, seconds=120) == "answer"
    assert 4 <= away.asked <= 7


def test_an_hour_without_the_hub_ends_with_one_line_and_code_5() -> None:
    away = Away(Clock(), until=3600)
    with pytest.raises(HubFailed, match=r"the Hub cannot be asked; asked \d+ times in \d+ s") as caught:
        tried(away, seconds=120)
    assert caught.value.exit_code == 5
    assert "\n" not in str(caught.value)
    assert away.clock.now <= 120
    patient = Away(Clock(), until=3600)
    assert tried(patient, seconds=7200) == "answer", "who waits long enough gets its answer"
    assert max(patient.clock.pauses) <= MOST_SECONDS


def test_pauses_grow_and_no_two_runs_come_back_together() -> None:
    one, other = Clock(), Clock()
    for clock, seed in ((one, 1), (other, 2)):
        tried(Away(clock, until=200), seconds=1000, seed=seed)
    assert one.pauses[3] > one.pauses[0]
    assert not set(one.pauses) & set(other.pauses)


def test_what_is_no_matter_of_the_hub_is_raised_at_once() -> None:
    clock = Clock()

    def refused() -> None:
        raise JobError("no such field")

    with pytest.raises(JobError):
        patiently(refused, seconds=100, clock=clock, sleep=clock.sleep)
    assert clock.pauses == []


@pytest.mark.parametrize("said", ["soon", "-1", "inf", "nan"])
def test_a_setting_that_is_no_time_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, said)
    with pytest.raises(JobError, match=SETTING):
        patience()


@pytest.mark.parametrize(
    ("codes", "asked"),
    [(["hub_unreachable"], False), (["hub_unreachable", "non_commercial"], True), (["hub_gated"], True), ([], True)],
)
def test_only_what_nobody_answered_counts_as_unasked(codes: list[str], asked: bool) -> None:
    use: dict[str, Any] = {"verdict": "block" if codes else "allow", "reasons": [{"code": code, "text": code} for code in codes]}
    verdict = {"uses": {"train_adapter": use}}
    if asked:
        require_asked(verdict)
    else:
        with pytest.raises(HubFailed, match="hub_unreachable"):
            require_asked(verdict)


@pytest.fixture
def hub() -> Any:
    with serving() as running:
        yield running


def test_publish_without_a_hub_ends_with_code_5_and_says_how_often_it_asked(
    hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setenv(SETTING, "3")
    hub.add("owner/base", fault="broken")
    job = tmp_path / "job.yaml"
    job.write_text(
        f"name: style\nbase: {{ref: owner/base}}\ndataset: {{path: {PICTURES}}}\nserving: {{app: style}}\n"
        "listing: {title: Style, short_description: A style.}\n"
    )
    ended = CliRunner().invoke(app, ["train", str(job)])
    asked = [path for _, path in hub.requests if path.startswith("/api/models/owner/base")]
    assert isinstance(ended.exception, HubFailed), ended.output
    assert f"asked {len(asked)} times" in str(ended.exception)
    assert len(asked) >= 2, hub.requests
