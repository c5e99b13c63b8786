"""What a runner of the tests serves: an ASGI app with the SDK's entry point, without the SDK, so that it starts in a moment."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SETTINGS: dict[str, Any] = json.loads(Path("settings.json").read_text())


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    print("setting up", SETTINGS["version"], flush=True)
    if fault := SETTINGS.get("setup_fault"):
        raise RuntimeError(fault)
    if Path(SETTINGS.get("fault_file", "/nonexistent")).exists():
        raise RuntimeError("the disk is full")
    yield
    print("torn down", SETTINGS["version"], flush=True)


async def echo(request: Request) -> Response:
    body = await request.json()
    print("asked for", body.get("prompt"), os.environ["FAL_KEY"], flush=True)
    await asyncio.sleep(body.get("seconds", 0))
    headers = {"x-fal-billable-units": str(body["images"])} if "images" in body else {}
    reply = {"version": SETTINGS["version"], "headers": dict(request.headers), "query": request.url.query, "pid": os.getpid()}
    return JSONResponse(reply, body.get("status", 200), headers=headers)


async def crash(request: Request) -> Response:
    os._exit(9)


async def health(request: Request) -> Response:
    return JSONResponse({"version": SETTINGS["version"]}, 500 if SETTINGS.get("sick") else 200)


class Plain:
    """What `[tool.fal.apps.x] python_entry_point` would name."""

    @staticmethod
    def run_local(*, exposed_port: int, exposed_metrics_port: int) -> None:
        routes = [
            Route(path, endpoint, methods=["POST"]) for path, endpoint in (("/", echo), ("/crash", crash), ("/health", health))
        ]
        uvicorn.Server(uvicorn.Config(Starlette(routes=routes, lifespan=lifespan), host="0.0.0.0", port=exposed_port)).run()
