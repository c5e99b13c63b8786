"""The flows publish and train as a worker starts them in a drill's world (DRILL_WORLD): the platform there is a file."""

import os
import time
from pathlib import Path
from typing import Any

from flows import adapter_steps, steps
from flows.publish import publish
from flows.train import train
from tests.operations import drill_world

__all__ = ["publish", "train"]

WORLD = Path(os.environ["DRILL_WORLD"])


def noted(launch: Any) -> Any:
    def told(arguments: list[str], **named: Any) -> None:
        began = time.monotonic()
        try:
            launch(arguments, **named)
        finally:
            with (WORLD / drill_world.LAUNCHES).open("a") as log:
                log.write(f"{began:.3f} {time.monotonic():.3f} {arguments[0]}\n")

    return told


drill_world.use(WORLD)
for module in (steps, adapter_steps):
    module.launch_trainer = noted(module.launch_trainer)  # type: ignore[attr-defined]
