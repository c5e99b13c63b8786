"""lorasmith: the commands, and the one place that turns a fault into a line and an exit code."""

import os
import sys
from typing import Annotated

import typer

from flows.cli import job, licence, publish, sandbox, status, tools

app = typer.Typer(
    name="lorasmith",
    help="From a folder of pictures to a billed endpoint on the fal Marketplace, and a paper trail that says it was allowed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:
    if debug:
        os.environ["LORASMITH_DEBUG"] = "1"


for commands in (job, publish, tools, status):
    commands.register(app)
app.add_typer(licence.app, name="license")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(job.app, name="job")


def main() -> None:
    """Run the command. Exit codes: docs/exit-codes.md."""
    try:
        code = app(standalone_mode=False)
        if code == 130:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
    except BaseException as error:
        code = ended(error)
    sys.stdout.flush()
    sys.exit(code if isinstance(code, int) else 0)


def ended(error: BaseException) -> int:
    """One line on standard error, and the exit code that belongs to the fault."""
    if os.environ.get("LORASMITH_DEBUG"):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt | typer.Abort) or isinstance(error.__context__, KeyboardInterrupt):
        return said("interrupted; run the same command again to go on from here", 130)
    if hasattr(error, "format_message"):  # click's usage errors
        return said(f"{error.format_message()} (see --help)", 2)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return said(str(error), code)
    if isinstance(error, OSError) and error.filename:
        return said(f"{error.filename}: {error.strerror}; name a place that can be read and written", 2)
    return said(f"unexpected fault, please report it: {type(error).__name__}: {error} (--debug shows where)", 1)


def said(message: str, code: int) -> int:
    print("lorasmith: " + " ".join(message.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
