"""First code of a runner: ties its life to the sandbox, keeps its servers off the network, then hands over to isolate's agent.

Run as a script with the path of a JSON file; it imports nothing of ours, so that an app sees only what its runner would have.
The agent is asked for `sandbox_bootstrap:serve` or `:call`: the app's own callable, with the staged files first on sys.path.
"""

import ctypes
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

MODULE = "sandbox_bootstrap"
APP_PORT, METRICS_PORT = 8080, 9090
PR_SET_PDEATHSIG = 1

job: dict[str, Any] = {}
servers: list[Any] = []


def serve() -> Any:
    """Run the app until it is told to stop; a coroutine where the callable was pickled."""
    return _callable()(exposed_port=APP_PORT, exposed_metrics_port=METRICS_PORT)


def call() -> Any:
    """Run the callable once, with the arguments it brought."""
    return _callable()()


def main() -> None:
    job.update(json.loads(Path(sys.argv[1]).read_text()))
    _die_with(job["parent"])
    sys.modules[MODULE] = sys.modules["__main__"]
    signal.signal(signal.SIGTERM, _stop)
    _keep_agent_private()
    _keep_servers_private()
    from isolate.connections._local import agent_startup
    from isolate.connections.grpc import agent

    sys.argv = [agent_startup.__file__, str(agent.__file__), f"unix:{job['agent_socket']}", "--log-fd", str(job["log_fd"])]
    agent_startup.main()


def _callable() -> Any:
    os.chdir(job["stage"])
    sys.path.insert(0, job["stage"])
    if job["pickle"]:
        return importlib.import_module("cloudpickle").loads(Path(job["pickle"]).read_bytes())
    module, _, attribute = job["entrypoint"].partition(":")
    target: Any = importlib.import_module(module)
    for part in attribute.split("."):
        target = getattr(target, part)
    return target


def _die_with(parent: int) -> None:
    """The kernel kills this process when the sandbox ends, however it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _keep_agent_private() -> None:
    """The agent runs any pickle it is sent: it gets a socket in a private folder, as any user of the machine reaches a port."""
    import grpc

    local_credentials = grpc.local_server_credentials
    grpc.local_server_credentials = lambda *_: local_credentials(grpc.LocalConnectionType.UDS)


def _keep_servers_private() -> None:
    """The SDK serves on 0.0.0.0; here the app gets a socket of its runner, and its metrics a free port of the loopback."""
    try:
        import uvicorn
    except ModuleNotFoundError:  # not among the app's own packages: it can be asked, not serve
        return
    configure, construct = uvicorn.Config.__init__, uvicorn.Server.__init__

    def configure_private(self: Any, *args: Any, **kwargs: Any) -> None:
        if kwargs.pop("port", None) == APP_PORT:
            kwargs["fd"] = job["app_fd"]
        else:
            kwargs["port"] = 0
        configure(self, *args, **(kwargs | {"host": "127.0.0.1"}))

    def construct_recorded(self: Any, *args: Any, **kwargs: Any) -> None:
        construct(self, *args, **kwargs)
        servers.append(self)

    uvicorn.Config.__init__ = configure_private  # type: ignore[method-assign]
    uvicorn.Server.__init__ = construct_recorded  # type: ignore[method-assign]


def _stop(number: int, frame: Any) -> None:
    """Ask the servers to finish, so that teardown() runs; a second signal, or one before there is a server, ends the process."""
    waiting = [server for server in servers if not server.should_exit]
    if not waiting:
        os._exit(128 + number)
    for server in waiting:
        server.handle_exit(number, frame)


if __name__ == "__main__":
    main()
