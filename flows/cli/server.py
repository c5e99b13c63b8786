"""Prefect's settings for a run from the command line: quiet, no telemetry, its own folder, its own server where none is named."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from flows.home import home

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",  # faults are told in one line by the command line; --debug has the traceback
    "PREFECT_LOGGING_ROOT_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}


@contextmanager
def prefect_ready() -> Iterator[None]:
    """Set the environment before Prefect is imported. A server that PREFECT_API_URL names is used, else one lives for this run."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if not os.environ.get("PREFECT_API_URL"):
        folder = home() / "prefect"
        folder.mkdir(exist_ok=True)
        os.environ.setdefault("PREFECT_HOME", str(folder))
        os.environ["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "true"
        os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "60")
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):  # its thread costs a second at the end of each run
        yield
