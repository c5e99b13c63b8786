"""Where Prefect's server does not answer: a run goes on without its views, and crashes, not fails, where it can not go on.

A run that crashed is scheduled again by `lorasmith server up`; one that failed would be over, though nothing was wrong with it.
"""

import os
from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar, cast

import httpx
from prefect.states import Crashed

from flows.progress import say

WORKERS_RUN: Final = "PREFECT__FLOW_RUN_ID"  # in the environment of a process that a worker started

Given = ParamSpec("Given")
Made = TypeVar("Made")


def view(show: Callable[Given, None]) -> Callable[Given, None]:
    """Of something that only Prefect's pages show."""

    @wraps(show)
    def shown(*arguments: Given.args, **named: Given.kwargs) -> None:
        try:
            show(*arguments, **named)
        except httpx.HTTPError as error:
            what = named.get("key") or show.__name__.replace("_", " ")
            say(f"! {what} is not in Prefect's pages: {told(error)}")

    return shown


def crashing(body: Callable[Given, Made]) -> Callable[Given, Made]:
    """The body of a flow. Only runs that a worker started crash: of others a person reads the error."""

    @wraps(body)
    def run(*arguments: Given.args, **named: Given.kwargs) -> Made:
        try:
            return body(*arguments, **named)
        except httpx.HTTPError as error:
            if WORKERS_RUN not in os.environ or not is_servers(error):
                raise
            return cast("Made", Crashed(message=f"Prefect's server was away ({told(error)}); what is done is found"))

    return run


def is_servers(error: httpx.HTTPError) -> bool:
    """Whether it was Prefect's server that was asked."""
    try:
        return str(error.request.url).startswith(os.environ.get("PREFECT_API_URL") or "none")
    except RuntimeError:  # the error knows no request
        return False


def told(error: httpx.HTTPError) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
