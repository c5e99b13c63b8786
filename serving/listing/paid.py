"""Answers of the app that were paid for, kept as they arrive: a gallery that was killed half-way asks only for what it lacks."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.app.billing import BillingUnit
from serving.listing.gallery import Call, Called, delivered
from serving.listing.planning import Shot, arguments_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """An answer as it came, of this run or of an earlier one."""

    status: int
    units: str | None
    body: dict[str, Any]
    seconds: float


def paid_once(call: Call, shots: Sequence[Shot], *, folder: Path, unit: BillingUnit = "image") -> Call:
    """`call`, which finds in `folder` what the same release was asked before; the folder is one release's alone.

    Only an answer that counts as a delivery of its shot is kept: what was refused or billed wrongly is asked again. Killed between
    the app's answer and its file (milliseconds), or while the app draws, that one picture is billed again.
    """
    wanted = {_name(arguments_of(shot)): shot for shot in shots}

    def find_or_call(arguments: dict[str, Any]) -> Called:
        name = _name(arguments)
        file = folder / f"{name}.json"
        if file.is_file():
            return Kept(**json.loads(file.read_text(encoding="utf-8")))
        called = call(arguments)
        delivered(called, wanted[name], unit)
        _write(file, {"status": called.status, "units": called.units, "body": called.body, "seconds": called.seconds})
        return called

    return find_or_call


def _name(arguments: dict[str, Any]) -> str:
    """Prompt, seed, size and strength in one word."""
    return hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()[:32]


def _write(file: Path, answer: dict[str, Any]) -> None:
    """Whole or not at all, and on the disk."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8") as stream:
        json.dump(answer, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, file)
