"""python -m tests.operations.queue_soak [--runs 50]: many publishes at once on two workers of each pool and a GPU limit of one.

Every job is asked for twice, as two triggers would. Asserted: never two trainings at the same moment, every run ends, each job is
trained once and deployed once, registry and journal are consistent, no process is left. Printed: times, and the memory of server
and workers before and after.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import psutil
import yaml

from tests.operations import drill_world as drill
from tests.operations.drill_world import LAUNCHES
from tests.operations.hook.sitecustomize import is_role
from tests.operations.prefect import until
from tests.operations.process_points import Machine, require_slots_free, said

WORKERS = (("gpu", "gpu-1"), ("gpu", "gpu-2"), ("cpu", "cpu-1"), ("cpu", "cpu-2"))
MEGABYTE = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--limit-seconds", type=float, default=7200.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lorasmith-queue-") as name:
        for line in soaked(Path(name) / "world", asked.runs, asked.limit_seconds):
            print(line, flush=True)


def soaked(world: Path, runs: int, limit: float) -> Iterator[str]:
    """One line for each figure."""
    machine = Machine(world)
    try:
        machine.stack.server_up()
        for pool, worker in WORKERS:
            machine.start_worker(pool, worker)
        before, begun = memory(world), time.monotonic()
        asked = [machine.publish(job(world, number // 2)) for number in range(runs)]
        yield f"{runs} runs of {len({number // 2 for number in range(runs)})} jobs queued in {time.monotonic() - begun:.1f} s"
        ends = ended(machine, asked, limit)
        yield f"all ended after {time.monotonic() - begun:.0f} s: {counted(ends)}"
        require_slots_free(machine)
        after = memory(world)
        for role in sorted(after):
            yield f"memory of {role}: {before.get(role, 0) / MEGABYTE:.0f} MB before, {after[role] / MEGABYTE:.0f} MB after"
    finally:
        machine.stack.end()
    drill.require_no_orphan(world)
    yield from checked(world, ends, (runs + 1) // 2)


def job(world: Path, number: int) -> Path:
    """A job whose seed and app are its own."""
    raw = yaml.safe_load((world / "job.yaml").read_text())
    raw["name"] = raw["serving"]["app"] = f"soak-{number}"
    raw["training"]["seed"] = number
    file = world / f"job-{number}.yaml"
    file.write_text(yaml.safe_dump(raw))
    return file


def ended(machine: Machine, runs: list[UUID], limit: float) -> list[str]:
    """The last state of each."""

    def last() -> list[str]:
        return [machine.stack.states(run)[-1] for run in runs]

    final = {"Completed", "Failed", "Cancelled"}
    until(lambda: set(last()) <= final, limit, lambda: f"not ended: {said(machine, runs[-1])}", pause=5.0)
    return last()


def checked(world: Path, ends: list[str], jobs: int) -> Iterator[str]:
    found = sorted(launches(world))
    for one, other in pairwise(found):
        assert one[1] <= other[0], f"two at once: {one}, {other}"
    yield f"{sum(what == 'train' for _, _, what in found)} trainings and their evaluations, never two at once"
    assert set(ends) == {"Completed"}, counted(ends)
    for kind, count in (("adapter", jobs), ("gallery", jobs)):
        keys = drill.finished(world, kind)
        assert sorted(keys) == sorted(set(keys)), f"{kind} was made twice"
        assert len(keys) == count, f"{len(keys)} of {kind}"
    deploys = drill.Sandbox(world / "platform.json").deploys
    assert len(deploys) == len(set(deploys)) == 2 * jobs, f"{len(deploys)} deploys"
    states = drill.consistent(world)
    assert list(states.values()) == ["live"] * jobs
    assert not drill.half_written(world), drill.half_written(world)
    yield f"{jobs} releases live, each deployed once; the journal verifies"


def launches(world: Path) -> list[tuple[float, float, str]]:
    rows = [line.split() for line in (world / LAUNCHES).read_text().splitlines()]
    return [(float(begun), float(end), what) for begun, end, what in rows]


def memory(world: Path) -> dict[str, int]:
    """Resident bytes of the server and of all workers of this world."""
    found: dict[str, int] = {}
    for process in psutil.process_iter(["environ", "cmdline", "memory_info"]):
        if (process.info["environ"] or {}).get("DRILL_WORLD") != str(world):
            continue
        for role in ("server", "worker"):
            if is_role(process.info["cmdline"] or [], role):
                found[role] = found.get(role, 0) + process.info["memory_info"].rss
    return found


def counted(ends: list[str]) -> str:
    return ", ".join(f"{ends.count(state)} {state}" for state in sorted(set(ends)))


if __name__ == "__main__":
    main()
