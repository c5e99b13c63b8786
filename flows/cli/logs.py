"""logs: what was said and written here, run by run; Prefect's own log loses lines when its server is away."""

from typing import Annotated

import typer


def register(root: typer.Typer) -> None:
    root.command()(logs)


def logs(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's id, or how it begins; without it, everything.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="Last lines of each file.")] = 20,
) -> None:
    """The last lines of our own logs: runs, trainers, platform, sandbox, Prefect's server and workers.

    Example: lorasmith logs --follow
    """
    from flows.books import log_files, run_book

    found = log_files.of_run(run_book.found(run)) if run else log_files.all_of_them()
    places = {}
    for path in found:
        places[path], last = log_files.tail(path, lines)
        print(f"==> {log_files.name_of(path)} <==", *last, sep="\n", flush=True)
    if not found:
        print("nothing was written yet")
    if follow:
        for path, line in log_files.followed(places, run):
            print(f"{log_files.name_of(path)}: {line}", flush=True)
