"""The monitor's round over releases of a platform in memory: what it sees, what it keeps, and when it speaks up."""

import base64
import json
import re
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from flows.books.records import write_json
from flows.cli.main import app
from flows.events import events_file
from flows.job import Job
from flows.job_file import parse_job
from flows.monitoring import history
from flows.monitoring.chart import svg
from flows.monitoring.looking import earned, looked
from flows.monitoring.papers import chain_end
from flows.monitoring.prometheus import exposition, last, served
from flows.monitoring.round import ask_platform, rounded
from flows.monitoring.telling import Report, as_json, as_markdown, as_text
from flows.own_calls import note
from flows.store import file_digest, make
from flows.targets import keep_job, live_releases, registry_url
from serving.release.deploy import publish_package
from serving.release.errors import PlatformError, PlatformUnreachable
from serving.release.platform import Books, Seen
from serving.release.registry import Registry
from serving.release.smoke import SmokePlan
from serving.sandbox.money.ledger import Entry, Ledger
from serving.sandbox.money.prices import Prices, nano_usd
from serving.sandbox.state import State
from tests.failpoints.scenarios import package
from tests.flows.test_job import SMALL
from tests.serving.release.memory_platform import MemoryPlatform
from tests.serving.release.test_golden import SETTINGS, Painter, bundle  # noqa: F401  (a fixture)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Sandbox(MemoryPlatform):
    name = "sandbox"


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """One live release of `toy`, published a moment ago; its smoke test is what was requested so far."""
    home = tmp_path / "home"
    monkeypatch.setenv("LORASMITH_HOME", str(home))
    for name in ("LORASMITH_REGISTRY", "PREFECT_API_URL", "LORASMITH_C2PA_CERTIFICATE"):
        monkeypatch.delenv(name, raising=False)
    found = Sandbox()

    @contextmanager
    def opened(target: str) -> Iterator[Sandbox]:
        yield found

    monkeypatch.setattr("flows.monitoring.round.open_platform", opened)
    publish(found, tmp_path, "a")
    found.seen.clear()
    return found


def job(**changes: Any) -> Job:
    return parse_job(SMALL | {"serving": {"app": "toy"}} | changes, source="test")


def publish(platform: MemoryPlatform, folder: Path, content: str, **changes: Any) -> dict[str, Any]:
    with closing(Registry(registry_url())) as registry:
        row = publish_package(
            package(folder, content),
            platform=platform,
            registry=registry,
            verdict_hash="v",
            smoke=SmokePlan(arguments=[{"prompt": "a red fox"}]),
            progress=lambda line: None,
        )
    keep_job(job(**changes), row)
    return row


def seen(platform: MemoryPlatform, statuses: dict[int, int], *, ago: float = 60.0, seconds: float = 1.0) -> None:
    """So many requests of each status, each a unit where it was answered."""
    listed = [(status, number) for status, count in statuses.items() for number in range(count)]
    platform.seen.setdefault(("toy", "main"), []).extend(
        Seen(
            request_id=f"{status}-{number}",
            status=status,
            seconds=seconds,
            units=1.0 if status == 200 else 0.0,
            ended_at=time.time() - ago,
        )
        for status, number in listed
    )


def round_now() -> Report:
    (report,) = rounded(None, ask_platform)
    return report


def events() -> list[str]:
    lines = events_file().read_text().splitlines() if events_file().is_file() else []
    return [f"{line['event'].removeprefix('lorasmith.monitor.')} {line['payload']['code']}" for line in map(json.loads, lines)]


def test_a_look_counts_requests_by_how_they_ended_and_by_their_age(platform: Sandbox) -> None:
    seen(platform, {200: 7, 422: 2, 503: 1}, seconds=2.0)
    seen(platform, {200: 90}, ago=7200)
    look = round_now().look
    assert (look.day.requests, look.day.refused, look.day.failed, look.day.units) == (100, 2, 1, 97.0)
    assert look.window is not None
    assert (look.window.requests, look.window.failed, look.window.p50, look.window.p95) == (10, 1, 2.0, 2.0)
    assert (look.health, look.serves, look.runners) == (200, None, 1)


def test_our_own_calls_are_no_customer_s(platform: Sandbox) -> None:
    seen(platform, {200: 30, 503: 10}, seconds=2.0)
    note("sandbox", "toy", "503-0")
    note("sandbox", "another", "503-1")
    note("fal", "toy", "503-2")
    platform.own = ["200-0", "200-1", "unseen"]
    platform.accounts = Books(price_usd=0.04, unit="image")
    report = round_now()
    look = report.look
    assert (look.day.requests, look.day.failed, look.day.own) == (37, 9, 3)
    assert (look.day.units, look.day.own_units) == (30.0, 2.0)
    assert look.window is not None
    assert (look.window.requests, look.window.failed) == (37, 9)
    assert look.money.revenue == pytest.approx(28 * 0.04)
    assert "own calls 3" in as_text([report])
    row = as_json(report)
    assert 'lorasmith_own_requests_day{app="toy",target="sandbox"} 3.0' in exposition([row])
    del row["day"]["own"]  # as a round kept it before they were counted
    assert "lorasmith_own_requests_day{" not in exposition([row])


def test_a_platform_that_does_not_tell_who_called_leaves_what_is_noted_here(platform: Sandbox) -> None:
    def untold(number: int, verb: str, when: str) -> None:
        if verb == "own_requests":
            raise PlatformError("404")

    seen(platform, {200: 5})
    note("sandbox", "toy", "200-3")
    platform.on_call = untold
    assert (round_now().look.day.requests, round_now().look.day.own) == (4, 1)


def test_what_the_platform_does_not_show_is_unknown_and_never_nought(platform: Sandbox) -> None:
    def hide(number: int, verb: str, when: str) -> None:
        if verb == "requests":
            raise PlatformError("404")

    platform.on_call = hide
    report = round_now()
    assert (report.look.day.requests, report.look.window, report.look.money.revenue) == (None, None, None)
    assert report.level == "ok"


def test_money_is_reckoned_from_the_platforms_books(platform: Sandbox) -> None:
    seen(platform, {200: 50})
    platform.accounts = Books(price_usd=0.04, unit="image", machine_usd=0.5, own_units=10.0, cold_starts=3)
    look = round_now().look
    assert look.money.revenue == pytest.approx(1.6)
    assert look.money.revenue_by == "estimate"
    assert look.money.margin == pytest.approx(1.1 / 50)
    assert (look.price.live, look.day.cold_starts) == (0.04, 3)


@pytest.mark.parametrize(
    ("prices", "told"), [({"0.03": 2}, 0.12), ({"0.03": 2, "0.05": 1}, 0.22), ({None: 1, "0.03": 1}, None), ({}, None)]
)
def test_revenue_is_exact_where_a_ledger_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prices: Any, told: float
) -> None:
    """Each request at the price of its moment; the owner's own calls and other days are no revenue."""
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    (tmp_path / "sandbox").mkdir()
    state = State(tmp_path / "sandbox" / "state.db")
    ledger = Ledger(state.db)
    said: dict[str, Any] = {"app": "toy", "environment": "main", "revision": None, "path": "/", "status": 200, "units": "2"}
    said |= {"seconds": 1.0, "owner": "owner", "runner": "r", "auth_mode": "shared"}
    for usd, requests in prices.items():
        if usd:
            Prices(state.db).set("owner/toy", nano_usd(usd))
        for _ in range(requests):
            ledger.record(Entry(**said, request_id="x", caller="somebody"))
    ledger.record(Entry(**said, request_id="x", caller="owner"))
    ledger.record(Entry(**said, request_id="x", caller="somebody", ended_at=1.0))
    state.close()
    assert earned("sandbox", "toy", time.time() - 86_400) == (None if told is None else pytest.approx(told))
    assert earned("sandbox", "toy", time.time() - 86_400, own=["x"]) is None, "paid by ourselves"
    assert earned("fal", "toy", 0.0) is None


def test_a_runner_that_sleeps_is_not_woken_unless_the_job_says_so(platform: Sandbox, tmp_path: Path) -> None:
    def asleep() -> None:
        platform.revisions = lambda app, environment: []  # type: ignore[method-assign]

    asleep()
    before = platform.calls
    look = round_now().look
    assert (look.health, look.runners, platform.seen.get(("toy", "main"))) == (None, 0, None)
    assert platform.calls > before
    (release,) = live_releases()
    keep_job(job(monitor={"wake": True}), release)
    assert round_now().look.health == 200


def test_a_name_that_was_moved_by_somebody_is_an_alert(platform: Sandbox, tmp_path: Path) -> None:
    platform.deploy(package(tmp_path, "b"), app="toy", environment=None)
    report = round_now()
    assert report.level == "alert"
    assert any(one.code == "health" and "revision-" in one.text for one in report.findings)


def test_a_change_is_told_once_and_its_end_too(platform: Sandbox) -> None:
    round_now()
    assert events() == []
    seen(platform, {200: 20, 503: 20})
    assert [one.code for one in round_now().changed] == ["errors"]
    assert round_now().changed == ()
    assert events() == ["alert errors"]
    seen(platform, {200: 700})
    round_now()
    seen(platform, {200: 3000})
    round_now()
    assert events() == ["alert errors", "warn errors", "ok errors"]
    assert history.told_last() == {"sandbox/toy": {}}


def test_what_the_job_names_is_an_event_of_its_own(platform: Sandbox) -> None:
    (release,) = live_releases()
    keep_job(job(monitor={"pause_on": ["errors"], "roll_back_on": ["errors"], "min_requests": 5}), release)
    seen(platform, {503: 5})
    round_now()
    assert events() == ["alert errors", "pause errors", "roll-back errors"]
    payload = json.loads(events_file().read_text().splitlines()[-1])["payload"]
    assert {name: payload[name] for name in ("app", "target", "revision")} == {
        "app": "toy",
        "target": "sandbox",
        "revision": release["revision"],
    }


def test_a_platform_that_is_away_is_an_alert_and_its_return_is_told(platform: Sandbox) -> None:
    def away(number: int, verb: str, when: str) -> None:
        raise PlatformUnreachable("nobody answers")

    platform.on_call = away
    report = round_now()
    assert report.look.fault == "nobody answers"
    assert (report.findings[0].code, report.level) == ("platform", "alert")
    platform.on_call = lambda number, verb, when: None
    round_now()
    assert events() == ["alert platform", "ok platform"]


def test_a_job_that_can_not_be_read_keeps_no_other_from_its_look(platform: Sandbox) -> None:
    (release,) = live_releases()
    from flows.targets import job_file

    write_json(job_file("toy", "sandbox"), {"name": "?"})
    report = round_now()
    assert "name" in str(report.look.fault)
    assert report.look.revision == release["revision"]


def test_the_history_is_bounded_and_half_a_line_is_none(platform: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT", 3)
    for _ in range(5):
        round_now()
    file = history.folder() / "history.jsonl"
    assert len(history.rows()) == 3
    file.write_text(file.read_text() + '{"app": "to')
    assert len(history.rows()) == 3
    round_now()
    assert len(file.read_text().splitlines()) == 3


def test_the_chart_is_a_picture_of_its_own_and_gaps_are_gaps(platform: Sandbox) -> None:
    rows = []
    for minute, requests in enumerate([1, 2, None, 4, 5]):
        row = as_json(round_now())
        row["at"] = (NOW + timedelta(minutes=minute)).isoformat()
        row["day"]["requests"] = requests
        rows.append(row)
    picture = ElementTree.fromstring(svg(rows))
    lines = picture.findall("{http://www.w3.org/2000/svg}polyline")
    assert len([line for line in lines if line.get("points")]) >= 2
    assert "5 looks from 2026-11-22 12:00 to 2026-11-22 12:04 UTC" in str(picture.get("aria-label"))
    assert "href" not in svg(rows)
    assert ElementTree.fromstring(svg([])).get("aria-label") == "no look was kept yet"


def test_the_page_holds_its_chart_and_escapes_what_is_from_outside(platform: Sandbox) -> None:
    def away(number: int, verb: str, when: str) -> None:
        raise PlatformUnreachable("<b>no</b> | [x](http://y) `z`")

    platform.on_call = away
    report = round_now()
    page = (history.folder() / "report.md").read_text()
    (data,) = re.findall(r"\(data:image/svg\+xml;base64,([^)]+)\)", page)
    assert base64.b64decode(data).decode() == (history.folder() / "chart.svg").read_text()
    assert "<b>" not in page
    assert "\\| \\[x\\](http://y) \\`z\\`" in page
    assert "ALERT" in as_text([report])
    assert as_text([]) == "no live release: nothing to look at\n"
    assert "nothing to look at" in as_markdown([], "")


def test_prometheus_has_what_is_known_and_leaves_out_what_is_not(platform: Sandbox, tmp_path: Path) -> None:
    seen(platform, {200: 30, 503: 30})
    file = tmp_path / "toy.prom"
    result = CliRunner().invoke(app, ["monitor", "--prometheus", str(file)])
    assert result.exit_code == 4, result.output
    assert "!! ALERT errors: 30 of 60 requests failed" in result.output
    found = {
        (sample.name, sample.labels.get("code", "")): sample.value
        for family in text_string_to_metric_families(file.read_text())
        for sample in family.samples
    }
    assert found["lorasmith_requests_failed_day", ""] == 30
    assert found["lorasmith_finding", "errors"] == 2
    assert found["lorasmith_finding", "health"] == 0
    assert ("lorasmith_revenue_usd_day", "") not in found
    assert [path.name for path in tmp_path.glob("*.part")] == []
    assert exposition([]).count("\nlorasmith_") == 0


def test_a_prometheus_scrapes_the_last_look_from_loopback(platform: Sandbox, tmp_path: Path) -> None:
    import urllib.request

    round_now()
    before = platform.calls
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with served(tmp_path / "home" / "monitor.json", 0) as address, direct.open(f"{address}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert address.startswith("http://127.0.0.1:")
    assert 'lorasmith_runners{app="toy",target="sandbox"} 1.0' in text
    assert platform.calls == before
    assert last(tmp_path / "nothing") == []


@pytest.mark.parametrize(("fault", "code"), [(False, 0), (True, 5)])
def test_the_command_prints_json_and_its_code_tells_of_the_platform(platform: Sandbox, fault: bool, code: int) -> None:
    def away(number: int, verb: str, when: str) -> None:
        raise PlatformUnreachable("nobody answers")

    if fault:
        platform.on_call = away
    result = CliRunner().invoke(app, ["monitor", "--json", "--target", "sandbox"])
    assert result.exit_code == code
    (row,) = json.loads(result.stdout)["releases"]
    assert row["fault"] == ("nobody answers" if fault else None)
    assert json.loads((history.folder().parent / "monitor.json").read_text())["releases"] == [row]


def painted(folder: Path, bundle: Path, **moved: float) -> tuple[Painter, dict[str, Any]]:  # noqa: F811
    """A painter's app as a live release whose evaluation is on this disk; the rollout measured 45 dB for seed 1001."""
    (live,) = live_releases()

    def copy(out: Path) -> None:
        for file in (item for item in bundle.rglob("*") if item.is_file() and "home" not in item.relative_to(bundle).parts):
            (out / file.relative_to(bundle)).parent.mkdir(parents=True, exist_ok=True)
            (out / file.relative_to(bundle)).write_bytes(file.read_bytes())

    home = Path(registry_url().removeprefix("sqlite:///")).parent
    kept = make(home, "bundle", {"made": "here"}, copy)

    def pack(out: Path) -> None:
        write_json(out / "package.json", {"hash": live["package"]})
        write_json(out / "settings.json", SETTINGS)

    make(home, "package", {"bundle": file_digest(kept.path / "manifest.json")}, pack)
    painter = Painter(**moved)
    painter.aliases, painter.packages, painter.places, painter.auth = {("toy", "main"): live["revision"]}, {}, {}, {}
    return painter, live | {"evidence": live["evidence"] | {"golden": {"pictures": [{"seed": 1001, "psnr": 45.0}]}}}


@pytest.mark.parametrize(
    ("moved", "level", "fault"),
    [({"noise": 1.0}, "ok", False), ({"noise": 6.0}, "alert", False), ({"shift": 30.0}, "alert", True)],
)
def test_golden_prompts_are_drawn_again_and_held_against_the_release_s_own_record(
    platform: Sandbox,
    tmp_path: Path,
    bundle: Path,  # noqa: F811
    moved: dict[str, float],
    level: str,
    fault: bool,
) -> None:
    from flows.monitoring.findings import judged

    painter, release = painted(tmp_path, bundle, **moved)
    wanted = job(monitor={"golden_a_day": 3})
    look = looked(release, painter, job=wanted, now=NOW)
    assert look.golden is not None
    assert [asked["seed"] for asked in painter.asked] == [1001], "only what the release has a figure for, each once"
    assert (look.golden.asked, look.golden.compared, look.golden.units) == (1, 1, 1)
    assert look.golden.seconds == 0.5
    assert look.golden.usd == pytest.approx(0.5 * 0.000525), "by the rate of the job's machine"
    found = next(one for one in judged(look, wanted.monitor) if one.code == "quality")
    assert (found.level, look.golden.fault is not None) == (level, fault), found
    assert "1 golden prompts, 1 units, 0.5 s, about $0.0003" in found.text


def test_golden_prompts_stop_at_the_day_s_number_and_begin_at_none(platform: Sandbox, tmp_path: Path, bundle: Path) -> None:  # noqa: F811
    painter, release = painted(tmp_path, bundle)
    assert looked(release, painter, job=job(), now=NOW).golden is None
    assert looked(release, painter, job=job(monitor={"golden_a_day": 1}), now=NOW, drawn_today=1).golden is None
    assert painter.asked == []
    rows = [
        {"app": "toy", "target": "sandbox", "at": at, "golden": {"asked": 2}}
        for at in ("2026-11-21T23:59:00+00:00", NOW.isoformat())
    ]
    assert history.drawn_on(NOW.date(), "toy", "sandbox", rows) == 2


def test_the_end_of_a_certificate_is_read_from_its_chain() -> None:
    from serving.app.marking.certificate import for_development

    credential = for_development("A. Publisher")
    assert chain_end(credential.chain) == credential.ends.date()
    assert chain_end(b"no certificate") is None
