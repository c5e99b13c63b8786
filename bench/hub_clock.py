"""The loopback Hub in a process of its own, with a clock at the server: how long it was busy, and how often it was asked.

    python bench/hub_clock.py

Prints its address, serves a graph of twelve assets (see TWELVE), and ends with its standard input. GET /clock answers
{"seconds": time in which at least one request was being answered, "requests": their number}.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from tests.licenses.loopback_hub import LoopbackHub, _Handler, address_of, listening  # noqa: E402

BASE, DATASET = "twelve/base", "twelve/pictures"
COMPONENTS = {"accelerator": "twelve/accelerator", "safety_checker": "twelve/checker"}
ROLES = {
    "vae": ("diffusers", "AutoencoderKL"),
    "text_encoder": ("transformers", "Qwen3Model"),
    "transformer": ("diffusers", "ZImageTransformer2DModel"),
}
TWELVE = 12  # base, its three parts, four ancestors, two components, a dataset and its source
BODY = "A model that draws leaves for books, maps and walls. It was trained for three days on drawings of our own.\n\n" * 30


@contextmanager
def clocked() -> Iterator[LoopbackHub]:
    """A running hub that holds the twelve assets."""
    with listening(_Clocked) as server:
        hub = LoopbackHub(address=address_of(server))
        server.hub, server.clock = hub, Clock()  # type: ignore[attr-defined]
        furnish(hub)
        yield hub


def furnish(hub: LoopbackHub) -> None:
    """Twelve clean assets under Apache-2.0."""
    index = {"_class_name": "ZImagePipeline"} | {role: list(named) for role, named in ROLES.items()}
    configs = {f"{role}/config.json": json.dumps({"architectures": [name]}) for role, (_, name) in ROLES.items()}
    parts = {"model_index.json": json.dumps(index), **configs}
    hub.add(BASE, described("base_model: [twelve/left, twelve/right]\nbase_model_relation: merge") | parts)
    hub.add("twelve/left", described("base_model: twelve/root"))
    hub.add("twelve/right", described("base_model: twelve/older"))
    for name in ("root", "older", "accelerator", "checker"):
        hub.add(f"twelve/{name}", described())
    hub.add(DATASET, described("source_datasets: [twelve/source]"), kind="dataset")
    hub.add("twelve/source", described(), kind="dataset")


def described(front: str = "") -> dict[str, str]:
    card = f"---\nlicense: apache-2.0\n{front}\n---\n\n# Leaves\n\n{BODY}"
    return {"README.md": card, "LICENSE": (ROOT / "LICENSE").read_text(encoding="utf-8")}


class Clock:
    """Seconds in which at least one request was open; requests that overlap count once."""

    def __init__(self) -> None:
        self.lock, self.open, self.since, self.seconds, self.requests = threading.Lock(), 0, 0.0, 0.0, 0

    @contextmanager
    def running(self) -> Iterator[None]:
        with self.lock:
            self.requests += 1
            if not self.open:
                self.since = time.perf_counter()
            self.open += 1
        try:
            yield
        finally:
            with self.lock:
                self.open -= 1
                if not self.open:
                    self.seconds += time.perf_counter() - self.since


class _Clocked(_Handler):
    disable_nagle_algorithm = True  # else the second packet of an answer waits 40 ms for the first one to be acknowledged

    def _answer(self, *, body: bool) -> None:
        clock: Clock = self.server.clock  # type: ignore[attr-defined]
        if self.path == "/clock":
            self._send(200, json.dumps({"seconds": clock.seconds, "requests": clock.requests}).encode(), {}, body)
            return
        with clock.running():
            super()._answer(body=body)


def main() -> int:
    with clocked() as hub:
        print(hub.address, flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
