"""The events of a command in the log of the machine that runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

EVENT: Final = "lorasmith-event"  # as remote_app.py begins such a line: EVENT number JSON


class CommandLog:
    """Hands on the events in the lines of a log, each once and in order; a line that was lost or garbled leaves a gap."""

    def __init__(self, event: Callable[[str], None]) -> None:
        self._event, self._number = event, 0

    def tell(self, lines: Iterable[str]) -> None:
        found = dict(filter(None, map(_numbered, lines)))
        for number in sorted(found):
            if number > self._number:
                self._number = number
                self._event(found[number])


def _numbered(line: str) -> tuple[int, str] | None:
    """Number and JSON of an event; None for any other line, and for one that a platform has written into (it masks secrets)."""
    word, _, rest = line.strip().partition(" ")
    number, _, text = rest.partition(" ")
    if word != EVENT or not number.isdecimal():
        return None
    with suppress(ValueError):
        return (int(number), text) if isinstance(json.loads(text), dict) else None
    return None
