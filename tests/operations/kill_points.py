"""Kill whole publishes everywhere; print the tables, or put them into docs/reliability.md where every point holds.

python -m tests.operations.kill_points [--quick] [--flow | --processes [--only WORDS] [--jobs N] [--kept FILE]] [--write]

`--flow` and `--processes` run one half: the points of a flow and its trainer, and the kills of workers, servers and all at once;
`--only` those of them with these words in their name, `--jobs` so many at the same moment. What `--kept`
has of them from a drill that was interrupted, of the same code, is not done again.
"""

import argparse
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
    asked = arguments()
    found, faults = dict[str, list[Outcome]](), list[str]()
    with tempfile.TemporaryDirectory(prefix="lorasmith-kill-points-") as name:
        folder = Path(name)
        if asked.flow or not asked.processes:
            found["Flow"] = flow(folder, faults, quick=asked.quick)
        if asked.processes or not asked.flow:
            processes = folder / "processes"
            chosen = {"quick": asked.quick, "only": asked.only, "jobs": asked.jobs, "kept": asked.kept}
            found["Processes"] = process_points.drilled(processes, faults, **chosen, tell=tell)
    for drill, outcomes in found.items():
        show(drill, outcomes, write=asked.write and not faults)
    sys.exit(f"{len(faults)} points do not hold{', nothing was written' if asked.write else ''}" if faults else 0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    half = parser.add_mutually_exclusive_group()
    for name in ("flow", "processes"):
        half.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--only", default="", metavar="WORDS")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    parser.add_argument("--kept", type=Path, metavar="FILE")
    for name in ("quick", "write"):
        parser.add_argument(f"--{name}", action="store_true")
    asked = parser.parse_args()
    if asked.only and not asked.processes:
        parser.error("--only chooses among --processes")
    if asked.write and (asked.only or asked.quick):
        parser.error("--write puts whole tables into the page: not with --only or --quick")
    return asked


def flow(folder: Path, faults: list[str], *, quick: bool) -> list[Outcome]:
    with flow_points.forking(folder) as server:
        drill = flow_points.Drill(server, folder, tell)
        found = flow_points.quick(drill) if quick else flow_points.whole(drill)
        faults += drill.faults
    return found


def show(drill: str, outcomes: Sequence[Outcome], *, write: bool) -> None:
    rows = table(outcomes) if drill == "Flow" else row_each(outcomes)
    text = f"{len(outcomes)} {HEADS[drill]}\n\n{rows}"
    print(f"{drill}\n{text}", flush=True)
    if write:
        put(drill, text, COMMAND)


def row_each(outcomes: Sequence[Outcome]) -> str:
    """Markdown: kills that no order holds together, each with a row of its own."""
    rows = ["| killed | found then | at the end |", "|---|---|---|"]
    return "\n".join([*rows, *(f"| {one.point.name} | {one.struck} | {one.ended} |" for one in outcomes)]) + "\n"


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
