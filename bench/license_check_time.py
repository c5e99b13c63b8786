"""How long a check of twelve assets takes on a loopback Hub: in a fresh process, and in one that has the catalogue at hand."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hub_clock import BASE, COMPONENTS, DATASET, TWELVE

ROOT = Path(__file__).resolve().parent.parent
COLD = (
    "from licenses.check import check; "
    f"verdict = check({BASE!r}, components={COMPONENTS!r}, dataset={DATASET!r}, as_of='2026-11-22'); "
    f"assert verdict.exit_code == 0 and len(verdict.nodes) == {TWELVE}, verdict"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """Medians in seconds: wall clock of the whole, of it the Hub's own by its clock; requests a check."""

    cold: float
    cold_hub: float
    warm: float
    warm_hub: float
    warm_processor: float
    requests: float


def times(*, quick: bool) -> Times:
    """Cold and warm checks against a Hub in a process of its own."""
    with _hub() as address:
        os.environ |= {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_TOKEN_PATH": os.devnull}
        cold = [_clocked(address, _in_a_fresh_process) for _ in range(3 if quick else 9)]
        _in_this_process()
        processor, warm = [], []
        for _ in range(7 if quick else 25):
            before = time.process_time()
            warm.append(_clocked(address, _in_this_process))
            processor.append(time.process_time() - before)
    return Times(
        cold=statistics.median(wall for wall, _, _ in cold),
        cold_hub=statistics.median(hub for _, hub, _ in cold),
        warm=statistics.median(wall for wall, _, _ in warm),
        warm_hub=statistics.median(hub for _, hub, _ in warm),
        warm_processor=statistics.median(processor),
        requests=statistics.median(requests for _, _, requests in warm),
    )


def _in_a_fresh_process() -> None:
    subprocess.run([sys.executable, "-c", COLD], cwd=ROOT, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


def _in_this_process() -> None:
    from licenses.check import check

    verdict = check(BASE, components=COMPONENTS, dataset=DATASET, as_of="2026-11-22")
    if verdict.exit_code or len(verdict.nodes) != TWELVE:
        raise SystemExit(f"the twelve assets give {verdict.verdict} over {len(verdict.nodes)} nodes: {verdict.uses}")


def _clocked(address: str, work: Callable[[], None]) -> tuple[float, float, float]:
    """Wall seconds of a piece of work, the Hub's seconds in it, and its requests."""
    before, started = _clock(address), time.perf_counter()
    work()
    wall, after = time.perf_counter() - started, _clock(address)
    return wall, after["seconds"] - before["seconds"], after["requests"] - before["requests"]


def _clock(address: str) -> dict[str, float]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{address}/clock") as answer:
        read: dict[str, float] = json.load(answer)
    return read


@contextmanager
def _hub() -> Iterator[str]:
    command = [sys.executable, str(ROOT / "bench/hub_clock.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(timeout=10)
