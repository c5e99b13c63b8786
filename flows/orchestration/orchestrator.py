"""The one environment of Prefect's server, its workers and the flows that they run: a function of a folder and a port.

Whoever starts one of them takes it from here, so that none runs with defaults that lose work (docs/operations.md has the list).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).resolve().parents[2]
HOST: Final = "127.0.0.1"
POOLS: Final = ("gpu", "cpu")
HEARTBEAT_SECONDS: Final = 30  # the least that Prefect takes
AUTH, SERVER_AUTH = "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"
BYPASS: Final = ("NO_PROXY", "no_proxy")
# What a shell may carry that would undo the settings below: another profile, a pool that deployments silently move to.
DROPPED: Final = ("PREFECT_PROFILE", "PREFECT_PROFILES_PATH", "PREFECT_DEFAULT_WORK_POOL_NAME", "PREFECT_API_KEY")
DROPPED_PREFIXES: Final = ("PREFECT__", "PREFECT_DEPLOYMENTS_DEFAULT_")


def environment(base: Mapping[str, str], folder: Path, port: int) -> dict[str, str]:
    """All of `base`, less what would undo our settings, and the settings for a server on `port` that keeps its state in `folder`.

    A user:password in PREFECT_SERVER_API_AUTH_STRING (or PREFECT_API_AUTH_STRING) of `base` is what the server then asks for.
    """
    kept = {name: value for name, value in base.items() if name not in DROPPED and not name.startswith(DROPPED_PREFIXES)}
    bypass = joined(",", *(base.get(name, "") for name in BYPASS), HOST, "localhost")
    code = joined(os.pathsep, str(SOURCE), base.get("PYTHONPATH", ""))
    auth = base.get(SERVER_AUTH) or base.get(AUTH)
    return (
        kept
        | settings(folder, port)
        | dict.fromkeys(BYPASS, bypass)
        | {"LORASMITH_SOURCE": str(SOURCE), "PYTHONPATH": code, "PYTHONUNBUFFERED": "1"}
        | (dict.fromkeys((AUTH, SERVER_AUTH), auth) if auth else {})
    )


def adopt(made: Mapping[str, str]) -> None:
    """Make it the environment of this process; before Prefect is imported."""
    for name in os.environ.keys() - made.keys():
        del os.environ[name]
    os.environ.update(made)


def settings(folder: Path, port: int) -> dict[str, str]:
    """Prefect's settings, as the names of environment variables."""
    return {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": address(port),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",  # a forgotten address ends in an error, not in a server for one run
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # Leases on disk, in PREFECT_HOME/concurrency_leases: in memory they are gone with the server, and their slots with them.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P90D",
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(folder / "storage"),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_WORKER_WEBSERVER_HOST": HOST,
        "PREFECT_RUNNER_SERVER_HOST": HOST,
        # After an outage a worker asks for cancellations, this often; one that can not even do that ends its runs.
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        "PREFECT_RUNNER_CRASH_ON_CANCELLATION_FAILURE": "true",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,training,serving,licenses",
    }


def joined(separator: str, *lists: str) -> str:
    """What the lists name, once each."""
    return separator.join(dict.fromkeys(name for one in lists for name in one.split(separator) if name))


def address(port: int) -> str:
    """Where a server on a port of this machine answers."""
    return f"http://{HOST}:{port}/api"


def prefect_folder(home: Path) -> Path:
    """Where the server of a home keeps its database, its leases and its state file."""
    return home / "prefect"
