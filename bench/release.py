"""The sandbox against the bare app: what a deploy, a request and a killed runner cost.

    python bench/release.py [--quick] [--json FILE] [--chart FILE]

deploy      seconds of a whole deploy through fal's SDK and the first image, over those of starting the same app bare and asking it
gateway     latency of a request through TLS, gateway and ledger, minus that of the bare app; requests a second as a ratio
kills       200 queued requests on several runners of which three are killed with SIGKILL: what ended, and the ledger's units

The app draws without a model (bench/toy.py), so that what is measured is the way and not the work. Pairs are taken in turns, the
figures are medians over pairs.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

APP, UNITS = "toy", "x-fal-billable-units"
GOALS: dict[str, tuple[float, str]] = {
    "gateway_overhead_ms_at_p50": (3.0, "at most"),
    "killed_requests_ended_share": (1.0, "exactly"),
    "ledger_units_over_delivered_images": (1.0, "exactly"),
}
TOML = """
[tool.fal.apps.toy]
python_entry_point = "toy:Toy"
auth = "shared"
requirements = ["fal", "pillow"]
machine_type = "XS"
keep_alive = 300
min_concurrency = {least}
max_concurrency = {most}
max_multiplexing = {places}
app_files = ["toy.py"]

[tool.fal.apps.toy.health_check]
path = "/health"
method = "POST"
"""

Ask = Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer pairs")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--chart", type=Path, help="draw the figures that have a goal")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lorasmith-release-") as folder:
        figures = measured(Path(folder), pairs=3 if arguments.quick else 7, requests=200 if arguments.quick else 400)
    for name, value in figures.items():
        goal = f"   ({GOALS[name][1]} {GOALS[name][0]:g})" if name in GOALS else ""
        print(f"{name:<38} {value:>9.4g}{goal}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    if arguments.chart:
        from bars import draw_bars

        aims = {name: {"value": figures[name], "goal": goal, "direction": word} for name, (goal, word) in GOALS.items()}
        draw_bars("Sandbox: the way against the bare app", aims, arguments.chart)
    return 0 if all(held(name, figures[name]) for name in GOALS) else 1


def held(name: str, value: float) -> bool:
    goal, word = GOALS[name]
    return value == goal if word == "exactly" else value <= goal


def measured(folder: Path, *, pairs: int, requests: int) -> dict[str, float]:
    from serving.sandbox import control

    home = folder / "home"
    running = control.up(home)
    try:
        return {
            **deploys(folder, running, pairs=pairs),
            **gateway(folder, running, pairs=pairs, requests=requests),
            **kills(folder, home, running),
        }
    finally:
        control.down(home)


def deploys(folder: Path, running: Any, *, pairs: int) -> dict[str, float]:
    """Whole deploys with their first image, each beside a bare start with its first image."""
    ours, bare = [], []
    for _ in range(pairs):
        began = time.perf_counter()
        with deployed(folder, running, least=0, most=1, places=8):
            assert answered(through(running), {"prompt": "a"})
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        with alone(folder) as port:
            assert answered(directly(port), {"prompt": "a"})
            bare.append(time.perf_counter() - began)
    ratio = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
    return {
        "deploy_and_first_image_over_bare_start": ratio,
        "deploy_and_first_image_seconds": statistics.median(ours),
        "bare_start_and_first_image_seconds": statistics.median(bare),
    }


def gateway(folder: Path, running: Any, *, pairs: int, requests: int) -> dict[str, float]:
    """Latency one by one and throughput of eight callers, in turns through the gateway and at the bare app."""
    overheads, bare_p50, rates = [], [], []
    with deployed(folder, running, least=1, most=1, places=16), alone(folder) as port:
        ways: tuple[Callable[[], Ask], Callable[[], Ask]] = (lambda: through(running), lambda: directly(port))
        for way in ways:
            latency(way, requests // 2)  # warm
        for _ in range(pairs):
            ours, bare = (latency(way, requests) for way in ways)
            overheads.append((ours - bare) * 1000)
            bare_p50.append(bare * 1000)
            ours, bare = (throughput(way, requests) for way in ways)
            rates.append(ours / bare)
    return {
        "gateway_overhead_ms_at_p50": statistics.median(overheads),
        "bare_latency_ms_at_p50": statistics.median(bare_p50),
        "gateway_requests_a_second_over_bare": statistics.median(rates),
    }


def kills(folder: Path, home: Path, running: Any, *, requests: int = 200, runners: int = 3) -> dict[str, float]:
    """Queued requests while runners are killed: the share that ended well, and the ledger's units over the images delivered."""
    from serving.sandbox import control

    with deployed(folder, running, least=runners, most=runners, places=2):
        known = len(control.ledger(home))
        began = time.perf_counter()
        tickets = [submitted(running, {"prompt": "a", "num_images": 1 + n % 3, "seconds": 0.1}) for n in range(requests)]
        murders = [threading.Timer(0.5 + 1.5 * n, kill_one, [running.pid]) for n in range(3)]
        for murder in murders:
            murder.start()
        images = [images_of(running, ticket) for ticket in tickets]
        for murder in murders:
            murder.join()
        seconds = time.perf_counter() - began
    rows = [row for row in control.ledger(home)[known:] if row["app"] == APP and row["path"] == "/"]
    units = sum(int(float(row["units"] or 0)) for row in rows)
    return {
        "killed_requests": requests,
        "killed_requests_ended_share": sum(count is not None for count in images) / requests,
        "ledger_rows_over_requests": len(rows) / requests,
        "ledger_units_over_delivered_images": units / sum(count or 0 for count in images),
        "killed_seconds_over_undisturbed_least": seconds / (requests * 0.1 / (runners * 2)),
    }


@contextmanager
def deployed(folder: Path, running: Any, *, least: int, most: int, places: int) -> Iterator[None]:
    """The toy app live on the sandbox, deployed by the SDK in a process of its own; its name is gone afterwards."""
    from serving.release.target import sandbox_target

    place = Path(tempfile.mkdtemp(dir=folder))
    shutil.copy(ROOT / "bench" / "toy.py", place)
    (place / "pyproject.toml").write_text(TOML.format(least=least, most=most, places=places))
    with sandbox_target(running.env, caller_key=running.caller_key, logs=folder) as platform:
        platform.deploy(place, app=APP, environment=None)
        yield
        platform.delete(APP, None)


@contextmanager
def alone(folder: Path) -> Iterator[int]:
    """The port of the same app under uvicorn, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "bench" / "toy.py"), str(port)]
    with (folder / "bare.log").open("ab") as log:  # the SDK lists every package there
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if answered(directly(port), {"prompt": "a"}):
                    break
            except OSError:
                time.sleep(0.01)
        yield port
    finally:
        process.terminate()
        process.wait()


def latency(way: Callable[[], Ask], requests: int) -> float:
    """Median seconds of a request on one kept connection."""
    ask, taken = way(), []
    for _ in range(requests):
        began = time.perf_counter()
        assert ask({"prompt": "a"})[0] == 200
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def throughput(way: Callable[[], Ask], requests: int, callers: int = 8) -> float:
    """Requests a second of so many callers at once."""

    def call() -> None:
        ask = way()
        for _ in range(requests // callers):
            assert ask({"prompt": "a"})[0] == 200

    threads = [threading.Thread(target=call) for _ in range(callers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return requests // callers * callers / (time.perf_counter() - began)


def through(running: Any, path: str | None = None, method: str = "POST") -> Ask:
    host, _, port = running.address.partition(":")
    connection = http.client.HTTPSConnection(host, int(port), context=ssl.create_default_context(cafile=str(running.ca_file)))
    where = path or f"/{running.owner}/{APP}"
    return lambda body: asked(connection, where, body, {"Authorization": f"Key {running.caller_key}"}, method)


def directly(port: int) -> Ask:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    return lambda body: asked(connection, "/", body, {}, "POST")


def asked(
    connection: http.client.HTTPConnection, path: str, body: dict[str, Any], headers: dict[str, str], method: str
) -> tuple[int, dict[str, str], bytes]:
    connection.request(
        method, path, json.dumps(body) if method == "POST" else None, {"Content-Type": "application/json", **headers}
    )
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def answered(ask: Ask, body: dict[str, Any]) -> bool:
    status, headers, _ = ask(body)
    return status == 200 and headers[UNITS] == "1"


def submitted(running: Any, body: dict[str, Any]) -> str:
    """The id of a queued request."""
    status, _, answer = through(running, f"/queue/{running.owner}/{APP}")(body)
    assert status == 200, answer
    return str(json.loads(answer)["request_id"])


def images_of(running: Any, request_id: str) -> int | None:
    """Images that a queued request delivered in the end; None where it never ended, or badly."""
    place = f"/queue/{running.owner}/{APP}/requests/{request_id}"
    status, deadline = through(running, f"{place}/status", "GET"), time.monotonic() + 120
    while time.monotonic() < deadline:
        if json.loads(status({})[2])["status"] == "COMPLETED":
            code, _, answer = through(running, place, "GET")({})
            return len(json.loads(answer)["images"]) if code == 200 else None
        time.sleep(0.02)
    return None


def kill_one(daemon: int) -> None:
    """SIGKILL to one process that serves the app."""
    import psutil

    serving = [one for one in psutil.Process(daemon).children() if any("bootstrap" in part for part in one.cmdline())]
    if serving:
        os.kill(serving[0].pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
