"""Floating point operations and activation bytes of a LoRA step at full size, base by base, on the meta device: no weights, no GPU.

    python bench/flops.py [--quick] [--memory] [--json FILE]

One picture, rank 16 on the layers that each family trains, bfloat16, captions as long as the pipelines pad them (else 128 tokens).
--quick counts four bases. A count is held against one made of the same step with other code: it should be within 3 %.
--memory counts what each family's row says of its memory instead: within 2 %.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
GIB = 2**30
TOLERANCE, OF_ROWS = 0.03, 0.02


@dataclass(frozen=True, slots=True)
class Row:
    """A base at a side, and the step's TFLOP as counted elsewhere, where it was."""

    base: str
    side: int
    expected: float | None = None


ROWS = (
    Row("stable-diffusion-v1-5/stable-diffusion-v1-5", 512, 1.72),
    Row("stabilityai/stable-diffusion-xl-base-1.0", 1024, 14.2),
    Row("Efficient-Large-Model/Sana_1600M_1024px_diffusers", 1024, 5.9),
    Row("PixArt-alpha/PixArt-Sigma-XL-2-1024-MS", 1024),
    Row("Alpha-VLLM/Lumina-Image-2.0", 1024),
    Row("stabilityai/stable-diffusion-3.5-medium", 1024, 26.8),
    Row("stabilityai/stable-diffusion-3.5-large", 1024),
    Row("black-forest-labs/FLUX.2-klein-base-4B", 1024, 76.3),
    Row("black-forest-labs/FLUX.2-klein-base-9B", 1024),
    Row("Tongyi-MAI/Z-Image", 512, 27.8),
    Row("Tongyi-MAI/Z-Image", 1024, 120),
    Row("THUDM/CogView4-6B", 1024),
    Row("fal/AuraFlow-v0.3", 1024),
    Row("lodestones/Chroma1-HD", 1024, 164),
    Row("black-forest-labs/FLUX.1-dev", 512, 44.7),
    Row("black-forest-labs/FLUX.1-dev", 1024, 164),
    Row("HiDream-ai/HiDream-I1-Full", 1024),
    Row("kandinskylab/Kandinsky-5.0-T2I-Lite-sft-Diffusers", 1024),
    Row("meituan-longcat/LongCat-Image", 1024),
    Row("Qwen/Qwen-Image-2.1", 1024),
    Row("AIDC-AI/Ovis-Image-7B", 1024),
    Row("baidu/ERNIE-Image", 1024),
    Row("krea/Krea-2-Raw", 1024),
    Row("Qwen/Qwen-Image", 1024, 152),
    Row("black-forest-labs/FLUX.2-dev", 1024),
)
QUICK = {("stable-diffusion-v1-5/stable-diffusion-v1-5", 512), ("Efficient-Large-Model/Sana_1600M_1024px_diffusers", 1024)} | {
    ("stabilityai/stable-diffusion-3.5-medium", 1024),
    ("black-forest-labs/FLUX.2-klein-base-4B", 1024),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--memory", action="store_true", help="the GiB that the families' rows name")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    metrics = of_rows() if arguments.memory else of_bases(quick=arguments.quick)
    if arguments.json:
        arguments.json.write_text(json.dumps(metrics, indent=2) + "\n")
    for name, value in metrics.items():
        if not value["holds"]:
            print(f"{name}: {value['value']} (goal: about {value['goal']}) DOES NOT HOLD")
    return 0 if all(value["holds"] for value in metrics.values()) else 1


def of_rows() -> dict[str, Any]:
    """Print what each family's row should say of its memory, and return it."""
    from training.families import FAMILIES
    from training.forecast.typical import typical

    metrics: dict[str, Any] = {}
    for family in FAMILIES.values():
        one = typical(family)
        if one is None:
            print(f"{family.name:<16}no base of this family is known here: it is counted from its folder or from the Hub")
            continue
        how = "with" if one.checkpointing else "without"
        print(f"{family.name:<16}{one.gib:>6.1f} GiB {how} checkpointing, {one.side} x {one.side}, {one.base}", flush=True)
        holds = family.memory is not None and abs(one.gib / family.memory - 1) <= OF_ROWS
        metrics[f"{family.name} gib"] = metric(one.gib, family.memory, holds=holds)
    return metrics


def of_bases(*, quick: bool) -> dict[str, Any]:
    """Print a line for each base, and return the metrics."""
    rows = [row for row in ROWS if not quick or (row.base, row.side) in QUICK]
    heading()
    metrics: dict[str, Any] = {}
    for row in rows:
        metrics |= counted(row)
    return metrics


def counted(row: Row) -> dict[str, Any]:
    """Print a line for the base, and return its metrics."""
    import torch

    from training.config import Recipe
    from training.forecast import anatomy_of, study

    begun = time.monotonic()
    recipe = Recipe(resolution=row.side, steps=1, batch_size=1, rank=16, alpha=16, learning_rate=1e-4)
    one = study(anatomy_of(row.base), recipe, torch.bfloat16)
    trace, name = one.trace, f"{row.base.split('/')[1]} {row.side}"
    step, again = trace.step_flops(checkpointing=False), trace.step_flops(checkpointing=True)
    print(
        f"{name:<42}{one.counts.denoiser / 1e9:>6.2f}{trace.forward_flops / 1e12:>8.2f}{step / 1e12:>8.1f}"
        f"{step / trace.forward_flops:>6.2f}{again / 1e12:>8.1f}{step / 989e12 * 1e3:>8.1f}{step / 165e12 * 1e3:>8.0f}"
        f"{trace.saved_bytes / GIB:>8.1f}{trace.activation_bytes(checkpointing=True) / GIB:>8.1f}"
        f"{one.memory('bf16', checkpointing=False).train / GIB:>8.1f}{one.memory('bf16', checkpointing=True).train / GIB:>8.1f}"
        f"{one.memory('bf16', checkpointing=True).encode / GIB:>8.1f}{one.memory('nf4', checkpointing=True).train / GIB:>8.1f}"
        f"{trace.operations:>8}{time.monotonic() - begun:>7.0f}",
        flush=True,
    )
    holds = row.expected is None or abs(step / 1e12 / row.expected - 1) <= TOLERANCE
    return {
        f"{name} forward_tflop": metric(trace.forward_flops / 1e12),
        f"{name} step_tflop": metric(step / 1e12, row.expected, holds=holds),
        f"{name} step_over_forward": metric(step / trace.forward_flops),
        f"{name} checkpointed_tflop": metric(again / 1e12),
        f"{name} saved_gib": metric(trace.saved_bytes / GIB),
        f"{name} train_gib": metric(one.memory("bf16", checkpointing=False).train / GIB),
        f"{name} operations": metric(trace.operations),
    }


def heading() -> None:
    print(f"{'':<42}{'10^9':>6}{'forward':>8}{'step':>8}{'':>6}{'with':>8}{'floor ms':>16}{'saved':>8}{'with':>8}", end="")
    print(f"{'train GiB, bf16':>16}{'encode':>8}{'nf4+ck':>8}{'':>8}{'took':>7}")
    print(
        f"{'base, side':<42}{'param':>6}{'TF':>8}{'TF':>8}{'x':>6}{'ckpt TF':>8}{'H100':>8}{'4090':>8}{'GiB':>8}{'ckpt':>8}", end=""
    )
    print(f"{'plain':>8}{'ckpt':>8}{'GiB':>8}{'GiB':>8}{'calls':>8}{'s':>7}")


def metric(value: float, goal: float | None = None, *, holds: bool = True) -> dict[str, Any]:
    return {"value": round(value, 3), "goal": goal, "holds": holds}


if __name__ == "__main__":
    sys.exit(main())
