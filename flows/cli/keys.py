"""keys init, show, trust, trusted, distrust: who may sign, and whose signatures count here."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Keys that sign waivers, and those that are trusted.", no_args_is_help=True)


@app.command()
def init() -> None:
    """Make an Ed25519 key pair in LORASMITH_HOME/keys. It is trusted nowhere until somebody pins it.

    Example: lorasmith keys init
    """
    from flows import keys
    from flows.home import home

    tell(keys.make_key(home()))
    print("trusted: no; who decides here pins it with `lorasmith keys trust ed25519:... --name NAME`")


@app.command()
def show(key: Annotated[Path | None, typer.Option(help="Private key; default is the one of `keys init`.")] = None) -> None:
    """Print fingerprint and public key, to hand to whoever is to trust it.

    Example: lorasmith keys show > ada.pub
    """
    from flows import keys
    from flows.home import home

    tell(keys.public_half(keys.private_key(key or keys.own_key(home()))))


@app.command()
def trust(
    public: Annotated[str, typer.Argument(help="ed25519:BASE64, or a file with what `keys show` printed.")],
    name: Annotated[str, typer.Option(help="The approver whose key it is, as waivers will name them in `by`.")],
) -> None:
    """Pin a public key: waivers that it signs in the name of this approver count here from now on.

    Example: lorasmith keys trust ada.pub --name "Ada Example"
    """
    from datetime import date

    from flows import keys
    from flows.home import home

    row = keys.pin(home(), keys.public_in(public), name, date.today())
    print(f"trusted: {row.name} since {row.since}, key {row.fingerprint}; compare the fingerprint with {row.name} by another way")


@app.command()
def trusted() -> None:
    """List whose signatures count here.

    Example: lorasmith keys trusted
    """
    from flows import keys
    from flows.home import home

    approvers = keys.approvers(home())
    if not approvers:
        print("no key is trusted here, so no waiver counts; pin an approver's with `lorasmith keys trust`")
    for row in approvers:
        print(f"{row.fingerprint}  since {row.since}  {row.name}")


@app.command()
def distrust(who: Annotated[str, typer.Argument(help="Fingerprint, or the approver's name.")]) -> None:
    """Trust a key no longer: what it signed stops counting at the next check.

    Example: lorasmith keys distrust "Ada Example"
    """
    from flows import keys
    from flows.home import home

    row = keys.unpin(home(), who)
    print(f"no longer trusted: {row.name}, key {row.fingerprint}")


def tell(public: bytes) -> None:
    from flows.keys import written
    from licenses.signature import fingerprint

    print(f"fingerprint: {fingerprint(public)}\npublic: {written(public)}")
