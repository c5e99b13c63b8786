"""What the worker can do with the account's files and with the queue, one function a verb; loaded beside worker_verbs.py.

Paths on the platform are below /data, which the account's runners share and nobody else reads. Nothing of ours is imported here.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Callable
from datetime import datetime
from typing import Any

QUEUE_ATTEMPTS = 3  # of one exchange; who asks comes back after a while
LOGS_KEPT = 400  # lines of a look


def file_size(path: str) -> int | None:
    """Bytes of a file below /data, None where there is none."""
    entries = _files()._ls(posixpath.dirname(path))
    return next((int(entry["size"]) for entry in entries if entry["name"] == path and entry["type"] == "file"), None)


def folders(path: str) -> list[dict[str, Any]]:
    """{"name", "bytes", "changed" (Unix seconds, None where it is not told)} of each folder in a folder of /data."""
    return [{"name": posixpath.basename(entry["path"]), **_content(entry)} for entry in _listed(path) if not entry["is_file"]]


def send_file(local: str, path: str) -> None:
    """Upload a file of this machine, in parts where it is large."""
    _files().put_file(local, path)


def fetch_file(path: str, local: str, limit: int) -> dict[str, Any]:
    """Download into the file `local`, which must not be there; {"sha256", "size"} of what came. ValueError beyond `limit` bytes."""
    digest, size = hashlib.sha256(), 0
    with _files()._client.stream("GET", f"/files/file/{path}") as response:
        response.raise_for_status()
        with open(local, "xb") as target:
            for chunk in response.iter_bytes(1 << 20):
                size += len(chunk)
                if size > limit:
                    raise ValueError(f"{path} is larger than the {limit} bytes that were promised")
                digest.update(chunk)
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
    return {"sha256": digest.hexdigest(), "size": size}


def remove_file(path: str) -> None:
    """A file or a folder with all that is in it; what is not there need not be removed."""
    response = _files()._client.request("DELETE", f"/files/file/{path}")
    if response.status_code != 404:
        response.raise_for_status()


def submit(endpoint: str, arguments: dict[str, Any]) -> str:
    """Put a request into an app's queue (`endpoint`: owner/app); its id. The platform keeps no copy of question and answer."""
    handle = _queue().submit(endpoint, arguments, headers={"X-Fal-Store-IO": "0"})
    return str(handle.request_id)


def look(endpoint: str, request_id: str) -> dict[str, Any] | None:
    """Where a request is: {"status", "position", "lines", "seconds", "error", "error_type"}; None where the queue knows none."""
    import httpx

    response = _exchange("GET", endpoint, request_id, "/status?logs=1")
    if response.status_code == 404:
        return None
    if response.status_code >= 500 or response.status_code == 429:  # the queue is out of order for a while; the request is not
        raise httpx.TransportError(f"the queue answered {response.status_code}")
    said = response.raise_for_status().json()
    lines = [str(line.get("message", "")) for line in said.get("logs") or []]
    return {
        "status": str(said["status"]),
        "position": said.get("queue_position"),
        "lines": lines[-LOGS_KEPT:],
        "seconds": (said.get("metrics") or {}).get("inference_time"),
        "error": said.get("error"),
        "error_type": said.get("error_type"),
    }


def answer(endpoint: str, request_id: str) -> dict[str, Any]:
    """{"status", "body"} of a request that is done; a refusal (4xx, 5xx) is an answer like any other."""
    response = _exchange("GET", endpoint, request_id, "")
    try:
        body = response.json()
    except ValueError:
        body = {"detail": response.text[:500]}
    return {"status": response.status_code, "body": body if isinstance(body, dict) else {"value": body}}


def cancel(endpoint: str, request_id: str) -> None:
    """Take a request back; nothing happens where it is done or gone."""
    response = _exchange("PUT", endpoint, request_id, "/cancel")
    if response.status_code not in (400, 404):
        response.raise_for_status()


def _content(folder: dict[str, Any]) -> dict[str, Any]:
    """Bytes and newest change of a folder and of all that is in it."""
    inside = [_file(entry) if entry["is_file"] else _content(entry) for entry in _listed(folder["path"])]
    changes = [_moment(folder["updated_time"]), *(one["changed"] for one in inside)]
    return {"bytes": sum(one["bytes"] for one in inside), "changed": None if None in changes else max(changes)}


def _file(entry: dict[str, Any]) -> dict[str, Any]:
    return {"bytes": int(entry["size"]), "changed": _moment(entry["updated_time"])}


def _listed(path: str) -> list[dict[str, Any]]:
    """The entries of a folder; of one that is not there none."""
    response = _files()._client.request("GET", f"/files/list/{path}")
    return [] if response.status_code == 404 else response.raise_for_status().json()


def _moment(told: Any) -> float | None:
    try:
        return datetime.fromisoformat(told).timestamp()
    except (TypeError, ValueError):
        return None


def _files() -> Any:
    from fal.files import FalFileSystem

    return FalFileSystem(skip_instance_cache=True)


def _queue() -> Any:
    import fal_client
    import fal_client.client

    fal_client.client.MAX_ATTEMPTS = QUEUE_ATTEMPTS
    return fal_client.SyncClient(key=os.environ["FAL_KEY"])


def _exchange(method: str, endpoint: str, request_id: str, action: str) -> Any:
    """One exchange about a request, by the address that the queue's documentation gives it: it outlives whoever submitted it."""
    import httpx
    from fal.flags import FAL_QUEUE_RUN_HOST
    from fal.sdk import get_credentials

    url = f"https://{FAL_QUEUE_RUN_HOST}/{endpoint}/requests/{request_id}{action}"
    return httpx.request(method, url, headers=get_credentials().to_headers(), timeout=30)


VERBS: dict[str, Callable[..., Any]] = {
    verb.__name__: verb for verb in (file_size, folders, send_file, fetch_file, remove_file, submit, look, answer, cancel)
}
