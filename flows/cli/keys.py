"""keys init, show, trust, trusted, distrust: who may sign, and whose signatures count here. keys c2pa: what signs pictures."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

app = typer.Typer(help="Keys that sign waivers and packages, those that are trusted, and that of pictures.", no_args_is_help=True)


@app.command()
def init() -> None:
    """Make an Ed25519 key pair in LORASMITH_HOME/keys. What is packaged here is signed with it; elsewhere it counts once pinned.

    Example: lorasmith keys init
    """
    from flows import keys
    from flows.home import home

    tell(keys.make_key(home()))
    print("trusted: for packages made here only; who decides here pins it with `lorasmith keys trust ed25519:... --name NAME`")


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
    """Pin a public key: waivers that it signs in the name of this approver, and packages that it signs, count here from now on.

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


@app.command()
def c2pa(
    name: Annotated[str, typer.Option(help="The publisher's name, as the certificate shall state it.")],
    country: Annotated[str | None, typer.Option(help="Two letters, such as DE.")] = None,
) -> None:
    """Make the key that signs delivered pictures, and the request for its certificate. The key is kept if there is one.

    Example: lorasmith keys c2pa --name "Studio One" --country DE
    """
    from flows.c2pa_key import request_certificate
    from flows.home import home

    made = request_certificate(home(), name, country)
    print(f"key: {made.key} ({'new' if made.new else 'kept'}; it must not leave its owner and the platform's secrets)")
    print(f"request: {made.request}; send it to an authority that issues certificates for C2PA signing (docs/marking.md)")
    print("when the chain has come back as chain.pem, give both to the platform, and set serving.certificate: secret in the job:")
    print(
        f'  fal secrets set --not-exposed-by-default LORASMITH_C2PA_CERTIFICATE="$(cat chain.pem)" '
        f'LORASMITH_C2PA_KEY="$(cat {quote(str(made.key))})"'
    )


def tell(public: bytes) -> None:
    from flows.keys import written
    from licenses.signature import fingerprint

    print(f"fingerprint: {fingerprint(public)}\npublic: {written(public)}")
