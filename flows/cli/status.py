"""status: what is live, what waits for a person, what ran, what is next, and what the month cost."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer


def register(root: typer.Typer) -> None:
    root.command()(status)


def status(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """What is live, what waits for you, what the last runs did, what is next, and what this month cost.

    Example: lorasmith status --json
    """
    from flows.books.overview import overview
    from flows.home import home
    from serving.sandbox import control

    found = overview()
    if as_json:
        print(json.dumps(found, indent=2, default=str))
        return
    releases, run = found["releases"], found["last_run"]
    if not releases and not run and not found["runs"]:
        print("nothing yet; `make demo` or `lorasmith publish job.yaml` makes the first release")
        return
    for row in releases:
        said = f"{row['state']:<10} {row['app']} {row['revision'] or '-'} ({row['target']}) package {row['package'][:12]}"
        print(", ".join([said, *remarks(row)]))
    if run:
        from flows.cli.summary import print_summary

        print_summary(run)
    for line in beside(found):
        print(line)
    if any(row["target"] == "sandbox" and row["state"] == "live" for row in releases) and control.status(home()) is None:
        print("the sandbox is not running; `lorasmith sandbox up` starts it")


def beside(found: Mapping[str, Any]) -> Iterator[str]:
    """A line for each question, run, decision, listing and schedule, and one for the money."""
    from flows.cli import approvals, runs

    yield from (f"{'approval':<16} {approvals.line_of(row)}" for row in found["approvals"])
    yield from (f"{'run':<16} {runs.line_of(run)}" for run in found["runs"])
    for made in found["decisions"]:
        yield f"{'retrain':<16} {made['at'][:16].replace('T', ' ')}  {made['app']} ({made['target']}): {made['outcome']}"
    for one in found["listings"]:
        at = f" since {one['at'][:10]}" if one["at"] else ""
        stale = ", for another package than the one on the page" if one["stale"] else ""
        yield f"{'listing of':<16} {one['app']} ({one['target']}): {one['state']}{at}{stale}"
    yield from (f"{'next':<16} {line}" for line in next_lines(found["schedules"]))
    yield f"{'money':<16} {money_of(found['money'])}"


def next_lines(schedules: Mapping[str, Any]) -> Iterator[str]:
    """When each deployment runs next (UTC), or why that is not known."""
    if schedules["fault"]:
        yield f"not known: {schedules['fault']}"
    elif schedules["server"] is None:
        yield "nothing by itself: no server is up (lorasmith server up)"
    elif not schedules["next"]:
        yield f"nothing by itself: {schedules['server']} has no scheduled runs"
    for one in schedules["next"]:
        yield f"{datetime.fromisoformat(one['at']):%Y-%m-%d %H:%M}  {one['deployment']}"


def money_of(money: Mapping[str, Any]) -> str:
    """What is known of the month in USD; the sandbox's money is not real."""
    training, deploys, sandbox = (money[part] for part in ("training", "deploys", "sandbox"))
    unknown = f", and {money['unknown']} whose cost nobody knows" if money["unknown"] else ""
    return (
        f"{money['month']}: ${money['usd']} (trainings ${training['usd']} in {training['runs']}, "
        f"deploys ${deploys['usd']} in {deploys['runs']}{unknown}); on the sandbox ${sandbox['usd']} of play money"
    )


def remarks(row: Mapping[str, Any]) -> Iterator[str]:
    """What else has to be known of a release: its probation, why it went back, what it waits for, why it was taken down."""
    evidence = row["evidence"]
    probation, past, down = (evidence.get(name) or {} for name in ("probation", "rolled_back", "retirement"))
    if row["state"] == "live" and probation.get("state") == "watched":
        yield f"on probation until {datetime.fromisoformat(probation['until']):%Y-%m-%d %H:%M} UTC (lorasmith watch looks)"
    if row["state"] == "live" and probation.get("state") == "failed":
        yield f"failed on probation: {probation['text']}"
    if past:
        yield f"rolled back: {past['reason']}"
    if evidence.get("review", {}).get("needed"):
        yield "waits for a licence review"
    if down.get("state") in ("intent", "done"):
        yield f"taken down: {down['reason']}"
