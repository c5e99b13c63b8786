"""data: watch a dataset folder, and tell Prefect when it holds something new."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flows.retraining.data_watch import Update

app = typer.Typer(help="Dataset folders.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Dataset folders."""


@app.command()
def watch(
    folder: Annotated[Path, typer.Argument(help="Folder or zip that dataset.path names.")],
    once: Annotated[bool, typer.Option("--once", help="One look, and end; for cron.")] = False,
    every: Annotated[float, typer.Option(min=0.1, max=86_400, help="Seconds between two looks.")] = 10.0,
    settle: Annotated[float, typer.Option(min=0, max=86_400, help="Seconds without a change: then it is all there.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object for each event.")] = False,
) -> None:
    """Send `dataset.updated` to Prefect once for every new content of a folder; retrain-and-redeploy listens.

    Without a server nothing is lost: it is told when one answers. With --once that is exit 5, else it is tried again.

    Example: lorasmith data watch pictures --settle 60
    """
    from flows.progress import say
    from flows.retraining.data_watch import ServerAway, settled, tell, update, watched

    place = folder.resolve()
    if once:
        state = settled(place, settle=settle)
        found = update(place, state) if state else None
        if found:
            tell(found)
        print(line(found, as_json) if found else unchanged(place, as_json))
        return
    for event in watched(place, every=every, settle=settle):
        if isinstance(event, ServerAway):
            say(f"! {event}; it is tried again every {every:g} s")
        else:
            print(line(event, as_json), flush=True)


def line(found: "Update", as_json: bool) -> str:
    if as_json:
        return json.dumps({"event": "dataset.updated", "resource": found.resource, **found.payload})
    before = f", was {found.before[:12]}" if found.before else ""
    return f"dataset.updated  {found.folder}  {found.state.sha256[:12]}{before}"


def unchanged(folder: Path, as_json: bool) -> str:
    return json.dumps({"event": None, "folder": str(folder)}) if as_json else f"unchanged  {folder}"
