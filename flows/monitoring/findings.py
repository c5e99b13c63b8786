"""What a look at a release means, by the job's thresholds: ok, warn or alert, each in one line with what to do. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from flows.monitoring.look import Answers, Look
from flows.monitoring.thresholds import Code, Thresholds
from serving.listing.profit import loss, measured_of

Level = Literal["ok", "warn", "alert"]
RANK: dict[Level, int] = {"ok": 0, "warn": 1, "alert": 2}
CERTIFICATES = {
    "development": "development certificate, made by each runner, that nobody vouches for",
    "none": "pictures are not marked",
    None: "its end is not known here: name the chain in LORASMITH_C2PA_CERTIFICATE",
}
WAITED = "lorasmith watch {app}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """todo: what a person can do about it; empty where nothing has to be done."""

    code: Code
    level: Level
    text: str
    todo: str = ""


def judged(look: Look, limits: Thresholds) -> tuple[Finding, ...]:
    """Every finding of a look, those that need somebody first."""
    if look.fault:
        todo = "see that the platform answers and the key is good: lorasmith doctor"
        found = [
            Finding(code="platform", level="alert", text=f"could not be asked: {look.fault}", todo=todo),
            *_papers(look, limits),
        ]
    else:
        answers = Finding(code="platform", level="ok", text="answers")
        found = [answers, *_serving(look, limits), *_money(look, limits), *_quality(look, limits), *_papers(look, limits)]
    return tuple(sorted(found, key=lambda one: -RANK[one.level]))


def worst(findings: tuple[Finding, ...]) -> Level:
    return max((one.level for one in findings), key=RANK.__getitem__, default="ok")


def _serving(look: Look, limits: Thresholds) -> Iterator[Finding]:
    yield _health(look)
    if look.probation != "failed":
        yield Finding(code="probation", level="ok", text=look.probation or "none")
    else:
        todo = f"publish a mended release, or lorasmith rollback {look.app} --target {look.target}"
        yield Finding(code="probation", level="alert", text="failed on probation and is live still", todo=todo)
    if look.window is None:
        yield Finding(code="errors", level="ok", text="the platform does not show its record of requests")
    else:
        yield _errors(look.window, look, limits)
        yield _latency(look.window, limits)
    started = look.day.cold_starts
    if started is not None:
        most = limits.cold_starts_a_day
        text = f"{started} requests of the day waited for a runner to start"
        if most is not None and started > most:
            todo = "raise serving.keep_alive or serving.min_concurrency in the job, and weigh what idle runners cost"
            yield Finding(code="cold_starts", level="warn", text=f"{text}, {most} are allowed", todo=todo)
        else:
            yield Finding(code="cold_starts", level="ok", text=text)


def _health(look: Look) -> Finding:
    if look.health is None:
        return Finding(code="health", level="ok", text="no runner is up, and none was woken (monitor.wake)")
    if look.health != 200:
        todo = f"look at its log, then {WAITED.format(app=look.app)} or lorasmith rollback {look.app}"
        return Finding(code="health", level="alert", text=f"/health answered {look.health}", todo=todo)
    if look.serves:
        todo = f"lorasmith reconcile --target {look.target} tells who moved it"
        return Finding(
            code="health", level="alert", text=f"serves another package than the one on record: {look.serves}", todo=todo
        )
    return Finding(code="health", level="ok", text=f"/health answered 200 in {look.seconds or 0:.2f} s")


def _errors(window: Answers, look: Look, limits: Thresholds) -> Finding:
    counted = f"{window.failed} of {window.requests} requests failed in {window.minutes:g} minutes"
    if window.requests < limits.min_requests:
        return Finding(code="errors", level="ok", text=f"{counted}; judged from {limits.min_requests} on")
    share = window.failed / window.requests
    level: Level = "alert" if share > limits.errors_alert else "warn" if share > limits.errors_warn else "ok"
    allowed = limits.errors_alert if level == "alert" else limits.errors_warn
    todo = f"look at the app's log; lorasmith rollback {look.app} --target {look.target} goes back" if level != "ok" else ""
    return Finding(code="errors", level=level, text=f"{counted} ({share:.1%}), allowed are {allowed:.1%}", todo=todo)


def _latency(window: Answers, limits: Thresholds) -> Finding:
    if window.p50 is None or window.p95 is None:
        return Finding(code="latency", level="ok", text=f"no request was answered in {window.minutes:g} minutes")
    text = f"p50 {window.p50:.2f} s, p95 {window.p95:.2f} s"
    if window.requests < limits.min_requests:
        return Finding(code="latency", level="ok", text=f"{text}; judged from {limits.min_requests} requests on")
    todo = "allow more runners (serving.max_concurrency) or a longer keep_alive, or accelerate"
    steps: tuple[tuple[Level, float | None], ...] = (("alert", limits.p95_alert_seconds), ("warn", limits.p95_warn_seconds))
    for level, most in steps:
        if most is not None and window.p95 > most:
            return Finding(code="latency", level=level, text=f"{text}, p95 may be {most:g} s", todo=todo)
    return Finding(code="latency", level="ok", text=text)


def _money(look: Look, limits: Thresholds) -> Iterator[Finding]:
    money, most = look.money, limits.cost_a_day_usd
    if money.cost is not None:
        text = f"machines cost ${money.cost:.2f} in a day ({said(money.cost_by)})"
        over = most is not None and money.cost > most
        todo = "lower serving.keep_alive and min_concurrency, or raise monitor.cost_a_day_usd" if over else ""
        yield Finding(
            code="cost", level="alert" if over else "ok", text=f"{text}, ${most:g} are allowed" if over else text, todo=todo
        )
    else:
        yield Finding(code="cost", level="ok", text="what machines cost is not known: no rate is known for this one")
    if money.margin is not None:
        text = f"an image leaves ${money.margin:.4f} over ({said(money.revenue_by)} less {said(money.cost_by)})"
        low = money.margin < limits.margin_usd
        todo = "raise the price, or lower what idle runners and starts cost" if low else ""
        yield Finding(
            code="margin",
            level="warn" if low else "ok",
            text=f"{text}, ${limits.margin_usd:g} are wanted" if low else text,
            todo=todo,
        )
    yield _price(look, limits)
    yield from _listing(look, limits)


def _price(look: Look, limits: Thresholds) -> Finding:
    price, now = look.price, look.price.now
    todo = "set listing.price_usd in the job, publish, and send fal the new price"
    if lost := _lost(look, limits):
        return Finding(code="price", level="alert", text=lost, todo=todo)
    source = "the platform asks" if price.live is not None else "the listing asks"
    if now is None or price.recommended is None:
        asked = "no price was set" if now is None else f"{source} ${now:g} per {price.unit}"
        return Finding(code="price", level="ok", text=f"{asked}; no recommendation is known to compare with")
    text = f"{source} ${now:g} per {price.unit}, recommended are ${price.recommended:g}"
    if price.floor is not None and now < price.floor:
        return Finding(code="price", level="alert", text=f"{text}: it loses money, ${price.floor:g} cover its cost", todo=todo)
    if price.live is not None and price.wanted is not None and abs(price.live - price.wanted) > 1e-9:
        return Finding(
            code="price", level="warn", text=f"{text}; the listing says ${price.wanted:g}", todo=f"{todo}, or mend the listing"
        )
    away = max(now / price.recommended, price.recommended / now)
    if away > limits.price_factor:
        return Finding(code="price", level="warn", text=f"{text}: {away:.1f} times apart", todo=todo)
    return Finding(code="price", level="ok", text=text)


def _lost(look: Look, limits: Thresholds) -> str | None:
    """What a unit really cost against its price; of fewer units than requests are judged from, one start is the whole cost."""
    units, money = look.day.units, look.money
    if not units or units < limits.min_requests:
        return None
    return loss(measured_of(money.cost, units, said(money.cost_by), "yesterday"), look.price.now, share=money.share or 0.0)


def _listing(look: Look, limits: Thresholds) -> Iterator[Finding]:
    if look.listing is None:
        yield Finding(code="listing", level="ok", text="was not sent to fal yet, as far as it was marked")
        return
    mark, day = look.listing
    waited = (look.today - day).days
    if look.stale and mark in ("sent", "answered", "listed"):
        text = f"{mark} on {day}, and the page is about another package by now"
        yield Finding(code="listing", level="warn", text=text, todo="send fal what changed: lorasmith listing diff says it")
        return
    if mark == "sent" and waited > limits.unanswered_days:
        text = f"was sent on {day} and not answered in {waited} days"
        yield Finding(code="listing", level="warn", text=text, todo=f"ask fal; lorasmith listing mark {look.app} answered")
    elif mark == "refused":
        text = f"was refused on {day}"
        yield Finding(code="listing", level="warn", text=text, todo="mend what fal named, draft it again and send it")
    else:
        yield Finding(code="listing", level="ok", text=f"{mark} since {day}")


def _quality(look: Look, limits: Thresholds) -> Iterator[Finding]:
    drawn = look.golden
    if drawn is None:
        return
    cost = f"{drawn.asked} golden prompts, {drawn.units} units, {drawn.seconds:.1f} s"
    cost += f", about ${drawn.usd:.4f}" if drawn.usd is not None else ", cost not known"
    todo = f"compare with the pictures of the evaluation; lorasmith rollback {look.app} --target {look.target} goes back"
    if drawn.fault:
        yield Finding(code="quality", level="alert", text=f"{drawn.fault} ({cost})", todo=todo)
    elif drawn.drop is None:
        yield Finding(code="quality", level="warn", text=f"no golden picture could be compared ({cost})", todo=todo)
    elif drawn.drop > limits.golden_drop_db:
        text = f"pictures lost {drawn.drop:.1f} dB since the release, {limits.golden_drop_db:g} are allowed ({cost})"
        yield Finding(code="quality", level="alert", text=text, todo=todo)
    else:
        yield Finding(
            code="quality", level="ok", text=f"worst picture {drawn.worst:.1f} dB, lost {max(0.0, drawn.drop):.1f} ({cost})"
        )


def _papers(look: Look, limits: Thresholds) -> Iterator[Finding]:
    papers, end = look.papers, look.papers.certificate
    if isinstance(end, date):
        todo = "have it renewed, set the secret again and deploy"
        yield _ends("certificate", "the certificate that signs pictures", end, look.today, limits, todo)
    else:
        yield Finding(code="certificate", level="ok", text=CERTIFICATES[end])
    todo = "have it reviewed and signed again: lorasmith waiver sign"
    yield _ends("waiver", "a waiver that counts", papers.waiver, look.today, limits, todo)
    todo = "read the sources again, lorasmith license check says which, and set as_of in licenses/facts"
    yield _ends("catalogue", "what is known of its licences beside exact texts", papers.facts, look.today, limits, todo)
    yield _licence(look, limits)


def _ends(code: Code, what: str, day: date | None, today: date, limits: Thresholds, todo: str) -> Finding:
    if day is None:
        return Finding(code=code, level="ok", text=f"{what}: there is none that ends")
    left = (day - today).days
    text = f"{what} ends on {day}, in {left} days" if left >= 0 else f"{what} ended on {day}, {-left} days ago"
    level: Level = "alert" if left < limits.expiry_alert_days else "warn" if left < limits.expiry_warn_days else "ok"
    return Finding(code=code, level=level, text=text, todo=todo if level != "ok" else "")


def _licence(look: Look, limits: Thresholds) -> Finding:
    papers = look.papers
    if papers.verdict is not None and papers.verdict not in ("allow", "duties"):
        todo = f"lorasmith retire {look.app} --reason TEXT --target {look.target}, or train on another base"
        return Finding(code="licence", level="alert", text=f"not allowed any more: {papers.verdict}", todo=todo)
    if papers.review:
        todo = f"read the report, then lorasmith license reviewed {look.app} --by NAME --reason TEXT --target {look.target}"
        return Finding(code="licence", level="alert", text=f"terms changed: {papers.review}", todo=todo)
    if papers.checked is None or look.today - papers.checked > timedelta(days=limits.licence_days):
        text = f"last checked on {papers.checked}" if papers.checked else "was not checked again since its release"
        return Finding(code="licence", level="warn", text=text, todo="run license-report: lorasmith license live")
    return Finding(code="licence", level="ok", text=f"{papers.verdict or 'allowed'}, checked on {papers.checked}")


def said(basis: str | None) -> str:
    """Where an amount is from, in words."""
    return {"platform": "by the platform's record", "estimate": "an estimate"}.get(basis or "", "unknown")
