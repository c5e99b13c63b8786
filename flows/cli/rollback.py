"""rollback and watch: the way back, by hand, and a look at what was just promoted."""

from typing import Annotated

import typer

from flows.cli.asking import require_agreed
from flows.cli.publish import Target, Where, Yes

BAD = {"rolled back", "failed", "unknown"}


def register(root: typer.Typer) -> None:
    for command in (rollback, watch):
        root.command()(command)


def rollback(
    app: Annotated[str, typer.Argument(help="Name of the app.")],
    to: Annotated[str | None, typer.Option(help="Revision or release, or how it begins; default is what was live before.")] = None,
    target: Where = "sandbox",
    reason: Annotated[str, typer.Option(help="Why, for the journal.")] = "asked for by a person",
    yes: Yes = False,
) -> None:
    """Make a former release live again; nothing is built or uploaded. Its package is not deployed again by itself.

    Example: lorasmith rollback emoji-3d --target sandbox
    """
    from flows.rollback import planned, rolled_back

    live, wanted = planned(app, target, to)
    question = f"{app} on {target}: from revision {live['revision']} back to {wanted['revision']} ({wanted['id']}). Go on?"
    require_agreed(question, yes, otherwise="nothing was changed")
    row = rolled_back(app, target, to=wanted["id"], reason=reason)
    print(f"{app} runs revision {row['revision']} again (release {row['id']})")


def watch(
    app: Annotated[str | None, typer.Argument(help="Name of the app; default is every app.")] = None,
    target: Annotated[Target | None, typer.Option(help="sandbox or fal; default is both.")] = None,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks.")] = 30.0,
    once: Annotated[bool, typer.Option("--once", help="Look once.")] = False,
) -> None:
    """Watch releases on probation until it is over; one that fails its callers is rolled back.

    Example: lorasmith watch emoji-3d --once
    """
    import time

    from flows.rollback import each_on_probation

    states: set[str] = set()
    while looks := [one for one in each_on_probation(target, typer.echo) if app in (None, one[0]["app"])]:
        for release, look in looks:
            found = look()
            states.add(found.state)
            print(f"{release['app']} on {release['target']}: {found.state} ({found.text})")
        if once or states & BAD:
            break
        time.sleep(every)
    if not states:
        print("no release is on probation")
    if states & BAD:
        raise typer.Exit(5)
