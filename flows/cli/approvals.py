"""approvals list, show, approve and deny: what waits for a person, for a machine without Prefect's pages."""

import json
from collections.abc import Mapping
from contextlib import closing
from typing import Annotated, Any

import typer

app = typer.Typer(help="What waits for a person's yes, and what was said.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The approval's id, or how it begins.")]
By = Annotated[str, typer.Option(help="Your name as it shall stand in the journal: a claim, not an identity.")]
Why = Annotated[str, typer.Option(help="What you looked at, or what is wrong.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command("list")
def listing(
    everything: Annotated[bool, typer.Option("--all", help="Answered ones too.")] = False,
    as_json: Json = False,
) -> None:
    """Questions that wait for an answer; those whose time is over are written down as a no.

    Example: lorasmith approvals list --json
    """
    from flows.approvals.answering import kept_up
    from flows.targets import registry_url
    from serving.release.approvals import listed
    from serving.release.registry import Registry

    kept_up()
    with closing(Registry(registry_url())) as registry:
        rows = listed(registry, state=None if everything else "pending")
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(line_of(row))
    if not rows:
        print("nothing was ever asked" if everything else "nothing waits for an answer (--all shows what was said)")


@app.command()
def show(identity: Id, as_json: Json = False) -> None:
    """The evidence behind one question: package, price, licences, losses, pictures, cost, and every check of the gate.

    Example: lorasmith approvals show 3f2a
    """
    from flows.approvals.approval_sheet import sheet
    from flows.targets import registry_url
    from serving.release.approvals import found
    from serving.release.registry import Registry

    with closing(Registry(registry_url())) as registry:
        row = found(registry, identity)
    print(json.dumps(row, indent=2) if as_json else f"{sheet(row)}\n{line_of(row)}")


@app.command()
def approve(identity: Id, by: By, why: Why = "", as_json: Json = False) -> None:
    """Let exactly this go on: record the yes, and resume the run that waits for it.

    Example: lorasmith approvals approve 3f2a --by "Ada" --why "looked at the grid"
    """
    say(identity, by=by, why=why, approve=True, as_json=as_json)


@app.command()
def deny(identity: Id, by: By, why: Why = "", as_json: Json = False) -> None:
    """Say no: record it, and end the run that waits.

    Example: lorasmith approvals deny 3f2a --by "Ada" --why "the hands are wrong"
    """
    say(identity, by=by, why=why, approve=False, as_json=as_json)


def say(identity: str, *, by: str, why: str, approve: bool, as_json: bool) -> None:
    from flows.approvals.answering import answer

    row, then = answer(identity, approve=approve, by=by, why=why)
    print(json.dumps(row | {"then": then}, indent=2) if as_json else f"{line_of(row)}\n{then}")


def line_of(row: Mapping[str, Any]) -> str:
    """One line: what was asked, and what was said by whom."""
    from flows.approvals.approving import WORDS

    asked = f"{row['state']:<8} {row['id']} {row['app']} ({row['target']}): {', '.join(WORDS[reason] for reason in row['reasons'])}"
    if row["state"] == "pending":
        waits = f", run {row['flow_run']} waits" if row["flow_run"] else ""
        return f"{asked}, asked {row['asked_at'][:16]} UTC, open until {row['until'][:16]} UTC{waits}"
    why = f": {row['why']}" if row["why"] else ""
    return f"{asked}, by {row['by']} at {row['decided_at'][:16]} UTC{why}"
