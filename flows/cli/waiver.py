"""waiver sign and check: an exception, approved by a person and bound to what they saw."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Signed exceptions: repo, revision, text_sha256, use, publisher, by, reason, evidence, expires.", no_args_is_help=True
)

File = Annotated[Path, typer.Argument(help="waiver.yaml")]


@app.command()
def sign(
    file: File,
    key: Annotated[Path | None, typer.Option(help="Private key; default is the one of `lorasmith keys init`.")] = None,
) -> None:
    """Sign a waiver in place, with today's date and the hash of its evidence; refuse what could never count.

    Example: lorasmith waiver sign waivers/base.yaml
    """
    from datetime import date

    from flows import keys
    from flows.home import home
    from flows.licensing.waivers import sign, would_count

    trust, private = keys.trust(home()), keys.private_key(key or keys.own_key(home()))
    waiver = sign(file, private, date.today())
    print(f"signed: {waiver.use} of {waiver.repo} at {waiver.revision[:12]} for {waiver.publisher}")
    print(f"by {waiver.by}, until {waiver.expires}, because: {waiver.reason}")
    if waiver.by not in trust.names.values():
        typer.echo(f"no key is pinned for {waiver.by!r}: this does not count until one is, with `lorasmith keys trust`", err=True)
    judged = would_count(file, waiver.publisher, trust, date.today())
    print(f"here it would {'count' if judged.counted else 'not count'}: {judged.why}")


@app.command()
def check(
    file: File,
    publisher: Annotated[Path | None, typer.Option(help="publisher.yaml; without it the waiver's own publisher is taken.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As the row of the verdict.")] = False,
) -> None:
    """Say whether a waiver would count here today, and why not. Exit 0 yes, 3 no. No waiver lifts a hard block.

    Example: lorasmith waiver check waivers/base.yaml --publisher publisher.yaml
    """
    from datetime import date

    from flows import keys
    from flows.home import home
    from flows.job_file import read_publisher
    from flows.licensing.waivers import would_count
    from licenses.publisher import load_publisher

    if publisher:
        name = load_publisher(read_publisher(publisher)).name
    else:
        name = own_publisher(file)
    judged = would_count(file, name, keys.trust(home()), date.today())
    if as_json:
        print(json.dumps(judged.as_json(), indent=2, ensure_ascii=False))
    else:
        print(f"{file}: {'would count' if judged.counted else 'does not count'}: {judged.why}")
    raise typer.Exit(0 if judged.counted else 3)


@app.command()
def hard() -> None:
    """List the blocks that no waiver lifts, each with the reason why.

    Example: lorasmith waiver hard
    """
    from licenses.hard import HARD_BLOCKS

    for code, why in sorted(HARD_BLOCKS.items()):
        print(f"{code}: {why}")


def own_publisher(file: Path) -> str | None:
    """Whom the waiver says it is for; None where it can not be read, which the check then tells."""
    from licenses.errors import BadWaiver
    from licenses.waiver_file import read_waiver

    try:
        return read_waiver(file.absolute()).publisher
    except BadWaiver:
        return None
