"""One job for a rented machine, with a command that only counts: run as often as wanted, with what it told."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving.release.machine import FalMachine
from serving.release.remote import Order, Telling, carry_out
from serving.release.remote_record import About, Record

COMMAND = ("-m", "toy.run")
ABOUT = About(job="toy", target="sandbox", machine="S", usd_per_second=(0.5, 1.0))


def toy_code_in(folder: Path) -> Path:
    """The toy command as a package of Python code in `folder`."""
    code = folder / "toy"
    code.mkdir()
    (code / "__init__.py").touch()
    shutil.copyfile(Path(__file__).with_name("toy_command.py"), code / "run.py")
    return code


@dataclass(kw_only=True)
class Bench:
    """One job in a folder: run() as often as wanted, with what it told."""

    folder: Path
    order: Order
    events: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    at_event: Callable[[dict[str, Any]], None] = lambda event: None

    @property
    def record(self) -> Record:
        return Record(self.folder / "record.json", ABOUT)

    def run(self, machine: FalMachine, *, given_up: bool = False) -> dict[str, Any]:
        """What the command left."""
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        telling = Telling(event=self.tell, progress=self.lines.append)
        keep = self.folder / "keep.zip"
        carry_out(self.order, machine, self.record, out=out, keep=keep, telling=telling, given_up=lambda ending: given_up)
        counted: dict[str, Any] = json.loads((out / "counted.json").read_text())
        return counted

    def tell(self, line: str) -> None:
        self.events.append(json.loads(line))
        self.at_event(self.events[-1])
