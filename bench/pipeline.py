"""Wall time of each step of a publish, and the share that is orchestration: starting Python and Prefect, what lies between steps.

    python bench/pipeline.py [--quick] [--json FILE]

Publishes the demo into a folder of its own, twice: with a temporary Prefect server, and again, with everything to be found.
Then a third time against a Prefect server that runs already. --quick trains for 24 steps instead of the demo's.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
DEMO = ROOT / "examples" / "emoji"
SERVER_GOAL, RUNNING_GOAL, AGAIN_GOAL, COLD_GOAL = 25.0, 12.0, 45.0, 300.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="lorasmith-bench-"))
    environment = os.environ | {"LORASMITH_HOME": str(home), "HF_ENDPOINT": "http://127.0.0.1:9"}
    environment.pop("PREFECT_API_URL", None)
    try:
        job = job_for(home, arguments.quick)
        cold = publish(job, environment)
        again = publish(job, environment)
        with prefect_server(home, environment) as url:
            running = publish(job, environment | {"PREFECT_API_URL": url})
    finally:
        lorasmith(["sandbox", "down"], environment)
        shutil.rmtree(home, ignore_errors=True)
    table(cold, again, running)
    metrics = {
        "orchestration_seconds_with_temporary_server": metric(cold["orchestration"], SERVER_GOAL),
        "orchestration_seconds_with_running_server": metric(running["orchestration"], RUNNING_GOAL),
        "seconds_first_publish": metric(cold["wall"], COLD_GOAL),
        "seconds_second_publish": metric(again["wall"], AGAIN_GOAL),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(metrics, indent=2) + "\n")
    for name, value in metrics.items():
        print(f"{name}: {value['value']} (goal: at most {value['goal']}) {'holds' if value['holds'] else 'DOES NOT HOLD'}")
    return 0 if all(value["holds"] for value in metrics.values()) else 1


def job_for(home: Path, quick: bool) -> Path:
    """The demo's job; shorter where asked."""
    raw = yaml.safe_load((DEMO / "job.yaml").read_text())
    raw["base"]["ref"] = str(ROOT / "examples" / "base")
    raw["dataset"] |= {"path": str(DEMO / "pictures"), "held_out": str(DEMO / "held_out")}
    if quick:
        raw["training"]["steps"] = 24
        raw["inference"]["steps"] = 6
        raw["gate"] = {"require_learned": False}
    file = home / "job.yaml"
    file.write_text(yaml.safe_dump(raw))
    return file


def publish(job: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Seconds by step, in all, and outside of the steps."""
    begun = time.monotonic()
    lorasmith(["publish", str(job), "--target", "sandbox"], environment)
    wall = time.monotonic() - begun
    run = json.loads(lorasmith(["status", "--json"], environment).stdout)["last_run"]
    return {"wall": wall, "steps": run["seconds"], "orchestration": wall - sum(run["seconds"].values())}


def lorasmith(arguments: list[str], environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "flows.cli.main", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=dict(environment), check=False)
    if result.returncode:
        raise SystemExit(f"lorasmith {' '.join(arguments)} ended with {result.returncode}: {result.stderr[-2000:]}")
    return result


@contextmanager
def prefect_server(home: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """A Prefect server on a free port of loopback, up before the clock starts."""
    from flows.orchestration.orchestrator import environment as prefect_environment
    from tests.operations.prefect import free_port, wait_for

    port, log = free_port(), home / "prefect-server.log"
    command, shell = [sys.executable, "-m", "prefect", "server", "start"], prefect_environment(environment, home / "server", port)
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=shell, start_new_session=True)
    try:
        wait_for(f"http://127.0.0.1:{port}/api/health", process, log)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        os.killpg(process.pid, 9)
        process.wait(20)


def table(cold: Mapping[str, Any], again: Mapping[str, Any], running: Mapping[str, Any]) -> None:
    print(f"{'step':<16}{'first':>10}{'again':>10}{'again, server runs':>20}   seconds of wall time")
    for step in cold["steps"]:
        print(
            f"{step:<16}" + "".join(f"{run['steps'][step]:>{width}.1f}" for run, width in ((cold, 10), (again, 10), (running, 20)))
        )
    for name in ("orchestration", "wall"):
        print(f"{name:<16}" + "".join(f"{run[name]:>{width}.1f}" for run, width in ((cold, 10), (again, 10), (running, 20))))


def metric(value: float, goal: float) -> dict[str, Any]:
    return {"value": round(value, 1), "goal": goal, "holds": value <= goal}


if __name__ == "__main__":
    sys.exit(main())
