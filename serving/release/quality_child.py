"""Draws pictures exactly and accelerated, one engine after the other: `python -m serving.release.quality_child FOLDER`.

FOLDER holds base/, adapter.safetensors and request.json; answer.json is written into it: figures of each picture and times, or
{"error": one line}. When stdin ends, whoever asked is gone, and so are we.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from serving.app.drawing.engine import DiffusersEngine, Shape, Wanted
from serving.app.settings import Acceleration, Installed, Settings
from serving.release.likeness import Pixels, psnr, ssim


def main(folder: Path) -> int:
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    try:
        answer = _compared(folder, Settings.model_validate(request["settings"]), request["level"], request["samples"])
    except Exception as error:
        import traceback

        traceback.print_exc()  # to the log; the reply holds what a person needs
        answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    partial = folder / "answer.partial"
    partial.write_text(json.dumps(answer), encoding="utf-8")
    os.replace(partial, folder / "answer.json")
    return 1 if "error" in answer else 0


def _compared(folder: Path, settings: Settings, level: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # What is measured here is what the settings will tell, so it can not stand there yet.
    accelerated = Acceleration.model_construct(compile="off", **level)
    exact, before, device = _drawn(folder, settings, Acceleration(compile="off"), samples)
    gc.collect()  # one engine at a time: a base may fill the memory
    others, after, _ = _drawn(folder, settings, accelerated, samples)
    figures = [
        {"seed": sample["seed"], "psnr": psnr(one, other), "ssim": ssim(one, other)}
        for sample, one, other in zip(samples, exact, others, strict=True)
    ]
    speed = {"exact_seconds": before, "accelerated_seconds": after, "ratio": before / after, "machine": _machine(device)}
    return {"pictures": figures, "device": device, "speed": speed}


def _drawn(
    folder: Path, settings: Settings, how: Acceleration, samples: Sequence[Mapping[str, Any]]
) -> tuple[list[Pixels], float, str]:
    """Pictures of the samples, the median of their seconds, and the device that drew them."""
    import numpy as np

    changed = settings.model_copy(update={"acceleration": how})
    engine = DiffusersEngine(Installed(folder=folder, hash="", settings=changed))
    shape = Shape(
        width=settings.default_size.width,
        height=settings.default_size.height,
        steps=settings.inference.steps,
        guidance_scale=settings.inference.guidance_scale,
        lora_scale=settings.adapter.scale,
    )
    engine.draw(shape, [Wanted(prompt="warm up", seed=0)], go_on=lambda: True)
    pictures, seconds = [], []
    for sample in samples:
        begun = time.perf_counter()
        (picture,) = engine.draw(shape, [Wanted(prompt=sample["prompt"], seed=sample["seed"])], go_on=lambda: True)
        seconds.append(time.perf_counter() - begun)
        pictures.append(np.asarray(picture.convert("RGB"), dtype=np.float64))
    return pictures, statistics.median(seconds), engine.device.type


def _machine(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()}, {torch.get_num_threads()} threads"


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_stdin, name="stdin", daemon=True).start()
    sys.exit(main(Path(sys.argv[1])))
