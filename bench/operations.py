"""What Prefect around a publish costs, how fast a retrain with nothing to do ends, whether every kill is mended, and a long queue.

    python bench/operations.py [--quick] [--runs 50] [--no-drills] [--json FILE]

Publishes the demo into a folder of its own (--quick: 24 steps of training), then looks with `lorasmith retrain`; both with a
temporary server and against one that runs. The kill points and the queue are those of tests/operations, run as their own
commands; --quick takes the quick points and 8 runs, --no-drills leaves both out.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.pipeline import RUNNING_GOAL, SERVER_GOAL, job_for, lorasmith, metric, prefect_server, publish  # noqa: E402

NOTHING_GOAL, LOOKS = 5.0, 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runs", type=int, default=None, help="publish runs in the queue; 50, or 8 with --quick")
    parser.add_argument("--no-drills", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    metrics = around_a_publish(arguments.quick)
    if arguments.json:
        arguments.json.write_text(json.dumps(metrics, indent=2) + "\n")
    for name, value in metrics.items():
        print(f"{name}: {value['value']} (goal: at most {value['goal']}) {'holds' if value['holds'] else 'DOES NOT HOLD'}")
    held = all(value["holds"] for value in metrics.values())
    return 0 if (arguments.no_drills or drilled(arguments.quick, arguments.runs)) and held else 1


def drilled(quick: bool, runs: int | None) -> bool:
    """Whether every kill was mended and the queue stayed in order; both print what they found."""
    points = command("tests.operations.kill_points", *(["--quick"] if quick else []))
    queue = command("tests.operations.queue_soak", "--runs", str(runs or (8 if quick else 50)))
    print(f"kill points: {'all mended' if points == 0 else 'NOT ALL MENDED'}")
    print(f"queue: {'in order' if queue == 0 else 'NOT IN ORDER'}")
    return points == queue == 0


def around_a_publish(quick: bool) -> dict[str, Any]:
    """Seconds outside of the steps, and of a retrain that finds nothing to do, with a temporary server and with one that runs."""
    home = Path(tempfile.mkdtemp(prefix="lorasmith-bench-"))
    environment = os.environ | {"LORASMITH_HOME": str(home), "HF_ENDPOINT": "http://127.0.0.1:9"}
    environment.pop("PREFECT_API_URL", None)
    try:
        job = job_for(home, quick)
        temporary = publish(job, environment)
        alone = look(environment)
        with prefect_server(home, environment) as url:
            beside = environment | {"PREFECT_API_URL": url}
            running, seconds = publish(job, beside), look(beside)
    finally:
        lorasmith(["sandbox", "down"], environment)
        shutil.rmtree(home, ignore_errors=True)
    return {
        "orchestration_seconds_with_temporary_server": metric(temporary["orchestration"], SERVER_GOAL),
        "orchestration_seconds_with_running_server": metric(running["orchestration"], RUNNING_GOAL),
        "retrain_with_nothing_to_do_seconds": metric(seconds, NOTHING_GOAL),
        "retrain_with_nothing_to_do_seconds_with_temporary_server": metric(alone, NOTHING_GOAL + SERVER_GOAL),
    }


def look(environment: Mapping[str, str]) -> float:
    """Median seconds of `lorasmith retrain` that finds nothing to do, Python's start included."""
    seconds = []
    for _ in range(LOOKS):
        begun = time.monotonic()
        records = json.loads(lorasmith(["retrain", "--json"], environment).stdout)
        seconds.append(time.monotonic() - begun)
        outcomes = [record["outcome"] for record in records]
        if outcomes != ["nothing to do"]:
            raise SystemExit(f"retrain decided {outcomes}, so this is no measurement of a look with nothing to do")
    return median(seconds)


def command(module: str, *arguments: str) -> int:
    """Exit code of a module of the tests that prints its own table."""
    print(f"\npython -m {module} {' '.join(arguments)}", flush=True)
    return subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
