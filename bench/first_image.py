"""A process that starts, loads a pipeline with an adapter and draws one image; it prints what that took of CPU and memory.

    python bench/first_image.py engine|plain PACKAGE

`engine` is the package's own app; `plain` is DiffusionPipeline.from_pretrained and load_lora_weights on the same files.
"""

import json
import resource
import sys
import time
from pathlib import Path

PROMPT, SEED = "a red fox", 1


def main() -> None:
    side, folder = sys.argv[1], Path(sys.argv[2])
    settings = json.loads((folder / "settings.json").read_text())
    {"engine": engine, "plain": plain}[side](folder, settings)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu_seconds": time.process_time(), "peak_mib": peak}))


def engine(folder: Path, settings: dict) -> None:
    sys.path.insert(0, str(folder))
    from lora_app.drawing.engine import DiffusersEngine, Shape, Wanted
    from lora_app.settings import installed

    size, inference = settings["default_size"], settings["inference"]
    shape = Shape(
        width=size["width"],
        height=size["height"],
        steps=inference["steps"],
        guidance_scale=inference["guidance_scale"],
        lora_scale=settings["adapter"]["scale"],
    )
    (picture,) = DiffusersEngine(installed()).draw(shape, [Wanted(prompt=PROMPT, seed=SEED)], go_on=lambda: True)
    assert picture.size == (size["width"], size["height"])


def plain(folder: Path, settings: dict) -> None:
    import torch
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(folder / "base", dtype=torch.float32, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_lora_weights(str(folder / "adapter.safetensors"))
    size, inference = settings["default_size"], settings["inference"]
    pipe(
        PROMPT,
        **size,
        num_inference_steps=inference["steps"],
        guidance_scale=inference["guidance_scale"],
        generator=torch.Generator().manual_seed(SEED),
    )


if __name__ == "__main__":
    main()
