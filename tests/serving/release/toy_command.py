"""A command for a rented machine, without a model: it counts, keeps what it counted, and fails in one chosen way."""

import json
import os
import signal
import sys
import time
from pathlib import Path


def emit(**event: object) -> None:
    with Path("events.jsonl").open("a") as events:
        events.write(json.dumps(event) + "\n")


def keep(kept: Path, step: int) -> None:
    """Whole or not at all, as a trainer keeps its checkpoints: whoever kills this finds a number."""
    beside = kept.with_suffix(".part")
    beside.write_text(str(step))
    os.replace(beside, kept)


def main() -> int:
    """`plan.json` says: steps, seconds (after each), and what goes wrong: fail with code, or kill_at a step of the first run."""
    plan = json.loads(Path("plan.json").read_text())
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    kept = Path("work/count")
    first = int(kept.read_text()) if kept.is_file() else 0
    for step in range(first + 1, plan["steps"] + 1):
        if stopped:
            emit(event="error", message="stopped", exit_code=130)
            return 130
        keep(kept, step)
        emit(event="step", step=step, total=plan["steps"])
        if first == 0 and step == plan.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(plan.get("seconds", 0))
    if "fail" in plan:
        emit(event="error", message=plan["fail"], exit_code=plan["code"])
        return 1
    Path("out").mkdir()
    Path("out/counted.json").write_text(json.dumps({"to": plan["steps"], "from": first}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
