"""runs list and runs show: what ran here, how it ended, and where its work lies."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="What ran here, and how it ended.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
LINKS = {"grid": "samples", "bundle": "adapter", "listing": "listing", "license_report": "license report"}


@app.command("list")
def listing(
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many, the newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """One line a run: when, how it ended, what it was of, and why where it failed.

    Example: lorasmith runs list --number 5
    """
    from flows.books import run_book

    runs = run_book.listed()[:number]
    if as_json:
        print(json.dumps(runs, indent=2))
        return
    for run in runs:
        print(line_of(run))
    if not runs:
        print("nothing ran here yet; `lorasmith publish job.yaml` is a run")


@app.command()
def show(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The run's id, or how it begins.")], as_json: Json = False
) -> None:
    """One run: its steps, what it made and where that lies, its release, its approvals, and Prefect's page of it.

    Example: lorasmith runs show emoji-3d
    """
    from flows.books import run_book
    from flows.orchestration import prefect_api

    run = run_book.found(identity)
    found = run | {
        "page": prefect_api.page("flow-run", run["flow_run"]) if run.get("flow_run") else None,
        "log": str(run_book.lines_of(run["run"])),
        "release": release_of(run),
        "decision": decision_of(run),
    }
    print(json.dumps(found, indent=2, default=str) if as_json else "\n".join(lines_of(found)))


def line_of(run: Mapping[str, Any]) -> str:
    """When, how it ended, its id, its app; and its one line, where it did not end well."""
    state, code = run.get("state", "done"), run.get("exit_code")
    ended = f"{state} ({code})" if code and state == "failed" else state
    why = f": {run['line']}" if run.get("line") else ""
    return f"{when(run.get('begun_at'))}  {ended:<11} {run['run']}  {run.get('app', '-')} ({run.get('target', '-')}){why}"


def lines_of(found: Mapping[str, Any]) -> Iterator[str]:
    """All that is known of a run, a line each."""
    yield line_of(found)
    if found.get("begun_at") and found.get("ended_at"):
        yield f"{'took':<16} {took(found['begun_at'], found['ended_at'])}, as {found.get('flow', 'publish')}"
    if found.get("seconds"):
        yield f"{'steps':<16} {', '.join(f'{step} {seconds:g} s' for step, seconds in found['seconds'].items())}"
    if found.get("loss"):
        from flows.books.run_summary import rows_of

        yield from (f"{name:<16} {value}" for name, value in rows_of(found).items() if name not in LINKS.values())
    if found["release"]:
        yield f"{'release':<16} {found['release']['id']}, now {found['release']['state']} (lorasmith journal {found['app']})"
    if found["decision"]:
        yield f"{'decision':<16} {found['decision']['outcome']}: {found['decision']['path']}"
    yield from (f"{name:<16} {place_of(found[key])}" for key, name in LINKS.items() if found.get(key))
    if found["page"]:
        yield f"{'Prefect':<16} {found['page']}"
    if Path(found["log"]).is_file():
        yield f"{'log':<16} {found['log']} (lorasmith logs {found['run']})"


def place_of(path: str) -> str:
    return path if Path(path).exists() else f"{path} (not there any more)"


def release_of(run: Mapping[str, Any]) -> dict[str, Any] | None:
    """The registry's row of what the run released."""
    from contextlib import closing

    from flows.targets import registry_url
    from serving.release.registry import Registry

    if not run.get("package"):
        return None
    with closing(Registry(registry_url())) as registry:
        return registry.by_package(run["app"], run["package"], run["target"])


def decision_of(run: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of the retrain that this run was a part of."""
    from flows.retraining.decision import newest

    begun, ended = run.get("begun_at"), run.get("ended_at")
    if run.get("flow") != "retrain-and-redeploy" or not begun:
        return None
    made = (record for record in newest(run["app"], run["target"]) if record["at"] >= begun)
    return min(made, key=lambda record: str(record["at"]), default=None) if ended else None


def when(moment: str | None) -> str:
    """Minutes will do; runs of earlier versions do not say."""
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M}" if moment else "-" * 16


def took(begun: str, ended: str) -> str:
    from flows.progress import duration

    return duration((datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds())
