"""The only process of a release that loads the fal SDK: one JSON request a line on stdin, one JSON reply a line on a descriptor.

Run by path as `python -P worker.py FD`, with exactly the environment of the target and, for a deploy, the package as working
directory. It imports nothing of ours but the files of verbs beside it, by their path, so that it runs wherever the package
lies. Standard output and error belong to the SDK and are a log; nothing is read back from them. When its stdin ends (the process
that asked is gone) it ends at once, also in mid-work.

Replies: {"value": ...} or {"error": {"kind": "key|shared|deploy|timeout|unreachable|missing|fault", "text": ..., "tail": [...]}}
"""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main(reply_fd: int) -> None:
    """Answer requests until stdin ends; a request that fails is answered with its error, never with a dead process."""
    requests = _requests()
    with os.fdopen(reply_fd, "w", encoding="utf-8") as replies, _threads_of_grpc():
        while (request := requests.get()) is not None:
            replies.write(json.dumps(_answer(request)) + "\n")
            replies.flush()


def _loaded(name: str) -> Any:
    """A module beside this file; its folder stays off the path, since other names in it would shadow modules of the SDK."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


deploying = _loaded("worker_deploy")
VERBS = deploying.VERBS | _loaded("worker_verbs").VERBS | _loaded("worker_books").VERBS | _loaded("worker_remote").VERBS


def _requests() -> queue.SimpleQueue[dict[str, Any] | None]:
    """Requests as they arrive; the SDK gets an empty stdin of its own, so that it can neither prompt nor eat a request."""
    private = os.fdopen(os.dup(0), "r", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    arrived: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def read() -> None:
        for line in private:
            arrived.put(json.loads(line))
        # Nobody waits for an answer any more: a deploy that goes on unseen would race with the run that comes after it.
        os._exit(0)

    threading.Thread(target=read, name="requests", daemon=True).start()
    return arrived


def _threads_of_grpc() -> Any:
    """A channel to nowhere that never connects: as long as one is open, gRPC keeps its threads.

    The SDK opens and closes a channel for each question. Closing the last one waits for these threads while it holds Python's
    lock, and a thread that just then drops the credentials of the question waits for that lock: about one in ten thousand closes
    hung for ever (grpcio 1.85.1, github.com/grpc/grpc/pull/42247).
    """
    import grpc

    return grpc.insecure_channel("127.0.0.1:0")


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    verb = VERBS[request.pop("verb")]
    try:
        return {"value": verb(**request)}
    except Exception as error:
        import traceback

        traceback.print_exc()  # to the log; the reply holds what a person needs
        return {"error": _explain(error)}


def _explain(error: BaseException) -> dict[str, Any]:
    tail = list(error.tail) if isinstance(error, deploying.DeployRefused) else []
    chain = list(_causes(error))
    refused = isinstance(error, deploying.DeployRefused)
    kind = next((kind for kind in map(_kind, chain) if kind), None)
    said = (_said(one) for one in chain if not isinstance(one, deploying.DeployRefused))
    text = next(filter(None, said), repr(chain[-1])).splitlines()[0]
    if refused and kind in (None, "missing"):
        kind = "shared" if "shared" in text.lower() else "deploy"
    return {"kind": kind or "fault", "text": " ".join(text.split()), "tail": tail}


def _said(error: BaseException) -> str:
    """Its own words; of a gRPC error those of the platform, since as a string it is a table that begins with its class."""
    import grpc

    details = error.details() if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call) else None
    return (details or str(error)).strip()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _kind(error: BaseException) -> str | None:
    """What one link of the chain means, read from its type and status code; only shared mode needs its words."""
    import grpc
    import httpx
    from fal_client.client import FalClientTimeoutError

    if isinstance(error, grpc.RpcError):
        code = error.code()
        if code == grpc.StatusCode.PERMISSION_DENIED and "shared" in (error.details() or "").lower():
            return "shared"
        return {
            grpc.StatusCode.UNAUTHENTICATED: "key",
            grpc.StatusCode.PERMISSION_DENIED: "key",
            grpc.StatusCode.UNAVAILABLE: "unreachable",
            grpc.StatusCode.DEADLINE_EXCEEDED: "timeout",
            grpc.StatusCode.NOT_FOUND: "missing",
        }.get(code)
    if isinstance(error, httpx.HTTPStatusError):
        return "key" if error.response.status_code in (401, 403) else None
    if isinstance(error, httpx.TimeoutException | FalClientTimeoutError):
        return "timeout"
    return "unreachable" if isinstance(error, httpx.TransportError) else None


if __name__ == "__main__":
    main(int(sys.argv[1]))
