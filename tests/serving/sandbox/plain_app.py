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
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

SETTINGS: dict[str, Any] = json.loads(Path("settings.json").read_text())
cancelled: dict[str, asyncio.Event] = {}
here: list[Any] = []  # what echo is busy with


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
    here.append(body)
    together = len(here)
    await asyncio.sleep(body.get("seconds", 0))
    here.remove(body)
    headers = {"x-fal-billable-units": str(body["images"])} if "images" in body else {}
    reply = {"version": SETTINGS["version"], "headers": dict(request.headers), "query": request.url.query, "pid": os.getpid()}
    reply["together"] = together
    return JSONResponse(reply, body.get("status", 200), headers=headers)


async def endless(request: Request) -> Response:
    """Ends when it is cancelled by the path that fal uses, and says so itself: with 499, or as it was asked to."""
    status = (await request.json()).get("status", 499)
    request_id = request.headers["x-fal-request-id"]
    event = cancelled[request_id] = asyncio.Event()
    print("begun", request_id, flush=True)
    await event.wait()
    return JSONResponse({}, status, headers={"x-fal-billable-units": "0"})


async def cancel(request: Request) -> Response:
    cancelled[request.headers["x-fal-request-id"]].set()
    return JSONResponse({})


async def deaf(request: Request) -> Response:
    """Has no path for a cancellation; it ends when the connection does."""
    print("begun", request.headers["x-fal-request-id"], flush=True)
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)
    print("left", request.headers["x-fal-request-id"], flush=True)
    return JSONResponse({})


async def flaky(request: Request) -> Response:
    """503 as often as `faults` says, over all runners; every attempt is a line in the file `attempts`."""
    body = await request.json()
    with Path(body["attempts"]).open("a") as file:
        file.write(f"{request.headers['x-fal-request-id']} {os.getpid()}\n")
    failing = len(Path(body["attempts"]).read_text().splitlines()) <= body["faults"]
    headers = {"x-fal-billable-units": "0" if failing else "1"} | body.get("headers", {})
    return JSONResponse({}, body.get("status", 503) if failing else 200, headers=headers)


async def stream(request: Request) -> Response:
    """Server-sent events; all but the first wait until the file `gate` exists."""
    body = await request.json()
    request_id = request.headers["x-fal-request-id"]
    stopped = cancelled[request_id] = asyncio.Event()

    async def events() -> AsyncIterator[str]:
        yield 'data: {"number": 0}\n\n'
        print("begun", request_id, flush=True)
        while not Path(body["gate"]).exists() and not stopped.is_set():
            await asyncio.sleep(0.01)
        for number in range(1, body["events"]):
            yield f'data: {{"number": {number}}}\n\n'

    return StreamingResponse(events(), media_type="text/event-stream", headers={"x-fal-billable-units": str(body["events"])})


async def long(request: Request) -> Response:
    """As many bytes as asked for; all but the first tenth wait until the file `gate` exists."""
    body = await request.json()
    size, gate = int(body["bytes"]), Path(body["gate"])

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * (size // 10)
        while not gate.exists():
            await asyncio.sleep(0.01)
        yield b"y" * (size - size // 10)

    return StreamingResponse(pieces(), headers={"content-length": str(size), "x-fal-billable-units": "1"})


async def broken(request: Request) -> Response:
    """Ends its runner in the middle of the first answer; the next one is whole. Every attempt is a line in the file `attempts`."""
    attempts = Path((await request.json())["attempts"])
    first = not attempts.exists()
    attempts.touch()

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"half":'
        if first:
            await asyncio.sleep(0.05)
            os._exit(9)
        yield b" true}"

    return StreamingResponse(pieces(), headers={"content-length": "14", "x-fal-billable-units": "1"})


async def environment(request: Request) -> Response:
    return JSONResponse(dict(os.environ))


async def crash(request: Request) -> Response:
    os._exit(9)


async def health(request: Request) -> Response:
    print("asked for health", flush=True)
    return JSONResponse({"version": SETTINGS["version"]}, 500 if SETTINGS.get("sick") else 200)


class Plain:
    """What `[tool.fal.apps.x] python_entry_point` would name."""

    @staticmethod
    def run_local(*, exposed_port: int, exposed_metrics_port: int) -> None:
        endpoints = (echo, crash, health, endless, deaf, flaky, stream, long, broken, environment)
        routes = [Route("/" if endpoint is echo else f"/{endpoint.__name__}", endpoint, methods=["POST"]) for endpoint in endpoints]
        routes += [Route(f"/{name}/cancel", cancel, methods=["POST"]) for name in ("endless", "stream")]
        uvicorn.Server(uvicorn.Config(Starlette(routes=routes, lifespan=lifespan), host="0.0.0.0", port=exposed_port)).run()
