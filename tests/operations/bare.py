"""What Prefect itself does where lorasmith does otherwise: python -m tests.operations.bare [--write | --words] [NAME...]

Prints the table of docs/prefect-traps.md, a row for each trap as it is measured, or puts what was measured into the page. All of
them take about fifteen minutes. The server and the workers have Prefect's own settings.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import httpx

from tests.operations import bare_cache, bare_server
from tests.operations.prefect import ROOT, Prefect
from tests.operations.stack import TOYS
from tests.operations.traps import TRAPS, Trap

PAGE = ROOT / "docs" / "prefect-traps.md"
COMMAND, NOTHING, UNKNOWN = "python -m tests.operations.bare", "nothing to start", "not measured"
BEGIN, END = f"<!-- made by {COMMAND} --write -->\n", "<!-- end -->"
HEAD = "| trap | Prefect {version} | answer | where | test |\n|---|---|---|---|---|\n"
OWN = {
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.memory",
    "PREFECT_RUNNER_CRASH_ON_CANCELLATION_FAILURE": "false",
    "PREFECT_RUNNER_POLL_FREQUENCY": "10",
}
FORMS = bare_cache.FORMS | bare_server.FORMS


def row(trap: Trap, found: str) -> str:
    where = ", ".join(file.removeprefix("flows/") for file in trap.where)
    return f"| {trap.number}: {trap.what} | {found} | {trap.answer} | {where} | {Path(trap.file).name}: {trap.test} |\n"


def shown() -> dict[str, str]:
    """What the page has of each form."""
    rows = [line.split(" | ") for line in table().splitlines()[2:]]
    by_number = {cells[0].removeprefix("| ").partition(":")[0]: cells[1] for cells in rows}
    return {trap.form: by_number[trap.number] for trap in TRAPS if trap.form and trap.number in by_number}


def table() -> str:
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def put(found: Mapping[str, str]) -> None:
    """Put the table into the page; what was not measured now stays as it is there."""
    known = {**shown(), **found}
    rows = [row(trap, known.get(trap.form, UNKNOWN) if trap.form else NOTHING) for trap in TRAPS]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{HEAD.format(version=version('prefect'))}{''.join(rows)}{END}{rest.partition(END)[2]}")


@contextmanager
def served() -> Iterator[Prefect]:
    with tempfile.TemporaryDirectory(prefix="lorasmith-bare-", ignore_cleanup_errors=True) as folder:
        kept = {each: os.environ[each] for each in ("PATH", "HOME", "LANG", "TMPDIR") if each in os.environ}
        server = Prefect(Path(folder), kept | {"OMP_NUM_THREADS": "1"}, workers=(), file=TOYS, extra=OWN)
        try:
            yield server
        finally:
            server.end()


def measured(server: Prefect, name: str) -> str:
    """What a form finds, on a server with no workers but its own."""
    place = server.folder / f"toy-{name}"
    place.mkdir()
    try:
        return str(FORMS[name](server, place))
    finally:
        (place / "go").touch()
        for process in server.processes:
            if process is not server.server and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(20)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(FORMS), metavar="NAME", help=", ".join(FORMS))
    parser.add_argument("--write", action="store_true", help="into docs/prefect-traps.md")
    parser.add_argument(
        "--words", action="store_true", help="put the words of traps.py into the page, with what it says was measured"
    )
    asked = parser.parse_args()
    if asked.words:
        put({})
        return 0
    traps = {trap.form: trap for trap in TRAPS}
    print(HEAD.format(version=version("prefect")), end="", flush=True)

    bad = 0
    with served() as server:
        for name in asked.names:
            try:
                found = measured(server, name)
            except (AssertionError, OSError, httpx.HTTPError) as fault:
                bad, found = bad + 1, f"FAILED: {fault}"
            print(row(traps[name], found), end="", flush=True)
            if asked.write and not found.startswith("FAILED"):
                put({name: found})
    return 1 if bad else 0


if __name__ == "__main__":
    assert Path.cwd() == ROOT, f"run it in {ROOT}"
    sys.exit(main())
