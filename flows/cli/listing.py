"""listing: draft it, edit its words, look at what changed, and note by hand how far it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.publish import Again, JobFile, Target, Where, Yes

if TYPE_CHECKING:
    from flows.listing_marks import State

app = typer.Typer(help="The page, the card and the mail to fal, and your words in them.", no_args_is_help=True)
App = Annotated[str, typer.Argument(metavar="APP", help="Name of the app, as `lorasmith status` shows it.")]


@app.command()
def draft(job: JobFile, target: Where = "sandbox", yes: Yes = False, again: Again = False) -> None:
    """All up to the listing; prints the folder of your copy. Words that you edited there stay.

    Example: lorasmith listing draft examples/emoji/job.yaml
    """
    from flows.cli.publish import ask_before_cost, preflight, run_flow

    loaded = preflight(job)
    ask_before_cost(target, yes)
    print(run_flow(loaded, target, again=again)["listing"])


@app.command()
def render(name: App, target: Where = "sandbox") -> None:
    """Make page, card and mail again after listing.json was edited. Only words can be edited; figures come from what was measured.

    Example: lorasmith listing render emoji-3d
    """
    from flows.listing_desk import render as rendered
    from flows.listing_desk import tell

    laid = rendered(place_of(name, target))
    tell(laid)
    print(laid.place)


@app.command()
def lint(
    name: App,
    target: Where = "sandbox",
    sarif: Annotated[Path | None, typer.Option(help="Write the findings there as SARIF 2.1.0.")] = None,
) -> None:
    """What a reviewer would send back. Exit code 0 without errors, 2 with.

    Example: lorasmith listing lint emoji-3d
    """
    import json
    from importlib.metadata import version

    from flows.books.records import write_text
    from flows.listing_desk import findings

    found = findings(place_of(name, target))
    if sarif:
        from serving.listing.sarif import sarif as log

        write_text(sarif, json.dumps(log(found, version=version("lorasmith")), indent=1) + "\n")
    for one in found:
        print(f"{one.level:<8} {one}")
    print(f"{sum(one.level == 'error' for one in found)} errors, {sum(one.level == 'warning' for one in found)} warnings")
    if any(one.level == "error" for one in found):
        raise typer.Exit(2)


@app.command()
def diff(name: App, target: Where = "sandbox") -> None:
    """What callers and fal should know of the change from the release before this one, prices reckoned again; and the mail of it.

    Example: lorasmith listing diff emoji-3d
    """
    from flows.listing_desk import changelog_of
    from flows.listing_folder import MAIL
    from flows.progress import say

    print(changelog_of(place_of(name, target)), end="")
    say(f"the mail that tells fal of it: {place_of(name, target) / MAIL}")


@app.command()
def verify(name: App, target: Where = "sandbox", yes: Yes = False) -> None:
    """Ask the deployed app for every picture of the gallery again, which is billed, and compare. Exit code 1 where any differs.

    Example: lorasmith listing verify emoji-3d
    """
    from flows.cli.publish import ask_before_cost
    from flows.errors import JobError
    from flows.listing_desk import outdated, remade_of
    from flows.listing_folder import require

    require(place_of(name, target))
    if said := outdated(place_of(name, target)):
        raise JobError(f"{name}: {said}")
    ask_before_cost(target, yes)
    found = remade_of(place_of(name, target), target)
    for one in found:
        if not one.same:
            far = "another size" if one.difference is None else f"off by at most {one.difference} of 255"
            print(f"differs  {one.prompt!r}, seed {one.seed}: {far}")
    print(f"{sum(one.same for one in found)} of {len(found)} pictures are the same, pixel by pixel")
    if not all(one.same for one in found):
        raise typer.Exit(1)


@app.command()
def mark(
    name: App,
    state: Annotated[str, typer.Argument(help="sent, answered, listed or refused.")],
    note: Annotated[str, typer.Option(help="What was said, by whom.")] = "",
    target: Where = "sandbox",
) -> None:
    """Note how far the listing is: fal's people answer by mail, so only you know.

    Example: lorasmith listing mark emoji-3d sent --note "asked for shared mode too"
    """
    from flows.listing_desk import outdated
    from flows.listing_marks import mark as marked
    from flows.progress import say

    line = marked(place_of(name, target), state_of(state), note=note)
    if said := outdated(place_of(name, target)):
        say(f"{name}: {said}")
    print(f"{name}: {line['state']} ({line['at']}){': ' + line['note'] if line['note'] else ''}")


def place_of(name: str, target: Target) -> Path:
    from flows.home import home
    from flows.listing_folder import desk

    return desk(home(), target, name)


def state_of(said: str) -> "State":
    from typing import get_args

    from flows.errors import JobError
    from flows.listing_marks import State

    for state in get_args(State):
        if said == state:
            return state  # type: ignore[no-any-return]
    raise JobError(f"state: got {said!r}; say {', '.join(get_args(State))}")
