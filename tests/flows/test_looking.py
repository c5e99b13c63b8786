"""One look at an app, over real artefacts and without a training: what it finds, what it lets happen, what it records."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from flows.errors import FlowError, GateRejected, LicenceBlocked, NotApproved
from flows.job import Job
from flows.money import training_cost
from flows.money.spending import book_forecast
from flows.retrain import chosen, retrain
from flows.retraining.app_turn import app_turn
from flows.retraining.decision import keep
from flows.retraining.looking import Asked, look
from flows.retraining.snapshots import at_present, licences_now, on_record
from flows.targets import Target, job_of
from tests.flows.published import evaluation, release, toy_job

ROOT = Path(__file__).resolve().parents[2]
TOY = Asked(app="toy", target="sandbox")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORASMITH_REGISTRY", raising=False)
    return tmp_path / "home"


class Published:
    """In the place of publish: what it was asked for, and a release of what is there now."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault, self.jobs = fault, list[Job]()

    def __call__(self, job: Job, target: Target) -> dict[str, Any]:
        self.jobs.append(job)
        if self.fault:
            raise self.fault
        row = release(job, target)
        bundle = next(
            path.parent for path in sorted((Path(os.environ["LORASMITH_HOME"]) / "store/bundle").glob("*/*/evaluation.json"))
        )
        places = {"bundle": str(bundle), "listing": "/page", "grid": "/grid.png", "license_report": "/report.html"}
        prices = {"before": None, "after": 0.05}
        return {"package": row["package"], "urls": row["urls"], "seconds": {"train": 1.5}, "price": prices, **places}


def test_what_publish_has_just_made_is_nothing_to_do(tmp_path: Path) -> None:
    release(toy_job(tmp_path))
    publish = Published()
    made = look(TOY, publish)
    assert (made.outcome, made.changes, publish.jobs) == ("nothing to do", (), [])


CHANGES: list[tuple[str, Callable[[Path], object], dict[str, Any], list[str]]] = [
    ("a caption", lambda pictures: next(pictures.glob("*.txt")).write_text("another"), {}, ["pictures"]),
    ("a picture less", lambda pictures: next(pictures.glob("*.webp")).unlink(), {}, ["pictures"]),
    ("a template", lambda _: None, {"dataset": {"template": "{caption}"}}, ["rules"]),
    ("a recipe", lambda _: None, {"training": {"steps": 9}}, ["recipe"]),
    ("a resolution", lambda _: None, {"training": {"resolution": 48}}, ["rules", "recipe"]),
    ("a trigger", lambda _: None, {"dataset": {"trigger": "sks"}}, ["rules", "recipe"]),
    ("sampling steps", lambda _: None, {"inference": {"steps": 5}}, ["evaluation"]),
    ("a gate", lambda _: None, {"gate": {"min_improvement": 0.2}}, ["gate"]),
    ("a machine", lambda _: None, {"serving": {"keep_alive": 61}}, ["serving"]),
    ("a title", lambda _: None, {"listing": {"title": "Another"}}, ["listing"]),
    ("what does not matter", lambda _: None, {"rollout": {"golden": 1}, "retrain": {"stale_minutes": 5}}, []),
]


MADE_ANEW = {"pictures", "recipe", "serving"}  # of the toy's package; of the others the same comes out


@pytest.mark.parametrize(("edit", "fields", "parts"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_what_changed_is_named(tmp_path: Path, edit: Callable[[Path], object], fields: dict[str, Any], parts: list[str]) -> None:
    release(toy_job(tmp_path))
    edit(tmp_path / "toy")
    publish = Published()
    made = look(replace(TOY, job=toy_job(tmp_path, **fields)), publish)
    assert [change.part for change in made.changes] == parts
    assert made.outcome == ("promoted" if MADE_ANEW & set(parts) else "nothing to do")
    assert len(publish.jobs) == bool(parts)
    keep(made)
    again = look(TOY, publish)
    assert (again.outcome, len(publish.jobs)) == ("nothing to do", bool(parts)), "what was published is what is on record"


def test_a_dataset_that_was_moved_is_the_same(tmp_path: Path) -> None:
    release(toy_job(tmp_path))
    place = tmp_path / "elsewhere" / "toy"
    place.parent.mkdir()
    (tmp_path / "toy").rename(place)
    job = toy_job(tmp_path)
    moved = job.model_copy(update={"dataset": job.dataset.model_copy(update={"path": str(place)})})
    assert look(replace(TOY, job=moved), Published()).outcome == "nothing to do"


def test_a_promotion_is_told_with_losses_price_money_and_links(tmp_path: Path) -> None:
    release(toy_job(tmp_path))
    next((tmp_path / "toy").glob("*.txt")).write_text("another caption")
    made = look(TOY, Published())
    assert (made.outcome, made.reason) == ("promoted", "Changed: pictures.")
    assert made.judged["loss"] == {"base": 0.5, "live": None, "new": 0.4}
    assert (made.price, made.links["endpoint"]) == ({"before": None, "after": 0.05}, "https://127.0.0.1/toy")
    assert (made.money["forecast_usd"], made.money["this_run_usd"], made.money["cap_usd"]) == ("0.00", "0.00", None)
    assert look(TOY, Published()).outcome == "nothing to do"


def rejected(tmp_path: Path) -> GateRejected:
    fault = GateRejected("the adapter was not accepted: worse than what is live")
    fault.bundle = tmp_path / "bundle"
    fault.bundle.mkdir(exist_ok=True)
    (fault.bundle / "evaluation.json").write_text(json.dumps(evaluation(champion={"loss": 0.3, "relative": 0.33})))
    return fault


def test_a_gate_that_says_no_keeps_the_champion_and_is_not_asked_the_same_twice(tmp_path: Path) -> None:
    release(toy_job(tmp_path))
    next((tmp_path / "toy").glob("*.txt")).write_text("another caption")
    made = look(TOY, Published(rejected(tmp_path)))
    assert (made.outcome, made.judged["loss"]["live"]) == ("kept the champion", 0.3)
    assert made.reason == "Changed: pictures; the adapter was not accepted: worse than what is live."
    path = keep(made)
    again = Published()
    second = look(TOY, again)
    assert (second.outcome, again.jobs) == ("nothing to do", [])
    assert second.reason == f"What has changed was judged on {made.at[:10]}, and the champion was kept ({path.stem})."
    next((tmp_path / "toy").glob("*.txt")).write_text("a third caption")
    assert look(TOY, again).outcome == "promoted"


def test_what_waits_for_a_person_is_looked_at_again(tmp_path: Path) -> None:
    release(toy_job(tmp_path))
    next((tmp_path / "toy").glob("*.txt")).write_text("another caption")
    keep(waits := look(TOY, Published(NotApproved("toy on sandbox waits for a person"))))
    assert waits.outcome == "not approved"
    assert look(TOY, Published()).outcome == "promoted"


@pytest.mark.parametrize("fault", [FlowError("the disk is full"), GateRejected("nothing can be compared with it")])
def test_other_faults_are_raised(tmp_path: Path, fault: Exception) -> None:
    release(toy_job(tmp_path))
    next((tmp_path / "toy").glob("*.txt")).write_text("another caption")
    with pytest.raises(type(fault), match=str(fault)):
        look(TOY, Published(fault))


def test_a_champion_that_is_not_here_stops_it_before_a_training(tmp_path: Path, home: Path) -> None:
    release(toy_job(tmp_path))
    for folder in (home / "store" / "package").iterdir():
        folder.rename(tmp_path / folder.name)
    publish = Published()
    with pytest.raises(FlowError, match="is not on this disk, so nothing can be compared with it"):
        look(TOY, publish)
    assert publish.jobs == []


def test_a_release_that_waits_for_a_licence_review_is_not_looked_at(tmp_path: Path) -> None:
    from contextlib import closing

    from flows.targets import registry_url
    from serving.release.registry import Registry

    row = release(toy_job(tmp_path))
    with closing(Registry(registry_url())) as registry:
        registry.advance(row["id"], "live", review={"needed": True, "as_of": "2026-11-01", "changes": ["a clause"]})
    publish = Published()
    with pytest.raises(LicenceBlocked, match="waits for a review since 2026-11-01: a clause"):
        look(TOY, publish)
    assert publish.jobs == []


def test_the_cap_stops_it_and_shows_the_sum(tmp_path: Path) -> None:
    capped = toy_job(tmp_path, retrain={"monthly_budget_usd": 1, "machine_usd_per_hour": 3.6})
    row = release(capped)
    next((tmp_path / "toy").glob("*.txt")).write_text("another caption")
    publish = Published()
    unknown = look(TOY, publish)
    assert (unknown.outcome, unknown.money["forecast_usd"]) == ("over budget", None)
    assert "what it would cost is not known (nothing was measured yet on this machine" in unknown.reason
    for work in training_cost.WORKS:
        with training_cost.booking(job_of(row), work):
            pass
    assert look(TOY, publish).outcome == "promoted", "what was measured is far below a dollar"
    next((tmp_path / "toy").glob("*.txt")).write_text("a third caption")
    book_forecast(Path(os.environ["LORASMITH_HOME"]), "toy", "deploy", usd_nano=10**9, source="of a test")
    over = look(TOY, publish)
    assert over.outcome == "over budget"
    assert "and retrain.monthly_budget_usd is $1" in over.reason
    assert Decimal(over.money["spent_usd"]) >= 1
    assert len(publish.jobs) == 1


def test_what_needs_no_training_is_not_held_to_its_price(tmp_path: Path) -> None:
    release(toy_job(tmp_path))
    capped = toy_job(tmp_path, retrain={"monthly_budget_usd": 1, "machine_usd_per_hour": 3.6}, serving={"keep_alive": 61})
    made = look(replace(TOY, job=capped), Published())
    assert (made.outcome, made.money["basis"][0]) == ("promoted", "nothing has to be trained")


def test_a_first_release_is_made(tmp_path: Path) -> None:
    made = look(replace(TOY, job=toy_job(tmp_path)), Published())
    assert (made.outcome, made.reason) == ("promoted", "Nothing of this app is live yet.")
    assert look(TOY, Published()).outcome == "nothing to do"


def test_the_dataset_prepared_as_now_is_compared_with(tmp_path: Path) -> None:
    """Rules that make the same of the pictures give another folder of the same content; then nothing has to be done."""
    row = release(toy_job(tmp_path))
    other = toy_job(tmp_path, dataset={"near_duplicate": 27})
    licences = licences_now(other)
    now = at_present(other, licences)
    before = on_record(row, now.dataset)
    assert before
    assert before.rules != now.snapshot.rules
    look(replace(TOY, job=other), Published())  # prepares it
    after = at_present(other, licences)
    assert on_record(row, after.dataset) == replace(before, rules=after.snapshot.rules)


def test_two_looks_at_once_do_one_training(tmp_path: Path) -> None:
    release(toy_job(tmp_path))
    next((tmp_path / "toy").glob("*.txt")).write_text("another caption")
    publish, both = Published(), threading.Barrier(2)

    def one(_number: int) -> str:
        both.wait(60)
        return look(TOY, publish).outcome

    with ThreadPoolExecutor(2) as looks:
        assert sorted(looks.map(one, range(2))) == ["nothing to do", "promoted"]
    assert len(publish.jobs) == 1


def test_a_turn_is_given_back_by_a_run_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import time; from flows.retraining.app_turn import app_turn\n"
        "with app_turn('sandbox', 'toy', progress=print): print('held', flush=True); time.sleep(600)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT, env=dict(os.environ))
    assert holder.stdout
    assert holder.stdout.readline() == b"held\n"
    said: list[str] = []

    def kill(line: str) -> None:
        said.append(line)
        holder.kill()

    start = time.monotonic()
    with app_turn("sandbox", "another", progress=said.append):
        assert said == []
    with app_turn("sandbox", "toy", progress=kill):
        assert said == ["another run works on toy (sandbox): waiting until it has ended"]
    assert time.monotonic() - start < 60
    holder.wait(10)
    holder.stdout.close()


def test_only_what_an_event_names_is_looked_at(tmp_path: Path) -> None:
    for name in ("fox", "owl"):
        release(toy_job(tmp_path, name))
    assert [one.app for one in chosen(None, None, None, None)] == ["fox", "owl"]
    assert [one.app for one in chosen(None, None, "", str(tmp_path / "owl"))] == ["owl"]
    assert [one.app for one in chosen(None, "sandbox", "fox", "")] == ["fox"]
    assert list(chosen(None, "fal", None, None)) == []


def test_a_fault_of_one_app_is_told_and_recorded_and_the_others_are_looked_at(tmp_path: Path, home: Path) -> None:
    for name in ("fox", "owl"):
        release(toy_job(tmp_path, name))
    (home / "jobs" / "sandbox" / "fox.json").write_text("{}")
    with pytest.raises(FlowError, match=r"1 of 2 apps: .*fox\.json: name: missing"):
        retrain.fn()
    outcomes = {
        name: json.loads(next((home / "decisions" / name).glob("*.json")).read_text())["outcome"] for name in ("fox", "owl")
    }
    assert outcomes == {"fox": "failed", "owl": "nothing to do"}
