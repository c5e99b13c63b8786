"""A word with the Prefect server, without the two seconds that importing Prefect takes: what runs, what is next, resume a run."""

import base64
import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from flows.errors import FlowError
from flows.home import home
from flows.orchestration import orchestrator, server_state

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
SECONDS: Final = 2.0


class ServerAway(FlowError):
    """No server is named, or it does not answer."""

    exit_code = 5


class Refused(FlowError):
    """The server answered that it can not be so."""

    exit_code = 2


def address() -> str | None:
    """Where the server's API is: PREFECT_API_URL, else what `lorasmith server up` has started in this home."""
    if named := os.environ.get("PREFECT_API_URL"):
        return named
    up = server_state.running(home())
    return orchestrator.address(up.port) if up else None


def page(kind: str, identity: str) -> str | None:
    """The server's page about a flow run or a deployment."""
    url = address()
    return f"{url.removesuffix('/api')}/{kind}s/{kind}/{identity}" if url else None


def asked(path: str, body: Mapping[str, Any] | None = None, *, seconds: float = SECONDS) -> Any:
    """The JSON answer to a POST of `body`, or to a GET without one. ServerAway, Refused."""
    url = address()
    if url is None:
        raise ServerAway("no Prefect server is named: start one with lorasmith server up, or set PREFECT_API_URL")
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", data=content, headers=headers())
    try:
        with opener(url).open(request, timeout=seconds) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        raise Refused(
            f"the Prefect server at {url} answered {error.code} to {path}: {error.read(300).decode(errors='replace')}"
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ServerAway(f"the Prefect server at {url} does not answer ({error or type(error).__name__})") from None


def headers() -> dict[str, str]:
    """What Prefect's own client sends as proof, from the same variables."""
    said = {"Content-Type": "application/json"}
    if pair := os.environ.get(orchestrator.AUTH) or os.environ.get(orchestrator.SERVER_AUTH):
        said["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    elif key := os.environ.get("PREFECT_API_KEY"):
        said["Authorization"] = f"Bearer {key}"
    return said


def opener(url: str) -> urllib.request.OpenerDirector:
    """No proxy stands before this machine."""
    return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if urlsplit(url).hostname in LOOPBACK else []))
