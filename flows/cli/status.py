"""status: live releases and the last run."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer


def register(root: typer.Typer) -> None:
    root.command()(status)


def status(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """What is live, and what the last run did.

    Example: lorasmith status --json
    """
    from contextlib import closing

    from flows.home import home
    from flows.records import last_run
    from flows.targets import at_present, registry_url
    from serving.release.registry import Registry
    from serving.sandbox import control

    with closing(Registry(registry_url())) as registry:
        releases = at_present(registry.releases())
    last = last_run()
    run = at_present([last])[0] if last else None
    if as_json:
        print(json.dumps({"last_run": run, "releases": releases}, indent=2, default=str))
        return
    if not releases and not run:
        print("nothing yet; `make demo` or `lorasmith publish job.yaml` makes the first release")
        return
    for row in releases:
        said = f"{row['state']:<10} {row['app']} {row['revision'] or '-'} ({row['target']}) package {row['package'][:12]}"
        print(", ".join([said, *remarks(row)]))
    if run:
        from flows.cli.summary import print_summary

        print_summary(run)
    if any(row["target"] == "sandbox" and row["state"] == "live" for row in releases) and control.status(home()) is None:
        print("the sandbox is not running; `lorasmith sandbox up` starts it")


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
