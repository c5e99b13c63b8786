"""status: live releases and the last run."""

import json
from typing import Annotated

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
        waits = ", waits for a licence review" if row["evidence"].get("review", {}).get("needed") else ""
        down = row["evidence"].get("retirement") or {}
        taken = f", taken down: {down['reason']}" if down.get("state") in ("intent", "done") else ""
        said = f"{row['state']:<10} {row['app']} {row['revision'] or '-'} ({row['target']}) package {row['package'][:12]}"
        print(f"{said}{waits}{taken}")
    if run:
        from flows.cli.summary import print_summary

        print_summary(run)
    if any(row["target"] == "sandbox" and row["state"] == "live" for row in releases) and control.status(home()) is None:
        print("the sandbox is not running; `lorasmith sandbox up` starts it")
