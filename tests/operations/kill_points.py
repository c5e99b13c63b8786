"""python -m tests.operations.kill_points [--quick] [--write]: kill whole publishes everywhere; print the tables, or put them into
docs/reliability.md.

`--flow` and `--processes` run one half: the points of a flow and its trainer, and the kills of workers, servers and all at once.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.failpoints.driver import Outcome, table
from tests.failpoints.page import put
from tests.operations import flow_points, process_points

COMMAND = "python -m tests.operations.kill_points"
HEADS = {
    "Flow": "points of one publish: its steps, files, commits, the verbs of the platform, and the training below it",
    "Processes": "kills of what runs a deployment: server, workers, their runs, the machine",
}


def main() -> None:
    both = not {"--flow", "--processes"} & set(sys.argv)
    with tempfile.TemporaryDirectory(prefix="lorasmith-kill-points-") as name:
        folder = Path(name)
        quick, faults = "--quick" in sys.argv, list[str]()
        if both or "--flow" in sys.argv:
            show("Flow", flow(folder, faults, quick=quick))
        if both or "--processes" in sys.argv:
            show("Processes", process_points.drilled(folder / "processes", faults, quick=quick, tell=tell))
    sys.exit(f"{len(faults)} points do not hold" if faults else 0)


def flow(folder: Path, faults: list[str], *, quick: bool) -> list[Outcome]:
    with flow_points.forking(folder) as server:
        drill = flow_points.Drill(server, folder, tell)
        found = flow_points.quick(drill) if quick else flow_points.whole(drill)
        faults += drill.faults
    return found


def show(drill: str, outcomes: Sequence[Outcome]) -> None:
    text = f"{len(outcomes)} {HEADS[drill]}\n\n{table(outcomes)}"
    print(f"{drill}\n{text}", flush=True)
    if "--write" in sys.argv:
        put(drill, text, COMMAND)


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
