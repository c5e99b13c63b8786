"""The daemon: `python -m serving.sandbox.server --home HOME [--port N]`; control.py starts it, nothing else needs to."""

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

RUN_FILE = "daemon.json"
LOCK_FILE = "daemon.lock"
GRPC_SOCKET = "run/grpc.sock"
LOCK_SECONDS = 2.0


def main() -> None:
    """Detaches, takes the lock, serves until SIGTERM; says on descriptor 1 whether it is ready, or in one line why not."""
    arguments = _arguments()
    folder = arguments.home / "sandbox"
    # The intermediate process ends at once, so that the daemon is no one's child and leaves no zombie.
    if os.fork():
        os._exit(0)
    os.setsid()
    os.umask(0o077)
    os.chdir(folder)  # paths of unix sockets are relative to it: they may not exceed 107 bytes
    with _locked(folder / LOCK_FILE) as alone:
        if not alone:
            _say({"error": f"a sandbox is running already in {folder}"})
            return
        try:
            asyncio.run(_serve(folder, arguments))
        except ValueError as error:
            _say({"error": str(error)})
            os._exit(5)
        except sqlite3.DatabaseError as error:
            _say({"error": f"{folder / 'state.db'}: {error}; free its disk, or move the file away to start with an empty one"})
            os._exit(5)
        os._exit(0)  # the lock ends with the process, not before: whoever sees it free finds nobody


def hosts(address: str) -> dict[str, str]:
    """Where the SDK and the client find the platform."""
    return {
        "FAL_GRPC_HOST": address,
        "FAL_REST_HOST": address,
        "FAL_RUN_HOST": address,
        "FAL_QUEUE_RUN_HOST": f"{address}/queue",
        "FAL_WS_RUN_HOST": address,
        "LORASMITH_FAL_API_HOST": address,
    }


async def _serve(folder: Path, arguments: argparse.Namespace) -> None:
    from .platform import Platform

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    instance = uuid.uuid4().hex
    settings = {"shared_enabled": arguments.shared, "environments": arguments.environments}
    platform = Platform(folder, instance=instance, record=arguments.record, **settings)
    try:
        actual = await platform.open(arguments.port)
        run = {"pid": os.getpid(), "port": actual, "instance": instance, **settings}
        _write_json(folder / RUN_FILE, run)
        _say(run)
        _to_log(folder / "logs" / "sandbox.log")
        await stop.wait()
    finally:
        await platform.close()
        (folder / RUN_FILE).unlink(missing_ok=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="serving.sandbox.server", description="A fal-compatible platform on 127.0.0.1.")
    parser.add_argument("--home", type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0: any free one")
    parser.add_argument("--no-shared", dest="shared", action="store_false", help="refuse auth mode 'shared', as for a new account")
    parser.add_argument("--environments", choices=("local", "virtualenv"), default="local", help="what apps run in")
    parser.add_argument("--record", type=lambda text: Path(text).resolve(), help="append here what clients send, without values")
    return parser.parse_args()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Whether this process holds the lock; the kernel gives it back however the process ends."""
    with path.open("w") as file:
        alone = _taken(file)
        if alone:
            (path.parent / RUN_FILE).unlink(missing_ok=True)
        yield alone


def _taken(file: IO[str]) -> bool:
    """Whether the lock was to be had, within a moment: whoever looks whether somebody holds it has a share of it meanwhile."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)


def _say(message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(message).encode() + b"\n")


def _to_log(path: Path) -> None:
    """From here on both outputs go to the log: the starter's pipe is closed, so that it sees the end."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content))
    os.replace(temporary, path)


if __name__ == "__main__":
    main()
