"""Speed of the LoRA loop on the embedded base: ratios against plain loops in the same process, medians of alternating rounds.

    python bench/training.py [--quick] [--json FILE] [--curve FILE.png] [--threads 2]

Compared are images/s of the warm loop with a loop that encodes in every step and with one that keeps what it encoded
(bench/baselines/), and of the loop with compiled blocks with the latter, where there is a C++ compiler; the loop with its own bare
forward, backward and optimizer step; FLOPs and bytes kept for backward with a plain adapter forward; time to the first step with an
empty and with a full cache; the variance of the loss estimate with stratified and with independent noise levels; and, with --curve,
held-out loss over steps. Both sides share weights, rank, batch, precision, optimizer and threads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

AT_LEAST, AT_MOST = "at least", "at most"
GOALS = {
    "images_per_second_over_encoding_each_step": (1.2, AT_LEAST),
    "images_per_second_over_cached": (1.1, AT_LEAST),
    "images_per_second_compiled_over_cached": (1.2, AT_LEAST),
    "seconds_over_bare_step": (1.05, AT_MOST),
    "flops_over_naive_adapter": (1.0, AT_MOST),
    "backward_bytes_over_naive_adapter": (1.0, AT_MOST),
    "first_step_warm_over_cold": (1.0, AT_MOST),
    "loss_variance_stratified_over_independent": (0.6, AT_MOST),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and steps")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--curve", type=Path, help="PNG of held-out loss over steps, ours and the plain loop's")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory(prefix="lorasmith-bench-") as folder:
        metrics = measured(Path(folder), quick=arguments.quick, curve=arguments.curve)
    if arguments.json:
        arguments.json.write_text(json.dumps(metrics, indent=2) + "\n")
    for name, value in metrics.items():
        print(f"{name}: {value['value']} (goal: {GOALS[name][1]} {value['goal']}) {'holds' if value['holds'] else 'DOES NOT HOLD'}")
    return 0 if all(value["holds"] for value in metrics.values()) else 1


def measured(folder: Path, *, quick: bool, curve: Path | None) -> dict[str, dict[str, Any]]:
    """Every metric by name."""
    from baselines import cached, encode_each_step
    from loops import BareStep, Ours, compiled, first_step_seconds, pictures_of
    from work import backward_bytes, naive_adapters, step_flops, variance_ratio

    rounds, steps = (3, 5) if quick else (7, 15)
    ours = Ours(folder)
    settings = {
        "targets": ours.base.family.targets,
        "rank": ours.config.rank,
        "rate": ours.config.learning_rate,
        "batch": ours.config.batch_size,
    }
    data = pictures_of(ours)
    plain = {
        "encode_each_step": encode_each_step.Loop(ours.base.folder, *data, **settings),
        "cached": cached.Loop(ours.base.folder, *data, **settings),
    }
    contestants: dict[str, Callable[[int], float]] = {"ours": ours.seconds, "bare": BareStep(ours).seconds}
    contestants |= {name: loop.seconds for name, loop in plain.items()}
    faster = compiled(folder / "compiled")
    if faster:
        contestants["compiled"] = faster[0].seconds
        print(f"compiling: {faster[1]:.1f} s until the first step is done")
    else:
        print("compiling: not measured, no C++ compiler is here")
    seconds = alternating(contestants, rounds, steps)
    images = {name: steps * ours.config.batch_size / statistics.median(values) for name, values in seconds.items()}
    print("images/s, medians: " + ", ".join(f"{name} {value:.1f}" for name, value in images.items()))

    def ratio(one: str, other: str) -> float:
        return statistics.median(left / right for left, right in zip(seconds[one], seconds[other], strict=True))

    naive = naive_adapters(ours)
    cold, warm = first_step_seconds(folder)
    print(f"time to the first step: {cold:.1f} s with an empty cache, {warm:.1f} s with a full one")
    result = {
        "images_per_second_over_encoding_each_step": ratio("encode_each_step", "ours"),
        "images_per_second_over_cached": ratio("cached", "ours"),
        **({"images_per_second_compiled_over_cached": ratio("cached", "compiled")} if faster else {}),
        "seconds_over_bare_step": ratio("ours", "bare"),
        "flops_over_naive_adapter": step_flops(ours.trainee.denoiser, ours) / step_flops(naive, ours),
        "backward_bytes_over_naive_adapter": backward_bytes(ours.trainee.denoiser, ours) / backward_bytes(naive, ours),
        "first_step_warm_over_cold": warm / cold,
        "loss_variance_stratified_over_independent": variance_ratio(ours, draws=40 if quick else 200),
    }
    if curve:
        from curve import draw_curves

        draw_curves(folder / "curve", cached.Loop(ours.base.folder, *data, **settings), curve, steps=40 if quick else 160)
        print(f"held-out loss over steps: {curve}")
    return {name: metric(value, *GOALS[name]) for name, value in result.items()}


def alternating(contestants: dict[str, Callable[[int], float]], rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds of `steps` steps a round by name; one round to warm up, and every other round in the opposite order."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name in sorted(contestants, reverse=turn % 2 == 0):
            passed = contestants[name](steps if turn else 2)
            if turn:
                seconds[name].append(passed)
    return seconds


def metric(value: float, goal: float, sense: str) -> dict[str, Any]:
    holds = value >= goal if sense == AT_LEAST else value <= goal
    return {"value": round(value, 4), "goal": goal, "holds": holds}


if __name__ == "__main__":
    sys.exit(main())
