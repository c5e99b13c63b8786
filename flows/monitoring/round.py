"""A round of the monitor: every live release is looked at and judged; what changed is told as events, all is kept as files."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from flows.books.records import write_json, write_text
from flows.events import emit
from flows.home import home
from flows.monitoring import history
from flows.monitoring.chart import svg
from flows.monitoring.findings import judged
from flows.monitoring.look import Look
from flows.monitoring.looking import begun, job_kept, limits_of, looked
from flows.monitoring.telling import Report, as_json, as_markdown
from flows.monitoring.thresholds import Thresholds
from flows.targets import Target, live_releases, open_platform

LAST = "monitor.json"
Ask = Callable[[Mapping[str, Any], int], Look]


def rounded(target: Target | None, ask: Ask, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> tuple[Report, ...]:
    """Look at every live release, on `target` or on both; a platform that does not answer is a finding like any other.

    Writes monitor.json (this round), monitor/history.jsonl, monitor/chart.svg and monitor/report.md; one monitor at a time.
    """
    with history.turn():
        before, told = history.rows(), history.told_last()
        reports = []
        for release in live_releases(target):
            drawn = history.drawn_on(now().date(), release["app"], release["target"], before)
            look, limits = _look(release, drawn, ask, now)
            findings = judged(look, limits)
            changes = history.changed(look.app, look.target, findings, told)
            reports.append(Report(look=look, findings=findings, changed=tuple(changes)))
            tell(reports[-1], limits)
        keep(reports)
    return tuple(reports)


def ask_platform(release: Mapping[str, Any], drawn_today: int) -> Look:
    with open_platform(release["target"]) as platform:
        return looked(release, platform, job=job_kept(release), now=datetime.now(UTC), drawn_today=drawn_today)


def tell(report: Report, limits: Thresholds) -> None:
    """Events of what changed since it was told last, then remember it: a kill in between tells again, and loses nothing."""
    look = report.look
    resource = f"lorasmith.app.{look.target}.{look.app}"
    for one in report.changed:
        said = {"app": look.app, "target": look.target, "revision": look.revision}
        said |= {"code": one.code, "level": one.level, "text": one.text, "todo": one.todo}
        for name in events_of(one.code, one.level, limits):
            emit(name, resource, said)
    history.remember(look.app, look.target, report.findings)


def events_of(code: str, level: str, limits: Thresholds) -> Iterator[str]:
    """Names of the events of a finding that came to a level; the last two are what automations act on."""
    yield f"lorasmith.monitor.{level}"
    if level == "alert" and code in limits.pause_on:
        yield "lorasmith.monitor.pause"
    if level == "alert" and code in limits.roll_back_on:
        yield "lorasmith.monitor.roll-back"


def keep(reports: list[Report]) -> None:
    rows = [as_json(report) for report in reports]
    seen = history.keep({name: value for name, value in row.items() if name != "findings"} for row in rows)
    chart = svg(seen)
    write_text(history.folder() / "chart.svg", chart)
    write_text(history.folder() / "report.md", as_markdown(reports, chart))
    write_json(home() / LAST, {"releases": rows})


def _look(release: Mapping[str, Any], drawn: int, ask: Ask, now: Callable[[], datetime]) -> tuple[Look, Thresholds]:
    """What was seen, and by which thresholds it is judged; one that can not be asked is a look with a fault."""
    job = None
    try:
        job = job_kept(release)
        return ask(release, drawn), limits_of(job)
    except ValueError as error:  # every error of this project is one; one release keeps no other from its look
        return begun(release, job, now(), fault=str(error)), limits_of(job)
