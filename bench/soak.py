"""The app under load in the sandbox: 16 callers, bad requests, cancels, and one runner killed in the middle.

    python bench/soak.py --locust PATH [--minutes 10] [--callers 16]

Afterwards: everything that was accepted has an end, the ledger's units are the images that callers hold, and memory did not grow.
The model is the embedded base, so it is the app and the platform's protocol that are under load, not a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

APP, SAMPLE_SECONDS, GROWTH = "bench", 2.0, 1.05


@dataclass(slots=True)
class Memory:
    """MiB of each runner's process over time, by pid."""

    samples: dict[int, list[float]] = field(default_factory=dict)

    def sample(self, daemon: int) -> None:
        for process in runners(daemon):
            try:
                self.samples.setdefault(process.pid, []).append(process.memory_info().rss / 2**20)
            except psutil.NoSuchProcess:
                continue  # it ended between the two looks

    def growth(self) -> dict[int, float]:
        """Median of the last third over that of the second: the first third loads and warms up."""
        long = {pid: values for pid, values in self.samples.items() if len(values) >= 12}
        return {pid: _third(values, 2) / _third(values, 1) for pid, values in long.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--locust", type=Path, required=True, help="the locust command, in an environment of its own")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--callers", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lorasmith-soak-") as folder:
        faults = soak(Path(folder), arguments.locust, minutes=arguments.minutes, callers=arguments.callers)
    for fault in faults:
        print(f"FAULT: {fault}")
    print("the soak holds" if not faults else f"{len(faults)} faults")
    return 1 if faults else 0


def soak(folder: Path, locust: Path, *, minutes: float, callers: int) -> list[str]:
    """What did not hold, one line each."""
    from packages import make_package

    from serving.release.target import sandbox_target
    from serving.sandbox import control

    package, home = make_package(folder / "made"), folder / "home"
    running = control.up(home)
    try:
        with sandbox_target(running.env, caller_key=running.caller_key, logs=folder) as platform:
            platform.deploy(package, app=APP, environment=None)
        memory, events = Memory(), folder / "events.jsonl"
        load(locust, running, memory, events, minutes=minutes, callers=callers)
        rows = [row for row in control.ledger(home) if row["app"] == APP]
    finally:
        control.down(home)
    return judged([json.loads(line) for line in events.read_text().splitlines()], rows, memory)


def load(locust: Path, running: Any, memory: Memory, events: Path, *, minutes: float, callers: int) -> None:
    """Let the callers loose; kill the runner at half time; sample memory until they are done."""
    environment = os.environ | {
        "SOAK_APP": f"{running.owner}/{APP}",
        "SOAK_KEYS": f"{running.caller_key},{running.owner_key}",
        "SOAK_CA": str(running.ca_file),
        "SOAK_OUT": str(events),
    }
    command = [
        str(locust),
        "-f",
        str(ROOT / "bench" / "callers.py"),
        "--headless",
        "-H",
        f"https://{running.address}",
        "--only-summary",
    ]
    command += ["-u", str(callers), "-r", "4", "-t", f"{round(minutes * 60)}s", "--stop-timeout", "300"]
    murder = threading.Timer(minutes * 30, kill_runner, [running.pid])
    murder.start()
    with subprocess.Popen(command, env=environment) as process:
        while process.poll() is None:
            memory.sample(running.pid)
            time.sleep(SAMPLE_SECONDS)
    murder.cancel()
    print(f"callers ended with exit code {process.returncode}")


def kill_runner(daemon: int) -> None:
    """SIGKILL to what serves the app, while requests are in it."""
    for process in runners(daemon):
        print(f"runner {process.pid} is killed", flush=True)
        os.kill(process.pid, signal.SIGKILL)


def runners(daemon: int) -> list[psutil.Process]:
    """Processes of the sandbox that serve an app."""
    return psutil.Process(daemon).children(recursive=False)


def judged(events: list[dict[str, Any]], rows: list[dict[str, Any]], memory: Memory) -> list[str]:
    """Faults, after the figures are printed."""
    accepted = {event["id"] for event in events if event["event"] == "accepted"}
    ended = {event["id"]: event for event in events if event["event"] == "ended"}
    bad = [event for event in events if event["event"] == "bad"]
    units = {row["request_id"]: int(row["units"] or 0) for row in rows}
    images = {name: event["images"] for name, event in ended.items()}
    statuses = Counter(event["status"] for event in ended.values())
    print(f"{len(accepted)} accepted, {len(ended)} ended: {dict(sorted(statuses.items()))}; {len(bad)} bad requests")
    print(f"{sum(images.values())} images delivered, {sum(units.values())} units in the ledger, {len(rows)} rows")
    growth = memory.growth()
    print("memory, last third over second: " + ", ".join(f"{ratio:.3f}" for ratio in growth.values()))
    faults = [f"request {name} was accepted and never ended" for name in sorted(accepted - ended.keys())]
    faults += [f"request {name} is not in the ledger" for name in sorted(accepted - units.keys())]
    faults += [
        f"request {name}: {images.get(name, 0)} images, {count} units"
        for name, count in units.items()
        if images.get(name, 0) != count
    ]
    faults += [
        f"request {name} has {count} rows" for name, count in Counter(row["request_id"] for row in rows).items() if count > 1
    ]
    faults += [f"a bad request was answered {event['status']}" for event in bad if event["status"] != 422]
    faults += [
        f"request {name} failed with {event['status']}" for name, event in ended.items() if event["status"] not in (200, 499)
    ]
    faults += [f"runner {pid} grew {ratio:.2f} times" for pid, ratio in growth.items() if ratio > GROWTH]
    if len(memory.samples) < 2:
        faults.append("no second runner was seen: none was killed")
    return faults


def _third(values: list[float], which: int) -> float:
    size = len(values) // 3
    return statistics.median(values[which * size : (which + 1) * size])


if __name__ == "__main__":
    sys.exit(main())
