"""A runner as fal starts one: the SDK serves the app, here on two UNIX sockets in the folder that the one argument names.

The engine draws once there is a file `go` in that folder; it writes `began` when it is called.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from fal.toolkit import Image
from PIL import Image as PIL

from serving.app.app import LoraApp
from serving.app.drawing.engine import Engine, Shape, Wanted
from serving.app.errors import Stopped
from serving.app.pictures import OutputFormat, hand_out

APP_PORT, METRICS_PORT = 8080, 9090
FOLDER = Path(sys.argv[1])


class SlowEngine:
    def draw(self, shape: Shape, wanted: Sequence[Wanted], *, go_on: Callable[[], bool]) -> list[PIL.Image]:
        (FOLDER / "began").touch()
        while not (FOLDER / "go").exists():
            if not go_on():
                raise Stopped("nobody waits any more")
            time.sleep(0.005)
        return [PIL.new("RGB", (shape.width, shape.height)) for _ in wanted]


class SlowApp(LoraApp):
    def make_engine(self) -> Engine:
        return SlowEngine()

    def hand_out(self, data: bytes, output_format: OutputFormat, size: tuple[int, int], *, inline: bool) -> Image:
        return hand_out(data, output_format, size, inline=True)


def keep_private() -> None:
    """The SDK serves on 0.0.0.0."""
    configure = uvicorn.Config.__init__

    def configured(self: Any, *args: Any, **kwargs: Any) -> None:
        name = {APP_PORT: "app", METRICS_PORT: "metrics"}[kwargs.pop("port")]
        configure(self, *args, **(kwargs | {"host": "127.0.0.1", "uds": str(FOLDER / f"{name}.sock")}))

    uvicorn.Config.__init__ = configured  # type: ignore[method-assign]


if __name__ == "__main__":
    keep_private()
    asyncio.run(SlowApp(_allow_init=True).serve(port=APP_PORT, metrics_port=METRICS_PORT))
