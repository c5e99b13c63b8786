"""What the monitor found, for people: a row a release, a line a finding, and the page with the chart. Pure."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from flows.monitoring.findings import RANK, Finding, Level, worst
from flows.monitoring.look import Look

SIGNS: dict[Level, str] = {"ok": "ok", "warn": "! warn", "alert": "!! ALERT"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A look with what it means. changed: findings that are at another level than when they were told last."""

    look: Look
    findings: tuple[Finding, ...]
    changed: tuple[Finding, ...] = ()

    @property
    def level(self) -> Level:
        return worst(self.findings)


def as_json(report: Report) -> dict[str, Any]:
    """The row of monitor.json and of the history; days and moments as text."""
    return {**_plain(asdict(report.look)), "level": report.level, "findings": [asdict(one) for one in report.findings]}


def as_row(report: Report) -> dict[str, Any]:
    """The row of Prefect's table: few columns, all short."""
    look, day, money = report.look, report.look.day, report.look.money
    return {
        "app": look.app,
        "target": look.target,
        "state": report.level,
        "health": "not asked" if look.health is None else look.health,
        "requests": day.requests,
        "failed": day.failed,
        "own calls": day.own,
        "p50 / p95": _seconds(look),
        "runners": look.runners,
        "cold starts": day.cold_starts,
        "units": None if day.units is None else f"{day.units:g}",
        "revenue": _usd(money.revenue, money.revenue_by),
        "cost": _usd(money.cost, money.cost_by),
        "an image leaves": _usd(money.margin, "estimate" if "estimate" in (money.revenue_by, money.cost_by) else "platform"),
        "price": _usd(look.price.now, "platform" if look.price.live is not None else "estimate"),
        "listing": look.listing[0] if look.listing else "not sent",
        "quality": None if look.golden is None or look.golden.worst is None else f"{look.golden.worst:.1f} dB",
    }


def as_text(reports: Sequence[Report]) -> str:
    """For a terminal: a line a release, and a line for each finding that needs somebody."""
    if not reports:
        return "no live release: nothing to look at\n"
    lines = []
    for report in reports:
        row = as_row(report)
        figures = [f"{name} {value}" for name, value in row.items() if value is not None and name not in ("app", "target", "state")]
        lines.append(f"{SIGNS[report.level]:<8} {row['app']} on {row['target']}: {', '.join(figures)}")
        for one in report.findings:
            if RANK[one.level]:
                lines.append(f"  {SIGNS[one.level]:<8} {one.code}: {one.text}; {one.todo}")
    return "\n".join(lines) + "\n"


def as_markdown(reports: Sequence[Report], chart: str) -> str:
    """The page that Prefect shows; the chart is in it, so that it needs no address. Estimates and what is unknown say so."""
    if not reports:
        return "# Monitor\n\nNo live release: nothing to look at.\n"
    parts = [f"# Monitor: {_summary(reports)}", ""]
    for report in reports:
        look = report.look
        parts += [f"## {_md(look.app)} on {look.target}: {report.level}", "", *_needs(report.findings)]
        figures = {name: value for name, value in as_row(report).items() if name not in ("app", "target", "state")}
        parts += [
            "| what | is |",
            "|---|---|",
            *(f"| {name} | {_md(str(value))} |" for name, value in figures.items() if value is not None),
        ]
        parts += ["", "| looked at | found |", "|---|---|"]
        parts += [f"| {one.code} | {_md(one.text)} |" for one in report.findings if not RANK[one.level]]
        parts += ["", f"Revision `{look.revision}`, looked at {look.at:%Y-%m-%d %H:%M:%S} UTC.", ""]
    picture = base64.b64encode(chart.encode()).decode()
    parts += ["## The last looks", "", f"![Requests, latency and money over time](data:image/svg+xml;base64,{picture})", ""]
    return "\n".join([*parts, "≈ is an estimate, all else is the platform's own record; what is missing is not known.", ""])


def _needs(findings: Sequence[Finding]) -> list[str]:
    """What needs somebody, as a list: in a table of Prefect's pages long lines would be cut off."""
    rows = [f"- **{one.level}** {one.code}: {_md(one.text)}. To do: {_md(one.todo)}" for one in findings if RANK[one.level]]
    return [*rows, ""] if rows else []


def _summary(reports: Sequence[Report]) -> str:
    counts = {level: sum(report.level == level for report in reports) for level in ("alert", "warn", "ok")}
    return ", ".join(f"{number} {level}" for level, number in counts.items() if number)


def _seconds(look: Look) -> str | None:
    window = look.window
    return None if window is None or window.p50 is None else f"{window.p50:.2f} / {window.p95:.2f} s"


def _usd(amount: float | None, basis: str | None) -> str | None:
    if amount is None:
        return None
    shown = f"${amount:.2f}" if abs(amount) >= 0.1 or amount == 0 else f"${amount:.4f}"
    return f"≈ {shown}" if basis == "estimate" else shown


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def _md(text: str) -> str:
    """One line in which nothing ends a cell or begins a tag."""
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    for sign in "\\`*[]|":
        line = line.replace(sign, f"\\{sign}")
    return line
