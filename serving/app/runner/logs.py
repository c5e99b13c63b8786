"""The runner's log: a JSON object a line, with no prompt, no picture and no secret in it unless the package allows prompts.

The message of somebody else's exception may hold any of them (pydantic repeats its input, a library its argument), so a failure
is written as types, places in the code and what it counts as; its words only where prompts are allowed.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TextIO

from ..errors import failure_of

NOTES = "lorasmith.notes"  # where an endpoint finds its Notes in the ASGI scope

_LONGEST_ID = 128
_DEEPEST = 16  # exceptions that caused each other


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request as the platform names it. path: one of the app's own, or `other`; caller: hashed by the platform."""

    request_id: str | None
    caller: str | None
    path: str


@dataclass(slots=True)
class Notes:
    """What a request's endpoint adds to its line: reasons of what is not delivered, seconds by part, images of its largest call."""

    undelivered: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    batch: int = 0
    prompt: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Telling:
    request_id: str | None = None
    words: bool = False  # whether prompts, and messages that may hold one, are written


_NOTHING = _Telling()  # outside of any request
_telling: ContextVar[_Telling] = ContextVar("lorasmith_telling")


def asked(scope: MutableMapping[str, Any], paths: frozenset[str]) -> Asked:
    """Who asks for what, from the platform's headers; callers can not send those."""
    headers = {name: value.decode("latin-1")[:_LONGEST_ID] for name, value in scope["headers"] if name.startswith(b"x-fal-")}
    path = scope["path"] if scope["path"] in paths else "other"
    return Asked(request_id=headers.get(b"x-fal-request-id"), caller=headers.get(b"x-fal-caller-user-id"), path=path)


@contextmanager
def telling(asked: Asked, *, prompts: bool) -> Iterator[None]:
    """Name this request in the lines that are written for it, and let them hold words only if the package allows prompts."""
    token = _telling.set(_Telling(request_id=asked.request_id, words=prompts))
    try:
        yield
    finally:
        _telling.reset(token)


def ended(asked: Asked, *, status: int, units: int, images: int, notes: Notes, seconds: float) -> None:
    """The one line of a request."""
    parts = {name: round(value, 3) for name, value in {"total": seconds, **notes.seconds}.items()}
    line: dict[str, Any] = {
        "event": "request",
        "request_id": asked.request_id,
        "caller": asked.caller,
        "path": asked.path,
        "status": status,
        "units": units,
        "images": images,
        "undelivered": list(notes.undelivered),
        "seconds": parts,
        "batch": notes.batch,
    }
    if _telling.get(_NOTHING).words and notes.prompt is not None:
        line["prompt"] = notes.prompt
    _write(sys.stdout, line)


def failed(error: BaseException, *, event: str = "error", **about: Any) -> None:
    """A failure with its traceback: types and places of the exceptions that led to it, what it counts as, and the request's id."""
    now = _telling.get(_NOTHING)
    line = {"event": event, **about, "request_id": now.request_id, "counts_as": type(failure_of(error)).__name__}
    _write(sys.stderr, {**line, "traceback": "".join(_told(error, words=now.words))})


def told(event: str, **about: Any) -> None:
    """Anything else that happens to the runner; `about` is no caller's text."""
    _write(sys.stdout, {"event": event, **about})


def quiet_access_log() -> None:
    """Stop uvicorn's line a request: it repeats the path and query as the caller wrote them, and ours says the rest."""
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)


def _told(error: BaseException, *, words: bool) -> Iterator[str]:
    """The chain of exceptions, first cause first."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain and len(chain) < _DEEPEST:
        chain.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    for one in reversed(chain):
        yield from traceback.format_tb(one.__traceback__)
        yield f"{type(one).__module__}.{type(one).__qualname__}{_words(one) if words else _number(one)}\n"


def _words(error: BaseException) -> str:
    return f": {error}"


def _number(error: BaseException) -> str:
    """What the system calls an error of its own."""
    return f": {os.strerror(error.errno)}" if isinstance(error, OSError) and isinstance(error.errno, int) else ""


def _write(stream: TextIO, line: Mapping[str, Any]) -> None:
    stream.write(json.dumps(line) + "\n")  # one call, or lines of several threads mix
    stream.flush()
