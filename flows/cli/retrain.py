"""retrain: the look that runs on a schedule, by hand."""

import json
from typing import Annotated, Any, Literal

import typer


def register(root: typer.Typer) -> None:
    root.command()(retrain)


def retrain(
    app: Annotated[str | None, typer.Argument(help="App to look at; default is every live release.")] = None,
    target: Annotated[Literal["sandbox", "fal"] | None, typer.Option(help="sandbox or fal; default is both.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the first call that costs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The decision records as JSON.")] = False,
) -> None:
    """Has anything changed that matters? If so train, judge against what is live, and release what is better.

    Exit 0 also where the champion is kept; what was decided is in HOME/decisions.

    Example: lorasmith retrain my-style --target sandbox
    """
    from flows.cli.server import prefect_ready

    require_live(app, target)
    ask_where_it_costs(app, target, yes)
    with prefect_ready():
        from flows.retrain import retrain as look

        records = look(target=target, app=app)
    print(json.dumps(records, indent=2) if as_json else "\n".join(told(records)))


def require_live(app: str | None, target: Literal["sandbox", "fal"] | None) -> None:
    """JobError for a name that nothing live has."""
    from flows.errors import JobError
    from flows.targets import live_releases

    known = sorted({release["app"] for release in live_releases(target)})
    if app is not None and app not in known:
        raise JobError(f"{app!r} is not live{f' on {target}' if target else ''}; live: {', '.join(known) or 'nothing'}")


def ask_where_it_costs(app: str | None, target: Literal["sandbox", "fal"] | None, yes: bool) -> None:
    from flows.cli.publish import ask_before_cost
    from flows.targets import live_releases

    if any(app in (None, release["app"]) and release["target"] == "fal" for release in live_releases(target)):
        ask_before_cost("fal", yes)


def told(records: list[dict[str, Any]]) -> list[str]:
    """A line and the record of each."""
    rows = [
        f"{one['app']} ({one['target']}): {one['outcome']}. {one['reason']}\n  {one['path'].removesuffix('.json')}.md"
        for one in records
    ]
    return rows or ["nothing is live"]
