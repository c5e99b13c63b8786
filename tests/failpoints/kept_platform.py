"""The memory platform with its memory in a file: it outlives the process that talks to it, as a platform does."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from serving.release.platform import Seen
from tests.serving.release.memory_platform import MemoryPlatform


class KeptPlatform(MemoryPlatform):
    """Every verb reads the file first; one that ends has written it."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.load()

    def load(self) -> None:
        if not self.file.exists():
            return
        kept = json.loads(self.file.read_text())
        self.packages = {name: (content, package) for name, (content, package) in kept["packages"].items()}
        self.places = {name: (app, place) for name, (app, place) in kept["places"].items()}
        self.deploys = [(app, place, content) for app, place, content in kept["deploys"]]
        for name in ("aliases", "auth", "broken"):
            setattr(self, name, {(app, place): value for app, place, value in kept[name]})
        self.seen = {(app, place): [Seen(**one) for one in seen] for app, place, seen in kept["seen"]}
        self.now = kept["now"]

    def keep(self) -> None:
        kept = {
            "packages": self.packages,
            "places": self.places,
            "deploys": self.deploys,
            **{name: [(*key, value) for key, value in getattr(self, name).items()] for name in ("aliases", "auth", "broken")},
            "seen": [(*key, [asdict(one) for one in seen]) for key, seen in self.seen.items()],
            "now": self.now,
        }
        scratch = self.file.with_name(f"{self.file.name}.part")
        scratch.write_text(json.dumps(kept))
        os.replace(scratch, self.file)

    def _enter(self, verb: str) -> int:
        self.load()
        return super()._enter(verb)

    def _leave(self, number: int, verb: str) -> None:
        self.keep()
        super()._leave(number, verb)
