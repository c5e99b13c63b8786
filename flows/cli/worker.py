"""worker up: what takes the runs of a pool."""

from typing import Annotated

import typer

app = typer.Typer(help="Workers, which take the runs that wait in a pool.", no_args_is_help=True)


@app.callback()
def workers() -> None:
    """Workers, which take the runs that wait in a pool."""


@app.command()
def up(
    pool: Annotated[str, typer.Option(help="gpu for training, cpu for all else.")],
    limit: Annotated[
        int | None, typer.Option(min=1, help="Runs at the same moment; without it as many as GPUs in the pool gpu, 8 in cpu.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Its name, where a pool has more than one worker; else that of the pool.")
    ] = None,
) -> None:
    """Take runs until it is stopped. Runs that are under way then are scheduled again, and go on from where they were.

    Example: lorasmith worker up --pool gpu --limit 1
    """
    from flows.home import home
    from flows.orchestration import worker_process

    if not worker_process.work(home(), pool, name=name, limit=limit, say=lambda line: print(line, flush=True)):
        print(f"worker {name or pool} is up already")
