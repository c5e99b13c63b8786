"""An app that fails on request: settings.json names a folder, and the files that lie there say how."""

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
FOLDER = Path(SETTINGS["folder"])


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    with (FOLDER / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    if (FOLDER / "broken").exists():
        raise RuntimeError("the weights are gone")
    while (FOLDER / "hanging").exists():
        await asyncio.sleep(0.05)
    if (FOLDER / "short-lived").exists():
        asyncio.get_running_loop().call_later(0.05, os._exit, 7)
    yield
    (FOLDER / f"torn-down-{os.getpid()}").touch()


async def echo(request: Request) -> Response:
    body = await request.json()
    if "begun" in body:
        (FOLDER / body["begun"]).touch()
    await asyncio.sleep(body.get("seconds", 0))
    reply = {"pid": os.getpid(), "version": SETTINGS.get("version")}
    return JSONResponse(reply, headers=body.get("headers", {}))


async def crash(request: Request) -> Response:
    os._exit(9)


async def fail(request: Request) -> Response:
    raise RuntimeError("no")


async def health(request: Request) -> Response:
    with (FOLDER / "checks").open("a") as checks:
        checks.write(f"{os.getpid()}\n")
    return JSONResponse({}, 500 if (FOLDER / f"sick-{os.getpid()}").exists() else 200)


class Frail:
    """What an entry point would name."""

    @staticmethod
    def run_local(*, exposed_port: int, exposed_metrics_port: int) -> None:
        endpoints = {"/": echo, "/crash": crash, "/fail": fail, "/health": health}
        routes = [Route(path, endpoint, methods=["POST"]) for path, endpoint in endpoints.items()]
        uvicorn.Server(uvicorn.Config(Starlette(routes=routes, lifespan=lifespan), host="0.0.0.0", port=exposed_port)).run()
