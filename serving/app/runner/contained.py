"""Nothing that one request does ends the runner: SystemExit and its like, which end an event loop, become errors like others."""

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class Ended(Exception):
    """Work on a request ended with what ends processes."""


async def contained(work: Awaitable[T]) -> T:
    """The result of `work`. Raises Ended for SystemExit and KeyboardInterrupt; cancellations pass through."""
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:
        raise Ended from error


def contained_call(function: Callable[P, T]) -> Callable[P, T]:
    """The same for a function that runs in a thread: its future would carry SystemExit into the event loop."""

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (SystemExit, KeyboardInterrupt) as error:
            raise Ended from error

    return call
