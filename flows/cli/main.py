"""lorasmith: the commands, and the one place that turns a fault into a line and an exit code."""

import os
import sys
from typing import Annotated

import typer

from flows.cli import (
    approvals,
    captions,
    data,
    families,
    hub,
    interrupt,
    job,
    journal,
    keys,
    licence,
    listing,
    logs,
    marks,
    monitor,
    plan,
    preflight,
    publish,
    releases,
    retrain,
    rollback,
    runs,
    sandbox,
    server_up,
    status,
    tools,
    waiver,
    worker,
)

UNWRITABLE = (
    "No space left on device",
    "Disk quota exceeded",
    "database or disk is full",
    "attempt to write a readonly database",
    "unable to open database file",
)

app = typer.Typer(
    name="lorasmith",
    help="From a folder of pictures to a billed endpoint on the fal Marketplace, and a paper trail that says it was allowed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"lorasmith {version('lorasmith')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=tell_version, is_eager=True)] = False,
) -> None:
    if debug:
        os.environ["LORASMITH_DEBUG"] = "1"


for commands in (
    job,
    plan,
    preflight,
    publish,
    tools,
    status,
    captions,
    families,
    marks,
    rollback,
    releases,
    journal,
    retrain,
    logs,
):
    commands.register(app)
app.add_typer(licence.app, name="license")
app.add_typer(listing.app, name="listing")
app.add_typer(waiver.app, name="waiver")
app.add_typer(keys.app, name="keys")
app.add_typer(data.app, name="data")
app.add_typer(hub.app, name="hub")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(job.app, name="job")
app.add_typer(monitor.app, name="monitor")
app.add_typer(server_up.app, name="server")
app.add_typer(worker.app, name="worker")
app.add_typer(approvals.app, name="approvals")
app.add_typer(runs.app, name="runs")


def main() -> None:
    """Run the command. Exit codes: docs/exit-codes.md."""
    interrupt.watch()
    try:
        code = app(standalone_mode=False, prog_name="lorasmith")
        if code == interrupt.CODE:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
    except BaseException as error:
        code = ended(error)
    sys.stdout.flush()
    if code == interrupt.CODE:
        os._exit(code)  # what libraries still want to say at exit may wait for what Ctrl-C has ended
    sys.exit(code if isinstance(code, int) else 0)


def ended(error: BaseException) -> int:
    """One line on standard error, and the exit code that belongs to the fault."""
    if os.environ.get("LORASMITH_DEBUG"):
        import traceback

        traceback.print_exception(error)
    if interrupt.was_seen() or isinstance(error, KeyboardInterrupt | typer.Abort):
        return said(interrupt.LINE, interrupt.CODE)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error, file=sys.stderr)
        return 2
    if hasattr(error, "format_message"):  # click's usage errors
        return said(f"{error.format_message()} (see --help)", 2)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if (words := unwritable(error)) is not None:
        return said(f"can not write ({words}): make room, or name another LORASMITH_HOME; then run the same command again", 2)
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return said(str(error), code)
    if isinstance(error, OSError) and error.filename:
        return said(f"{error.filename}: {error.strerror}; name a place that can be read and written", 2)
    if str(error).startswith("Failed to reach API at"):  # Prefect's client, of a server that is not on this machine
        return said(f"{error}: the Prefect server that PREFECT_API_URL names is away; then run the same command again", 5)
    return said(f"unexpected fault, please report it: {type(error).__name__}: {error} (--debug shows where)", 1)


def unwritable(error: BaseException) -> str | None:
    """What the disk or the database said, in whatever step: libraries and child processes word it their own way."""
    return next((words for words in UNWRITABLE if words in str(error)), None)


def said(message: str, code: int) -> int:
    print("lorasmith: " + " ".join(message.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
