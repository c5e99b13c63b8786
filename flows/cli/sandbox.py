"""sandbox up, down, status: the platform on loopback."""

import json
from typing import Annotated, Literal

import typer

app = typer.Typer(help="A fal-compatible platform on 127.0.0.1, for development and demos.", no_args_is_help=True)


@app.command()
def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    export: Annotated[bool, typer.Option("--export", help="Print lines for eval, so that fal's own tools talk to it.")] = False,
    environments: Annotated[
        Literal["local", "virtualenv"] | None,
        typer.Option(help="What apps run in: this interpreter (local, the default), or one made by pip from their requirements."),
    ] = None,
) -> None:
    """Start it (or find it running) and say where it is.

    Example: eval "$(lorasmith sandbox up --export)"
    """
    import shlex

    from flows.home import home
    from serving.sandbox import control
    from serving.sandbox.web.notice import NOTICE

    running = control.up(home(), port=port, environments=environments)
    if export:
        for name, value in sorted(running.env.items()):
            print(f"export {name}={shlex.quote(value)}")
    else:
        print(f"sandbox on https://{running.address} (process {running.pid})\n{NOTICE}")
        print('its environment, for fal and fal_client   eval "$(lorasmith sandbox up --export)"')
        print("its pages, in a browser                   lorasmith sandbox open")
        print("the end                                   lorasmith sandbox down")


@app.command("open")
def open_pages(
    browser: Annotated[bool, typer.Option("--browser", help="Open it in the default browser, too.")] = False,
) -> None:
    """Print a link to its pages: requests, runners, revenue, a playground for each app. It works once, for five minutes.

    Example: lorasmith sandbox open
    """
    import webbrowser

    from flows.home import home
    from serving.sandbox import control

    link = control.link(home())
    authority = home() / "sandbox" / "tls" / "ca.pem"
    print(link)
    print(f"The browser asks about the certificate, unless it trusts {authority}, which can vouch for no host that has a name.")
    if browser and not webbrowser.open(link):
        print("no browser could be started; follow the link by hand")


@app.command()
def down(
    purge: Annotated[bool, typer.Option("--purge", help="Forget everything as well: apps, keys, ledger, files.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before that.")] = False,
) -> None:
    """Stop it, its runners too. What it knows stays for the next start, unless --purge.

    Example: lorasmith sandbox down
    """
    from flows.cli.asking import require_agreed
    from flows.home import home
    from serving.sandbox import control

    if purge:
        question = f"Remove {home() / 'sandbox'}, with its apps, keys, ledger and files?"
        require_agreed(question, yes, otherwise="nothing was removed, and what runs goes on")
    stopped = control.down(home())
    print("sandbox stopped" if stopped else "no sandbox was running")
    if purge:
        control.purge(home())
        print("nothing of it is left")


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="As JSON, with the ledger.")] = False) -> None:
    """Whether it runs, and what it has served.

    Example: lorasmith sandbox status --json
    """
    from dataclasses import asdict

    from flows.home import home
    from serving.sandbox import control
    from serving.sandbox.money import books
    from serving.sandbox.money.prices import usd

    running = control.status(home())
    rows, prices, revenue = control.ledger(home()), books.prices(home()), books.revenue(home())
    if as_json:
        where = {"address": running.address, "pid": running.pid} if running else None
        money = {"prices": [asdict(price) for price in prices], "revenue": [asdict(line) for line in revenue]}
        print(json.dumps({"running": where, "ledger": rows} | money, indent=2, default=str))
        return
    print(f"sandbox on https://{running.address} (process {running.pid})" if running else "no sandbox is running")
    print(f"{len(rows)} requests, {books.units(rows)} units")
    for price in prices:
        print(f"price of {price.endpoint}: {usd(price.nano)} USD per {price.unit}")
    for line in revenue:
        sold = f"gross {usd(line.gross_nano)} USD" + (f", price of {line.unknown} requests unknown" if line.unknown else "")
        print(f"{line.day} {line.app} ({line.environment}): {line.requests} requests, {line.units} units, {sold}")


@app.command()
def price(
    name: Annotated[str, typer.Argument(metavar="APP", help="A deployed app, or a route of it as app/route.")],
    amount: Annotated[str, typer.Argument(metavar="USD", help="Price of a unit, such as 0.025.")],
    unit: Annotated[str, typer.Option(help="What the app's billable units count.")] = "image",
) -> None:
    """Set what callers of an app pay for a unit, as fal's team does it there; what was served before keeps its price.

    Example: lorasmith sandbox price my-style 0.025 --unit image
    """
    from flows.home import home
    from serving.sandbox.money import books
    from serving.sandbox.money.prices import usd

    now = books.set_price(home(), name, amount, unit=unit)
    print(f"{now.endpoint}: {usd(now.nano)} USD per {now.unit} from now on")
