"""The worker's verb that deploys: the app of the working directory, through the fal SDK.

Loaded by path into worker.py, as worker_verbs.py is: nothing of ours is imported here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

TAIL_LINES = 80  # a failed setup() is followed by half as many lines of a server that stops


def deploy(app: str, environment: str | None, strategy: str, auth: str | None) -> dict[str, Any]:
    """Deploy `[tool.fal.apps.<app>]` of the working directory and wait until its runner is healthy (rolling) or has failed.

    auth: in place of the one in the toml.
    """
    from fal.api import SyncServerlessClient
    from fal.api.deploy import execute_prepared_deployment, prepare_deployment

    log = _deploy_log()
    try:
        client = SyncServerlessClient()
        if environment is not None:
            _ensure_environment(client, environment)
        attach = True if strategy == "rolling" else None
        prepared = prepare_deployment(client, app, environment_name=environment, attach_to_deployment=attach)
        # For an app of a toml the SDK reads both from there only.
        prepared.app_data = replace(prepared.app_data, deployment_strategy=strategy)
        if auth is not None:
            prepared.loaded = replace(prepared.loaded, app_auth=auth)
        result = execute_prepared_deployment(prepared, result_handler=log, build_result_handler=log)
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


class DeployRefused(Exception):
    """A deploy that did not end well (the cause says why) with the last lines of its log."""

    def __init__(self, tail: tuple[str, ...]) -> None:
        super().__init__(tail)
        self.tail = tail


VERBS: dict[str, Callable[..., Any]] = {"deploy": deploy}


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


def _root(urls: dict[str, str]) -> str:
    """URL of the app itself, from the URLs of its endpoints."""
    path, url = min(urls.items(), key=lambda item: len(item[0]))
    return url.removesuffix(path).rstrip("/")
