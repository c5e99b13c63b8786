"""What the worker can do, one function a verb: each asks the platform through the fal SDK or its REST API and gives JSON back.

Loaded by path into worker.py, which runs beside no package of ours: nothing of ours is imported here. `environment` None is main.
"""

from __future__ import annotations

import base64
import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

# The client's default of 10 attempts waits most of a minute for a platform that is not there.
CLIENT_ATTEMPTS = 5
FETCH_LIMIT = 64 * 1024 * 1024
NOBODY = "00000000-0000-0000-0000-000000000000:not-a-key"
API_HOST = "api.fal.ai"
PAGE = 100  # requests a page, the most that the API gives
MAIN = "main"


def whoami() -> dict[str, Any]:
    """{"user_id", "nickname"} of the account that owns FAL_KEY."""
    user = _current_user().json()
    return {"user_id": user["user_id"], "nickname": user["nickname"]}


def clock() -> float | None:
    """The platform's clock in Unix seconds, to the second; None where its answers do not say."""
    from email.utils import parsedate_to_datetime

    said = _current_user().headers.get("date")
    return parsedate_to_datetime(said).timestamp() if said else None


def alias(app: str, environment: str | None) -> dict[str, Any] | None:
    """{"revision", "auth_mode", "urls"} of what the app's name points to in an environment, or None when there is nothing."""
    return apps(environment).get(app)


def apps(environment: str | None) -> dict[str, dict[str, Any]]:
    """alias() of every app in an environment, by the app's name; empty where there is no such environment."""
    from fal.sdk import deconstruct_alias

    found: list[Any] = []
    with _absence_is_fine(), _connection() as connection:
        found = connection.list_aliases(environment_name=environment)
    here = [info for info in found if (info.environment_name or MAIN) == (environment or MAIN)]
    named = {deconstruct_alias(info.alias, environment): info for info in here}
    return {
        name: {"revision": info.revision, "auth_mode": info.auth_mode, "urls": _urls(name, environment)}
        for name, info in named.items()
    }


def revisions(app: str, environment: str | None) -> list[dict[str, Any]]:
    """{"revision", "created_at" (Unix seconds), "runners"} of all that was deployed under the name, newest first."""
    found: list[Any] = []
    with _absence_is_fine(), _connection() as connection:
        found = connection.list_applications(app, environment_name=environment)
    rows = [
        {"revision": info.application_id, "created_at": info.created_at.timestamp(), "runners": info.active_runners}
        for info in found
    ]
    return sorted(rows, key=lambda row: row["created_at"], reverse=True)


def set_revision(app: str, revision: str, environment: str | None) -> None:
    """Point the app's name at a revision, rolling: the platform moves it when that revision's runner is healthy."""
    with _connection() as connection:
        connection.create_alias(app, revision, None, environment_name=environment, deployment_strategy="rolling")


def set_auth(app: str, mode: str, environment: str | None) -> None:
    """Let others in (shared, public) or out (private); the revision stays."""
    found = alias(app, environment)
    if found is None:
        raise ValueError(f"there is no app {app!r} in {environment or MAIN}")
    with _connection() as connection:
        connection.create_alias(app, found["revision"], mode, environment_name=environment)


def delete(app: str, environment: str | None) -> None:
    """Take the app's name away: it answers no more. Its revisions stay. Nothing happens where there is none."""
    with _absence_is_fine(), _connection() as connection:
        connection.delete_alias(app, environment_name=environment)


def delete_revision(revision: str) -> None:
    """Forget a revision that no name points to; nothing happens where it is gone already."""
    with _absence_is_fine(), _connection() as connection:
        connection.delete_application(revision)


def environments() -> list[str]:
    """Names of the account's environments beside main."""
    with _connection() as connection:
        return [found.name for found in connection.list_environments() if found.name != MAIN]


def delete_environment(name: str) -> None:
    """Take an environment away with the apps in it; nothing happens where it is gone already."""
    with _absence_is_fine(), _connection() as connection:
        connection.delete_environment(name)


def secrets(environment: str | None) -> list[str]:
    """Names of the account's secrets in an environment; no value is asked for, none would be told."""
    names: list[str] = []
    with _absence_is_fine(), _connection() as connection:
        names = [secret.name for secret in connection.list_secrets(environment_name=environment)]
    return sorted(names)


def requests(app: str, environment: str | None, since: float) -> list[dict[str, Any]]:
    """{"request_id", "status", "seconds", "units", "ended_at"} of the app's requests since a moment (Unix seconds), newest first.

    units: None while the platform has not billed the request. GET /v1/serverless/requests/by-endpoint of fal's platform API.
    """
    import httpx
    from fal.sdk import construct_alias, get_credentials

    url = f"https://{os.environ.get('LORASMITH_FAL_API_HOST', API_HOST)}/v1/serverless/requests/by-endpoint"
    start = datetime.fromtimestamp(since, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    query: dict[str, str | int] = {
        "endpoint_id": f"{_owner()}/{construct_alias(app, environment)}",
        "start": start,
        "expand": "billing",
        "limit": PAGE,
    }
    found: list[dict[str, Any]] = []
    with httpx.Client(headers=get_credentials().to_headers(), timeout=30) as http:
        while True:
            answer = http.get(url, params=query)
            if answer.status_code == 404:
                return found  # an app that is not there has no requests
            page = answer.raise_for_status().json()
            found += [_seen(item) for item in page["items"]]
            if not page.get("has_more") or not page.get("next_cursor"):
                return found
            query["cursor"] = page["next_cursor"]


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


VERBS: dict[str, Callable[..., Any]] = {
    verb.__name__: verb
    for verb in (
        *(whoami, clock, alias, apps, revisions, set_revision, set_auth, delete, delete_revision),
        *(environments, delete_environment, secrets, requests, call, fetch),
    )
}


@contextmanager
def _absence_is_fine() -> Iterator[None]:
    """What is not there need not be taken away, and an environment that is not there holds nothing."""
    import grpc

    try:
        yield
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise


def _connection() -> Any:
    from fal.flags import GRPC_HOST
    from fal.sdk import FalServerlessClient, get_credentials

    return FalServerlessClient(GRPC_HOST, get_credentials()).connect()


def _current_user() -> Any:
    import fal.flags
    import httpx
    from fal.sdk import get_credentials

    headers = get_credentials().to_headers()
    response = httpx.get(f"{fal.flags.REST_URL}/users/current", headers=headers, timeout=30, follow_redirects=True)
    return response.raise_for_status()


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


def _seen(item: dict[str, Any]) -> dict[str, Any]:
    units = item.get("billable_units")
    return {
        "request_id": item["request_id"],
        "status": item["status_code"],
        "seconds": item["duration"],
        "units": None if units is None else float(units),
        "ended_at": datetime.fromisoformat(item["ended_at"]).timestamp(),
    }


def _json_body(response: Any) -> Any:
    try:
        return response.json()
    except ValueError:
        return {"detail": response.text}
