"""The only process of a release that loads the fal SDK: one JSON request a line on stdin, one JSON reply a line on a descriptor.

Run by path as `python -P worker.py FD`, with exactly the environment of the target and, for a deploy, the package as working
directory. It imports nothing of ours, so that it runs wherever the package lies. Standard output and error belong to the SDK and
are a log; nothing is read back from them. When its stdin ends (the process that asked is gone) it ends at once, also in mid-work.

Replies: {"value": ...} or {"error": {"kind": "key|shared|deploy|timeout|unreachable|missing|fault", "text": ..., "tail": [...]}}
"""

from __future__ import annotations

import base64
import functools
import json
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

TAIL_LINES = 80  # a failed setup() is followed by half as many lines of a server that stops
# The client's default of 10 attempts waits most of a minute for a platform that is not there.
CLIENT_ATTEMPTS = 5
FETCH_LIMIT = 64 * 1024 * 1024
NOBODY = "00000000-0000-0000-0000-000000000000:not-a-key"


def main(reply_fd: int) -> None:
    """Answer requests until stdin ends; a request that fails is answered with its error, never with a dead process."""
    requests = _requests()
    with os.fdopen(reply_fd, "w", encoding="utf-8") as replies:
        while (request := requests.get()) is not None:
            replies.write(json.dumps(_answer(request)) + "\n")
            replies.flush()


def whoami() -> dict[str, Any]:
    """{"user_id", "nickname"} of the account that owns FAL_KEY."""
    import fal.flags
    import httpx
    from fal.sdk import get_credentials

    response = httpx.get(
        f"{fal.flags.REST_URL}/users/current", headers=get_credentials().to_headers(), timeout=30, follow_redirects=True
    )
    response.raise_for_status()
    user = response.json()
    return {"user_id": user["user_id"], "nickname": user["nickname"]}


def deploy(app: str, environment: str | None) -> dict[str, Any]:
    """Deploy `[tool.fal.apps.<app>]` of the working directory and wait until its runner is healthy (rolling) or has failed."""
    from fal.api import SyncServerlessClient

    log = _deploy_log()
    try:
        client = SyncServerlessClient()
        if environment is not None:
            _ensure_environment(client, environment)
        result = client.deploy(
            app, environment_name=environment, attach_to_deployment=True, result_handler=log, build_result_handler=log
        )
    except Exception as error:
        raise DeployRefused(tuple(log.tail)) from error
    return {
        "revision": result.revision,
        "urls": {
            name: _root(result.urls[kind]) for name, kind in (("playground", "playground"), ("run", "sync"), ("queue", "async"))
        },
        "auth_mode": result.auth_mode,
        "log_url": result.log_url,
    }


def alias(app: str, environment: str | None) -> dict[str, Any] | None:
    """{"revision", "auth_mode", "urls"} of what the app's name points to in an environment, or None when there is nothing."""
    import grpc
    from fal.sdk import deconstruct_alias

    try:
        with _connection() as connection:
            found = connection.list_aliases(environment_name=environment)
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.NOT_FOUND:
            return None
        raise
    for info in found:
        if deconstruct_alias(info.alias, environment) == app:
            return {"revision": info.revision, "auth_mode": info.auth_mode, "urls": _urls(app, environment)}
    return None


def set_revision(app: str, revision: str, environment: str | None) -> None:
    """Point the app's name at a revision, rolling: the platform moves it when that revision's runner is healthy."""
    with _connection() as connection:
        connection.create_alias(app, revision, None, environment_name=environment, deployment_strategy="rolling")


def call(
    app: str, arguments: dict[str, Any], environment: str | None, path: str, key: str | None, caller_key: str | None, seconds: float
) -> dict[str, Any]:
    """One request through the queue, as a customer makes it; a refusal (4xx, 5xx) is an answer like any other."""
    import fal_client
    import fal_client.client
    from fal.sdk import construct_alias

    fal_client.client.MAX_ATTEMPTS = CLIENT_ATTEMPTS
    endpoint = f"{_owner()}/{construct_alias(app, environment)}"
    client = fal_client.SyncClient(key=_key(key, caller_key))
    responses: list[Any] = []
    started = time.monotonic()
    with client._client as http:
        if key is None:
            del http.headers["Authorization"]
        # The units header is not in the client's result; the last response of the exchange is the one that carries it.
        http.event_hooks["response"].append(responses.append)
        ids: list[str] = []
        try:
            body = client.subscribe(endpoint, arguments, path=path, client_timeout=seconds, on_enqueue=ids.append)
        except fal_client.client.FalClientHTTPError as error:
            body = _json_body(error.response)
        taken = time.monotonic() - started
    last = responses[-1]
    return {
        "status": last.status_code,
        "units": last.headers.get("x-fal-billable-units"),
        "body": body if isinstance(body, dict) else {"value": body},
        "seconds": taken,
        "request_id": ids[0] if ids else last.headers.get("x-fal-request-id"),
    }


def fetch(url: str) -> str:
    """Base64 of a file that the platform stored (https, trusted by the target's certificates only)."""
    import httpx

    with httpx.stream("GET", url, timeout=60, follow_redirects=False) as response:
        if response.status_code != 200:
            raise ValueError(f"{url} was answered {response.status_code}")
        data = b""
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > FETCH_LIMIT:
                raise ValueError(f"{url} is larger than {FETCH_LIMIT} bytes")
    return base64.b64encode(data).decode()


class DeployRefused(Exception):
    """A deploy that did not end well (the cause says why) with the last lines of its log."""

    def __init__(self, tail: tuple[str, ...]) -> None:
        super().__init__(tail)
        self.tail = tail


VERBS: dict[str, Callable[..., Any]] = {verb.__name__: verb for verb in (whoami, deploy, alias, set_revision, call, fetch)}


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


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    verb = VERBS[request.pop("verb")]
    try:
        return {"value": verb(**request)}
    except Exception as error:
        import traceback

        traceback.print_exc()  # to the log; the reply holds what a person needs
        return {"error": _explain(error)}


def _explain(error: BaseException) -> dict[str, Any]:
    tail = list(error.tail) if isinstance(error, DeployRefused) else []
    chain = list(_causes(error))
    deploying = isinstance(error, DeployRefused)
    kind = next((kind for kind in map(_kind, chain) if kind), None)
    said = (str(one).strip() for one in chain if not isinstance(one, DeployRefused))
    text = next(filter(None, said), repr(chain[-1])).splitlines()[0]
    if deploying and kind in (None, "missing"):
        kind = "shared" if "shared" in text.lower() else "deploy"
    return {"kind": kind or "fault", "text": " ".join(text.split()), "tail": tail}


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


def _deploy_log() -> Any:
    from fal.api import ResultHandler

    class DeployLog(ResultHandler):  # type: ignore[misc]  # the SDK is untyped here
        """Forwards the platform's log to stdout and remembers its end, the app's own lines before the builder's."""

        def __init__(self) -> None:
            self.lines: deque[tuple[bool, str]] = deque(maxlen=TAIL_LINES * 4)

        def on_log(self, log: Any) -> None:
            text = str(log.message).rstrip()
            print(text, flush=True)
            users = str(getattr(log.source, "name", log.source)).upper() == "USER"
            self.lines.extend((users, line) for line in text.splitlines() if line.strip())

        @property
        def tail(self) -> list[str]:
            own = [line for users, line in self.lines if users]
            return (own or [line for _, line in self.lines])[-TAIL_LINES:]

    return DeployLog()


def _ensure_environment(client: Any, name: str) -> None:
    if name not in {environment.name for environment in client.environments.list()}:
        client.environments.create(name, description="lorasmith: releases under test before they go live")


def _connection() -> Any:
    from fal.flags import GRPC_HOST
    from fal.sdk import FalServerlessClient, get_credentials

    return FalServerlessClient(GRPC_HOST, get_credentials()).connect()


@functools.cache
def _owner() -> str:
    return str(whoami()["nickname"])


def _key(key: str | None, caller_key: str | None) -> str:
    keys = {"owner": os.environ["FAL_KEY"], "caller": caller_key, "wrong": NOBODY, None: NOBODY}
    chosen = keys[key]
    if chosen is None:
        raise ValueError("this target has no second caller's key")
    return chosen


def _urls(app: str, environment: str | None) -> dict[str, str]:
    """URLs of an app that is deployed already; only a deploy is told them by the platform, so these follow its pattern."""
    from fal.flags import FAL_QUEUE_RUN_HOST, FAL_RUN_HOST
    from fal.sdk import construct_alias

    place = f"{_owner()}/{construct_alias(app, environment)}"
    site = "fal.ai" if FAL_RUN_HOST == "fal.run" else FAL_RUN_HOST
    return {
        "playground": f"https://{site}/models/{place}",
        "run": f"https://{FAL_RUN_HOST}/{place}",
        "queue": f"https://{FAL_QUEUE_RUN_HOST}/{place}",
    }


def _root(urls: dict[str, str]) -> str:
    """URL of the app itself, from the URLs of its endpoints."""
    path, url = min(urls.items(), key=lambda item: len(item[0]))
    return url.removesuffix(path).rstrip("/")


def _json_body(response: Any) -> Any:
    try:
        return response.json()
    except ValueError:
        return {"detail": response.text}


if __name__ == "__main__":
    main(int(sys.argv[1]))
