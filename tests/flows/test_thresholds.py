"""Findings of a look by the job's thresholds: pure, so each is a row of a table."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from flows.errors import JobError
from flows.job_file import parse_job
from flows.monitoring.findings import Finding, judged, worst
from flows.monitoring.look import Answers, Day, Drawn, Look, Money, Papers, Price
from flows.monitoring.money import money_of
from flows.monitoring.round import events_of
from flows.monitoring.thresholds import Thresholds
from serving.release.platform import Books
from tests.flows.test_job import SMALL

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TODAY = NOW.date()
WELL = Look(
    app="toy",
    target="sandbox",
    revision="r",
    endpoint="https://run.example.org/toy",
    at=NOW,
    health=200,
    seconds=0.1,
    runners=1,
    window=Answers(minutes=60, requests=100, failed=0, p50=1.0, p95=2.0),
    day=Day(requests=100, refused=0, failed=0, units=100, images=100, cold_starts=2),
    money=Money(revenue=3.0, revenue_by="platform", cost=1.0, cost_by="platform", margin=0.02),
    price=Price(unit="image", live=0.03, wanted=0.03, recommended=0.03, floor=0.02),
    papers=Papers(certificate="development", checked=TODAY, verdict="duties"),
)
DRAWN = Drawn(asked=3, compared=3, drop=0.0, worst=44.0, units=3, seconds=1.5, usd=0.002)


def found(code: str, limits: Thresholds, **changes: Any) -> Finding:
    return next(one for one in judged(replace(WELL, **changes), limits) if one.code == code)


def window(**changes: Any) -> dict[str, Any]:
    assert WELL.window is not None
    return {"window": replace(WELL.window, **changes)}


def papers(**changes: Any) -> dict[str, Any]:
    return {"papers": replace(WELL.papers, **changes)}


def test_a_release_that_is_well_needs_nobody_and_says_what_was_looked_at() -> None:
    findings = judged(replace(WELL, golden=DRAWN), Thresholds())
    assert worst(findings) == "ok"
    assert {one.todo for one in findings} == {""}
    assert len({one.code for one in findings}) == len(findings) == 15


@pytest.mark.parametrize(
    ("code", "changes", "limits", "level", "words"),
    [
        ("health", {"health": 503}, {}, "alert", "answered 503"),
        ("health", {"health": None, "runners": 0}, {}, "ok", "none was woken"),
        ("health", {"serves": "package b"}, {}, "alert", "another package"),
        ("probation", {"probation": "failed"}, {}, "alert", "failed on probation"),
        ("probation", {"probation": "watched"}, {}, "ok", "watched"),
        ("errors", window(failed=1), {}, "ok", "1 of 100"),
        ("errors", window(failed=2), {}, "warn", "2.0%"),
        ("errors", window(failed=6), {}, "alert", "6.0%"),
        ("errors", window(failed=19, requests=19), {}, "ok", "judged from 20"),
        ("errors", window(failed=19, requests=19), {"min_requests": 19}, "alert", "100.0%"),
        ("errors", {"window": None}, {}, "ok", "does not show"),
        ("latency", window(p95=9.0), {}, "ok", "p95 9.00 s"),
        ("latency", window(p95=9.0), {"p95_warn_seconds": 5}, "warn", "may be 5 s"),
        ("latency", window(p95=9.0), {"p95_warn_seconds": 5, "p95_alert_seconds": 8}, "alert", "may be 8 s"),
        ("latency", window(p50=None, p95=None), {"p95_warn_seconds": 5}, "ok", "no request"),
        ("cold_starts", {}, {"cold_starts_a_day": 1}, "warn", "1 are allowed"),
        ("cold_starts", {}, {"cold_starts_a_day": 2}, "ok", "2 requests"),
        ("cost", {}, {"cost_a_day_usd": 0.5}, "alert", "$0.5 are allowed"),
        ("cost", {"money": Money()}, {"cost_a_day_usd": 0.5}, "ok", "not known"),
        ("cost", {"money": Money(cost=1.0, cost_by="estimate")}, {}, "ok", "an estimate"),
        ("margin", {"money": replace(WELL.money, margin=-0.01)}, {}, "warn", "$-0.0100 over"),
        ("margin", {}, {"margin_usd": 0.05}, "warn", "$0.05 are wanted"),
        ("price", {"price": replace(WELL.price, live=0.01)}, {}, "alert", "loses money"),
        ("price", {"price": replace(WELL.price, live=0.04)}, {}, "warn", "the listing says $0.03"),
        ("price", {"price": replace(WELL.price, live=None, wanted=0.07)}, {}, "warn", "2.3 times apart"),
        ("price", {"price": Price(unit="image")}, {}, "ok", "no price was set"),
        ("price", {"price": Price(unit="image", live=0.03)}, {}, "ok", "asks $0.03 per image; no recommendation"),
        ("price", {"money": replace(WELL.money, cost=4.0)}, {}, "alert", "loses money: a unit is sold for $0.03, and cost $0.04"),
        ("price", {"money": replace(WELL.money, cost=4.0)}, {"min_requests": 101}, "ok", "recommended are $0.03"),
        ("price", {"money": replace(WELL.money, cost=2.0, share=0.5)}, {}, "alert", "$0.015 are left to the author"),
        ("listing", {"listing": ("sent", date(2026, 11, 1))}, {}, "warn", "21 days"),
        ("listing", {"listing": ("sent", date(2026, 11, 20))}, {}, "ok", "sent since"),
        ("listing", {"listing": ("listed", date(2026, 11, 20)), "stale": True}, {}, "warn", "about another package"),
        ("listing", {"listing": ("refused", date(2026, 11, 20))}, {}, "warn", "was refused"),
        ("listing", {"listing": ("listed", date(2025, 1, 1))}, {}, "ok", "listed"),
        ("quality", {"golden": replace(DRAWN, drop=6.5)}, {}, "alert", "lost 6.5 dB"),
        ("quality", {"golden": replace(DRAWN, drop=5.5)}, {}, "ok", "44.0 dB"),
        ("quality", {"golden": replace(DRAWN, drop=None, usd=None)}, {}, "warn", "cost not known"),
        ("quality", {"golden": replace(DRAWN, fault="golden prompts: 2 units were billed")}, {}, "alert", "2 units were billed"),
        ("certificate", papers(certificate=date(2026, 12, 31)), {}, "ok", "in 39 days"),
        ("certificate", papers(certificate=date(2026, 12, 1)), {}, "warn", "in 9 days"),
        ("certificate", papers(certificate=date(2026, 11, 25)), {}, "alert", "in 3 days"),
        ("certificate", papers(certificate=date(2026, 11, 20)), {}, "alert", "2 days ago"),
        ("certificate", papers(certificate=None), {}, "ok", "not known here"),
        ("waiver", papers(waiver=date(2026, 12, 1)), {}, "warn", "in 9 days"),
        ("catalogue", papers(facts=date(2026, 11, 24)), {}, "alert", "in 2 days"),
        ("licence", papers(verdict="block"), {}, "alert", "not allowed"),
        ("licence", papers(review="the text is another one"), {}, "alert", "the text is another one"),
        ("licence", papers(checked=date(2026, 11, 10)), {}, "warn", "last checked"),
        ("licence", papers(checked=None), {}, "warn", "was not checked"),
    ],
)
def test_a_figure_beyond_its_threshold_is_found(
    code: str, changes: dict[str, Any], limits: dict[str, Any], level: str, words: str
) -> None:
    one = found(code, Thresholds(**limits), **changes)
    assert (one.level, words in one.text) == (level, True), one
    assert bool(one.todo) is (level != "ok"), "what needs somebody says what to do"


def test_a_platform_that_does_not_answer_is_one_alert_and_the_papers_are_judged_still() -> None:
    first, *others = judged(replace(WELL, fault="no route"), Thresholds())
    assert (first.code, first.level) == ("platform", "alert")
    assert {one.code for one in others} == {"certificate", "waiver", "catalogue", "licence"}


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"errors_warn": 0.2}, "errors_warn 0.2 is above errors_alert 0.05"),
        ({"p95_warn_seconds": 9, "p95_alert_seconds": 3}, "p95_warn_seconds 9 is above"),
        ({"expiry_warn_days": 3}, "expiry_warn_days 3 is below"),
        ({"golden_a_day": 1000}, "monitor.golden_a_day"),
        ({"pause_on": ["weather"]}, "monitor.pause_on"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused_by_name(field: dict[str, Any], words: str) -> None:
    with pytest.raises(JobError, match=words):
        parse_job(SMALL | {"monitor": field}, source="test")


def test_automations_are_asked_for_by_name_only() -> None:
    limits = Thresholds(pause_on=("cost", "margin"), roll_back_on=("cost",))
    assert list(events_of("errors", "alert", limits)) == ["lorasmith.monitor.alert"]
    assert list(events_of("cost", "warn", limits)) == ["lorasmith.monitor.warn"]
    assert list(events_of("cost", "alert", limits)) == [
        "lorasmith.monitor.alert",
        "lorasmith.monitor.pause",
        "lorasmith.monitor.roll-back",
    ]


BOOKS = Books(price_usd=0.03, unit="image", machine_usd=1.0, own_units=10.0, cold_starts=0)
DAY: dict[str, Any] = {
    "earned": None,
    "units": 110.0,
    "own_units": 5.0,
    "images": 110.0,
    "wanted_usd": 0.05,
    "busy_seconds": 500.0,
    "rate": 0.001,
    "share": None,
    "sold": True,
}


@pytest.mark.parametrize(
    ("books", "changes", "revenue", "cost", "margin"),
    [
        (BOOKS, {}, (3.0, "estimate"), (1.0, "platform"), 2.0 / 110),
        (BOOKS, {"own_units": 60.0}, (1.5, "estimate"), (1.0, "platform"), 0.5 / 110),
        (BOOKS, {"earned": 2.5}, (2.5, "platform"), (1.0, "platform"), 1.5 / 110),
        (BOOKS, {"earned": 2.5, "sold": False}, (0.0, "platform"), (1.0, "platform"), -1.0 / 110),
        (BOOKS, {"share": 0.5}, (3.0, "estimate"), (1.0, "platform"), 0.5 / 110),
        (replace(BOOKS, price_usd=0.0005, unit="second"), {}, (5.0, "estimate"), (1.0, "platform"), 4.0 / 110),
        (replace(BOOKS, own_units=None), {"own_units": None}, (3.3, "estimate"), (1.0, "platform"), 2.3 / 110),
        (replace(BOOKS, machine_usd=None), {}, (3.0, "estimate"), (0.5, "estimate"), 2.5 / 110),
        (Books(), {"rate": None, "own_units": 0.0}, (5.5, "estimate"), (None, None), None),
        (Books(), {"wanted_usd": None}, (None, None), (0.5, "estimate"), None),
        (BOOKS, {"units": 10.0, "images": 10.0}, (0.0, "estimate"), (1.0, "platform"), -0.1),
        (BOOKS, {"units": None, "images": None, "busy_seconds": None}, (None, None), (1.0, "platform"), None),
        (BOOKS, {"units": 0.0, "images": 0.0}, (0.0, "estimate"), (1.0, "platform"), None),
    ],
)
def test_money_is_the_platforms_record_or_an_estimate_that_says_so(
    books: Books, changes: dict[str, Any], revenue: tuple[Any, Any], cost: tuple[Any, Any], margin: float | None
) -> None:
    money = money_of(books, **(DAY | changes))
    assert [money.revenue, money.cost] == pytest.approx([revenue[0], cost[0]])
    assert (money.revenue_by, money.cost_by) == (revenue[1], cost[1])
    assert money.margin == (None if margin is None else pytest.approx(margin))
