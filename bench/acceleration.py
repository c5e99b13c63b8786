"""What each level of acceleration does on the embedded base: likeness to the exact pictures, speed, bytes of the denoiser.

    python bench/acceleration.py [--quick] [--json FILE] [--threads 1]

Speed is the median over alternating pairs of the same picture (exact, accelerated) in one process. `compiled` draws the exact
pictures by compiled blocks; `challenger` draws with a second adapter while the first stays fused. CPU figures say nothing of a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

STEPS = 24
PROMPTS = ("a red apple", "a smiling face", "a blue car", "a green leaf")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer pairs")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    with tempfile.TemporaryDirectory(prefix="lorasmith-bench-") as name:
        os.environ["LORASMITH_DATA"] = str(Path(name) / "data")
        figures = measured(Path(name), rounds=1 if arguments.quick else 5)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    for level, found in figures.items():
        print(f"{level}: " + ", ".join(f"{name} {value}" for name, value in found.items()))
    return 0


def measured(folder: Path, *, rounds: int) -> dict[str, dict[str, float]]:
    """Figures by what was tried."""
    from packages import make_package

    from serving.app.drawing.engine import DiffusersEngine
    from serving.app.settings import Acceleration, Installed, Settings
    from serving.release.quality import LEVELS

    package = make_package(folder)
    written = json.loads((package / "settings.json").read_text())
    written["inference"]["steps"] = STEPS
    (package / "challenger.safetensors").write_bytes((package / "adapter.safetensors").read_bytes())
    settings = Settings.model_validate(written | {"challenger": written["adapter"]})

    def engine(**how: Any) -> DiffusersEngine:
        acceleration = Acceleration.model_construct(**{"compile": "off"} | how)
        changed = settings.model_copy(update={"acceleration": acceleration})
        return DiffusersEngine(Installed(folder=package, hash="", settings=changed))

    exact = engine()
    tried: Mapping[str, DiffusersEngine] = {name: engine(**how) for name, how in LEVELS.items() if name != "none"}
    found = {name: _apart(exact, one, settings, rounds=rounds) for name, one in tried.items()}
    found["compiled"] = _apart(exact, engine(compile="on"), settings, rounds=rounds)
    found["challenger"] = _apart(exact, exact, settings, rounds=rounds, adapter="challenger")
    return found


def _apart(exact: Any, other: Any, settings: Any, *, rounds: int, adapter: str = "champion") -> dict[str, float]:
    from serving.release.likeness import psnr, ssim

    pairs, likeness = [], []
    for seed in range(rounds + 1):
        for prompt in PROMPTS:
            one, begun = _timed(exact, settings, prompt, seed, "champion")
            another, taken = _timed(other, settings, prompt, seed, adapter)
            likeness.append((psnr(one, another), ssim(one, another)))
            if seed:  # the first round warms up
                pairs.append((begun, taken))
    return {
        "worst_psnr": round(min(value for value, _ in likeness), 1),
        "worst_ssim": round(min(value for _, value in likeness), 3),
        "pictures": len(likeness),
        "speed": round(statistics.median(one / another for one, another in pairs), 2),
        "denoiser_mib": round(
            sum(weight.numel() * weight.element_size() for weight in other.pipe.transformer.parameters()) / 2**20, 1
        ),
    }


def _timed(engine: Any, settings: Any, prompt: str, seed: int, adapter: str) -> tuple[Any, float]:
    import numpy as np

    from serving.app.drawing.engine import Shape, Wanted

    shape = Shape(
        width=settings.default_size.width,
        height=settings.default_size.height,
        steps=settings.inference.steps,
        guidance_scale=settings.inference.guidance_scale,
        lora_scale=settings.adapter.scale,
        adapter=adapter,  # type: ignore[arg-type]
    )
    begun = time.perf_counter()
    (picture,) = engine.draw(shape, [Wanted(prompt=prompt, seed=seed)], go_on=lambda: True)
    return np.asarray(picture.convert("RGB")), time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
