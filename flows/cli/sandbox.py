"""sandbox up, down, status: the platform on loopback."""

import json
from typing import Annotated

import typer

app = typer.Typer(help="A fal-compatible platform on 127.0.0.1, for development and demos.", no_args_is_help=True)


@app.command()
def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    export: Annotated[bool, typer.Option("--export", help="Print lines for eval, so that fal's own tools talk to it.")] = False,
) -> None:
    """Start it (or find it running) and say where it is.

    Example: eval "$(lorasmith sandbox up --export)"
    """
    import shlex

    from flows.home import home
    from serving.sandbox import control

    running = control.up(home(), port=port)
    if export:
        for name, value in sorted(running.env.items()):
            print(f"export {name}={shlex.quote(value)}")
    else:
        print(f"sandbox on https://{running.address} (process {running.pid}); stop it with: lorasmith sandbox down")


@app.command()
def down() -> None:
    """Stop it, its runners too.

    Example: lorasmith sandbox down
    """
    from flows.home import home
    from serving.sandbox import control

    print("sandbox stopped" if control.down(home()) else "no sandbox was running")


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="As JSON, with the ledger.")] = False) -> None:
    """Whether it runs, and what it has served.

    Example: lorasmith sandbox status --json
    """
    from flows.home import home
    from serving.sandbox import control

    running = control.status(home())
    rows = control.ledger(home())
    if as_json:
        where = {"address": running.address, "pid": running.pid} if running else None
        print(json.dumps({"running": where, "ledger": rows}, indent=2))
        return
    print(f"sandbox on https://{running.address} (process {running.pid})" if running else "no sandbox is running")
    print(f"{len(rows)} requests, {sum(int(float(row['units'] or 0)) for row in rows)} units")
