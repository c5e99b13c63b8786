"""What a look at an app decided, as a record that a person reads in a minute: JSON and Markdown, in HOME/decisions/<app>/."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from flows.books.records import write_text
from flows.home import home
from flows.retraining.policy import Change

Outcome = Literal["nothing to do", "stale", "over budget", "kept the champion", "not approved", "promoted", "failed"]
HEADLINES: Mapping[Outcome, str] = {
    "nothing to do": "nothing to do",
    "stale": "dropped, since it came too late",
    "over budget": "not started, since it might cost too much",
    "kept the champion": "trained, and the champion stays",
    "not approved": "waits for a person, or was denied",
    "promoted": "a new release is live",
    "failed": "failed",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One decision about one app on one target. Money is text in USD; times are ISO 8601 in UTC."""

    app: str
    target: str
    at: str
    outcome: Outcome
    reason: str
    next: str
    run: str | None = None  # Prefect's name of it
    live: str | None = None  # package that was live when it was decided
    seen: str | None = None  # digest of the Snapshot that was looked at
    changes: tuple[Change, ...] = ()
    judged: Mapping[str, Any] = field(default_factory=dict)  # of `judgement`
    price: Mapping[str, Any] = field(default_factory=dict)  # before, after
    money: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def line(self) -> str:
        return f"{self.app} ({self.target}): {self.outcome}. {self.reason}"


def keep(decision: Decision) -> Path:
    """Write both files, the JSON last, and return its path; a record is never written over."""
    folder = home() / "decisions" / decision.app
    folder.mkdir(parents=True, exist_ok=True)
    path = _free(folder, datetime.fromisoformat(decision.at).astimezone(UTC))
    write_text(path.with_suffix(".md"), markdown(decision))
    write_text(path, json.dumps(as_json(decision), indent=2, ensure_ascii=False) + "\n")
    return path


def last(app: str, target: str | None = None) -> dict[str, Any] | None:
    """The newest record of an app, on one target or on any, with its `path`; None where nothing was decided yet."""
    return next(newest(app, target), None)


def newest(app: str, target: str | None = None) -> Iterator[dict[str, Any]]:
    """Records of an app, newest first."""
    for path in sorted((home() / "decisions" / app).glob("*.json"), reverse=True):
        record = json.loads(path.read_text(encoding="utf-8")) | {"path": str(path)}
        if target in (None, record["target"]):
            yield record


def as_json(decision: Decision) -> dict[str, Any]:
    return {"schema": "lorasmith/decision/1", **asdict(decision)}


def markdown(decision: Decision) -> str:
    """The record as a page: what was decided, why, what was seen, what it cost, and what comes next."""
    head = f"# {decision.app} on {decision.target}: {HEADLINES[decision.outcome]}"
    run = f", run {decision.run}" if decision.run else ""
    parts = [head, f"{decision.at[:16].replace('T', ' ')} UTC{run}", decision.reason]
    parts += [part for part in (_changes(decision), _judged(decision), _money(decision), _links(decision)) if part]
    return "\n\n".join([*parts, f"**Next:** {decision.next}"]) + "\n"


def judgement(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What of an evaluation the record shows: held-out losses, relative differences, and the scores that were measured."""
    champion = evaluation.get("champion") or {}
    scores = {name: score for name, score in evaluation.get("scores", {}).items() if "unmeasured" not in score}
    loss = evaluation["loss"]
    return {
        "held_out": evaluation["held_out"],
        "loss": {"base": loss["base"], "live": champion.get("loss"), "new": loss["adapter"]},
        "relative": {"base": loss["relative"], "live": champion.get("relative")},
        "scores": {
            name: {column: score.get(column) for column in ("base", "champion", "adapter")} for name, score in scores.items()
        },
    }


def _free(folder: Path, at: datetime) -> Path:
    """A name by the time that no record has yet: of two at the same moment, the later one is called a microsecond later."""
    while (path := folder / f"{at:%Y%m%dT%H%M%S.%f}Z.json").exists():
        at += timedelta(microseconds=1)
    return path


def _changes(decision: Decision) -> str:
    rows = [f"| {change.name} | `{change.before}` | `{change.now}` |" for change in decision.changes]
    return "\n".join(["| What changed | on record | now |", "|---|---|---|", *rows]) if rows else ""


def _judged(decision: Decision) -> str:
    if not decision.judged:
        return ""
    judged = decision.judged
    loss, relative = judged["loss"], judged["relative"]
    losses = " | ".join(_figure(loss[column]) for column in ("base", "live", "new"))
    rows = [f"| held-out loss ({judged['held_out']} pictures) | {losses} |"]
    rows += [
        f"| {name.replace('_', '-').upper()} | {' | '.join(_figure(score[column]) for column in ('base', 'champion', 'adapter'))} |"
        for name, score in judged["scores"].items()
    ]
    told = (("base", relative["base"]), ("champion", relative["live"]))
    against = [f"{value:+.1%} against the {what}" for what, value in told if value is not None]
    table = "\n".join(["| measured | base | live | new |", "|---|---|---|---|", *rows])
    return f"{table}\n\nLoss of the new adapter: {', '.join(against) or 'not measured'}."


def _money(decision: Decision) -> str:
    money, lines = decision.money, []
    if money:
        cap = f" of ${money['cap_usd']}" if money["cap_usd"] else ", no monthly_budget_usd is set"
        lines.append(f"- Spent in {money['month']}: ${money['spent_usd']}{cap}{_unknown(money['unknown'])}")
        lines.append(f"- Forecast of this retrain: {_usd(money['forecast_usd'])} ({'; '.join(money['basis'])})")
        if money["this_run_usd"] is not None:
            lines.append(
                f"- This retrain: ${money['this_run_usd']}; it trained and evaluated for {float(money['trained_seconds']):.0f} s"
            )
    if decision.price:
        before, after = (_usd(decision.price[name]) if decision.price[name] else "to be agreed" for name in ("before", "after"))
        lines.append(f"- Price of a unit: {after}" + (f", was {before}" if before != after else ", as before"))
    return "\n".join(lines)


def _links(decision: Decision) -> str:
    return "\n".join(f"- {name}: {place}" for name, place in decision.links.items())


def _usd(amount: str | float | None) -> str:
    return "not known" if amount is None else f"${amount}"


def _unknown(count: int) -> str:
    return f", and {count} piece{'s' if count > 1 else ''} of work whose cost nobody knows" if count else ""


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
