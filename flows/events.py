"""Events: what other things may act on, sent to Prefect where a server is named, and always kept as one line on the disk."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.home import home
from flows.progress import say

FAMILIES = ("lorasmith.", "dataset.updated")


def emit(name: str, resource: str, payload: Mapping[str, Any]) -> None:
    """Tell of something that happened to `resource`; a listener that is away keeps nobody from his work.

    name: lorasmith.ROOM.WORD, or dataset.updated. resource: its id in Prefect, as lorasmith.app.sandbox.NAME. Prefect forgets its
    events after a while, so each is also a line of HOME/logs/events.jsonl: {at, event, resource, payload}.
    """
    assert name.startswith(FAMILIES), f"event {name!r}: ours begin with {' or '.join(FAMILIES)}"
    said = json.loads(json.dumps(payload, default=str))  # what can be sent; paths and times become their text
    keep({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": name, "resource": resource, "payload": said})
    send(name, resource, said)


def events_file() -> Path:
    folder = home() / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / "events.jsonl"


def keep(line: Mapping[str, Any]) -> None:
    """Append the line by one write, so that two processes never mix theirs."""
    written = (json.dumps(line) + "\n").encode()
    try:
        file = os.open(events_file(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, written)
        finally:
            os.close(file)
    except OSError as error:
        say(f"event {line['event']} is not kept ({error.strerror}): {error.filename or 'its file'} can not be written")


def send(name: str, resource: str, payload: dict[str, Any]) -> None:
    """To the server that PREFECT_API_URL names. Without one nothing is sent: Prefect would start a server for it."""
    from prefect.events import emit_event
    from prefect.settings import PREFECT_API_URL

    if PREFECT_API_URL.value():
        emit_event(event=name, resource={"prefect.resource.id": resource}, payload=payload)
