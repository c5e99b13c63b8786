"""Prefect for a run from the command line: quiet, no telemetry, its own folder, and its own server where none is named."""

import atexit
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flows.errors import FlowError, PrefectAway
from flows.home import home
from flows.machines.compute import child_environment
from flows.orchestration import orchestrator, server_state
from flows.orchestration.prefect_api import LOOPBACK
from flows.store import locked

LEVELS = tuple(f"PREFECT_{name}_LEVEL" for name in ("LOGGING", "LOGGING_ROOT", "LOGGING_INTERNAL", "SERVER_LOGGING"))
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    **dict.fromkeys(LEVELS, "CRITICAL"),  # faults are told in one line by the command line; --debug has the traceback
}
BUSY_SECONDS = 30.0  # a server that has much to do answers late
START_SECONDS = 180.0  # on an idle machine it takes five
GRACE_SECONDS = 0.5


@contextmanager
def prefect_ready() -> Iterator[None]:
    """Set the environment before Prefect is imported.

    A server that PREFECT_API_URL names is used, else the one that `lorasmith server up` keeps, else one lives for this run.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if named := os.environ.get("PREFECT_API_URL"):
        require_somebody(named)
        with settings():
            yield
        return
    if (kept := server_state.running(home())) is not None:
        use(kept)  # with heartbeats: a run that is killed must not stay Running there
        yield
        return
    folder = home() / "prefect"
    folder.mkdir(exist_ok=True)
    os.environ.setdefault("PREFECT_HOME", str(folder))
    os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "2")  # a temporary server that is gone does not come back
    with settings(temporary_server()):
        yield


def use(kept: server_state.ServerState) -> None:
    """Take the environment of the server of this home; PrefectAway where it does not answer."""
    url = orchestrator.address(kept.port)
    if not server_state.answers(url, BUSY_SECONDS):
        raise PrefectAway(
            f"the Prefect server of this home (process {kept.pid}) does not answer on {url}: "
            "`lorasmith server down`, then `lorasmith server up`"
        )
    orchestrator.adopt(orchestrator.environment(os.environ, orchestrator.prefect_folder(home()), kept.port))


def require_somebody(url: str) -> None:
    """PrefectAway where nobody listens there, on this machine; Prefect itself would ask for most of a minute."""
    there = urlsplit(url)
    if there.hostname not in LOOPBACK:
        return
    try:
        socket.create_connection((there.hostname, there.port or 80), BUSY_SECONDS).close()
    except OSError as error:
        raise PrefectAway(
            f"no Prefect server answers on {url}, which PREFECT_API_URL names ({error.strerror or error}): start it, or unset that"
        ) from None


@contextmanager
def settings(url: str | None = None) -> Iterator[None]:
    """The server to talk to, and no heartbeat: its thread costs a second at the end of each run."""
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None} | ({PREFECT_API_URL: url} if url else {})):
        yield


def temporary_server() -> str:
    """The address of a Prefect server on loopback that ends after this process, however that ends.

    It has a session of its own, so that Ctrl-C does not reach it: the run still has to tell it how it ended. Prefect's own
    handlers at exit, which send the last events, run before the one that ends it, since they are registered later.
    """
    folder = home() / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    with locked(home() / "prefect" / "start.lock"):  # two that set up one database at the same moment would fail
        address, server = started(folder / "prefect.log")
        atexit.register(end, server)
        import prefect.flows  # noqa: F401  (while the server does so too)

        require_answer(f"{address}/health", folder / "prefect.log")
    return address


def started(log: Path) -> tuple[str, "subprocess.Popen[bytes]"]:
    """Address and process of a server that is about to answer; its socket is open already."""
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("ab") as output:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "flows.orchestration.reaper", str(GRACE_SECONDS)),
                *(sys.executable, "-m", "uvicorn", "--factory", f"{__name__}:temporary_app", "--log-level", "error"),
                *("--fd", str(listener.fileno())),
            ],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=dict(child_environment()) | dict.fromkeys(LEVELS, "ERROR"),
            pass_fds=(listener.fileno(),),
            start_new_session=True,
        )
        return f"http://127.0.0.1:{listener.getsockname()[1]}/api", server


def end(server: "subprocess.Popen[bytes]") -> None:
    """The reaper ends the server when its standard input closes."""
    assert server.stdin
    server.stdin.close()
    server.wait(GRACE_SECONDS + 15)


def require_answer(url: str, log: Path) -> None:
    """FlowError unless the server answers: until it is up the kernel keeps the request for it."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=START_SECONDS):
            return
    except OSError as error:
        said = " ".join(log.read_text(errors="replace").split("\n")[-2:]).strip()
        raise FlowError(
            f"Prefect's temporary server did not start ({said or error}): its output is in {log}; or start one that stays with "
            "`lorasmith server up`"
        ) from None


def temporary_app() -> Any:
    """What the temporary server runs: Prefect's API without its pages and services."""
    from prefect.server.api.server import create_app

    return create_app(ephemeral=True, final=True)
