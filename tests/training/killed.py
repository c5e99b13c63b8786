"""Trainings that are killed for good: a program that forks one process a training, so that SIGKILL meets a real one.

    python -m tests.training.killed ORDER.json FOLDER reads {"config": ..., "cases": [[changes, kill], ...]} and writes
results.json: for each case how the killed process ended and the sha256 of the adapter after it went on, beside that of one never
killed.

`kill` is "step N", in the middle of the report of that step, before its checkpoint; or "write N", when the checkpoint of step N is
written but not yet in its place.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.training.runs import Run
from training import checkpoint
from training.base import load_pipeline, locate
from training.config import TrainConfig
from training.data.cache import Example, encode_pictures
from training.data.manifest import read_dataset
from training.events import Events
from training.export import export


def main(asked: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    order = json.loads(asked.read_text())
    plain = TrainConfig.model_validate(order["config"])
    base, dataset = locate(plain.base), read_dataset(plain.dataset)
    examples = encode_pictures(dataset, dataset.split("train"), load_pipeline(base, torch.float32), base, plain.cache).examples
    straight: dict[str, str] = {}
    results = []
    for number, (changes, kill) in enumerate(order["cases"]):
        config = TrainConfig.model_validate({**order["config"], **changes})

        def train(name: str, how: Callable[[Run], None], config: TrainConfig = config) -> tuple[int, str]:
            return forked(folder / name, lambda: trained(config, examples, folder / name, how))

        key = json.dumps(changes, sort_keys=True)
        if key not in straight:
            straight[key] = train(f"straight-{number}", lambda run: None)[1]
        ended, _ = train(f"case-{number}", lambda run, kill=kill: armed(run, kill))
        left = sorted(path.name for path in (folder / f"case-{number}" / "work").glob("step-*"))
        _, resumed = train(f"case-{number}", lambda run: None)
        results.append({"signal": -ended, "left": left, "resumed": resumed, "straight": straight[key]})
    (folder / "results.json").write_text(json.dumps(results))


def forked(place: Path, work: Callable[[], str]) -> tuple[int, str]:
    """Run `work` in a process of its own: its end (negative: the signal) and what it returned."""
    place.mkdir(parents=True, exist_ok=True)
    answer = place / "answer"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # no thread of ours runs when we fork
        child = os.fork()
    if child == 0:
        answer.write_text(work())
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return ended, answer.read_text() if ended == 0 else ""


def trained(config: TrainConfig, examples: tuple[Example, ...], place: Path, how: Callable[[Run], None]) -> str:
    """Train to the end, or to death; the sha256 of the exported adapter."""
    run = Run(locate(config.base), examples, config, place / "work")
    how(run)
    run(events_of(run))
    return hashlib.sha256(export(run.denoiser, run.base.family, place / "out").read_bytes()).hexdigest()


def armed(run: Run, kill: str) -> None:
    """Let the process die at the place that `kill` names."""
    place, step = kill.split()
    if place == "step":
        run.dies_at = int(step)  # type: ignore[attr-defined]
        return
    plain = os.replace

    def replace(part: Any, path: Any) -> None:
        if path.name == f"step-{int(step):08d}.safetensors":
            os.kill(os.getpid(), signal.SIGKILL)
        plain(part, path)

    checkpoint.os.replace = replace  # type: ignore[attr-defined]


def events_of(run: Run) -> Events:
    class Fatal(Events):
        def emit(self, event: str, **fields: object) -> None:
            if fields.get("step") == getattr(run, "dies_at", None):
                os.kill(os.getpid(), signal.SIGKILL)

    return Fatal()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
