"""The files of /data: what `fal files` lists, uploads, downloads, moves and deletes, one folder an account."""

import asyncio
import hashlib
import os
import re
import shutil
import ssl
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from ..gateway.gateway import Gateway, Refused
from .access import allowed, json_of
from .parts import first_part, part_name, parts_of

DATA = PurePosixPath("/data")
FETCH_SECONDS = 600.0
LONGEST_PART, MOST_PARTS = 200, 15  # below what file systems take (255 bytes a name, 4,096 a path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """A file that comes in parts: who sends it, where it shall be, and the folder of its parts."""

    owner: str
    path: str
    parts: Path


def data_folder(folder: Path, owner: str) -> Path:
    """Where the /data of an account lies in the sandbox's folder; made on the first call."""
    data = folder / "data" / owner
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return data


class DataFiles:
    """REST routes; a path is one below /data, and nothing else can be named: no `..`, no link, no other root."""

    def __init__(self, folder: Path, gateway: Gateway) -> None:
        self._folder = folder.resolve()
        self._gateway = gateway
        self._incoming = self._folder / "incoming"
        self._uploads: dict[str, Upload] = {}
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(mode=0o700)

    def routes(self) -> list[Route]:
        parts = "/files/file/multipart/{path:path}"
        return [
            Route("/files/list/{path:path}", self.list),
            Route("/files/rename/{path:path}", self.rename, methods=["POST"]),
            Route("/files/file/local/{path:path}", self.upload, methods=["POST"]),
            Route("/files/file/url/{path:path}", self.upload_from, methods=["POST"]),
            Route(f"{parts}/initiate", self.initiate, methods=["POST"]),
            Route(f"{parts}/{{upload}}/complete", self.complete, methods=["POST"]),
            Route(f"{parts}/{{upload}}/cancel", self.cancel, methods=["POST"]),
            Route(f"{parts}/{{upload}}/{{number:int}}", self.put_part, methods=["PUT"]),
            Route("/files/file/{path:path}", self.download),
            Route("/files/file/{path:path}", self.remove, methods=["DELETE"]),
        ]

    async def list(self, request: Request) -> Response:
        """The entries of a folder; of one that is not there none, as the SDK looks there before it uploads."""
        place = self._place(allowed(self._gateway, request, "read", "deploy").nickname, _path_of(request))
        found = sorted(place.iterdir()) if place.is_dir() else []
        return JSONResponse([_entry(_path_of(request), item) for item in found if not item.is_symlink()])

    async def download(self, request: Request) -> Response:
        place = self._place(allowed(self._gateway, request, "read", "deploy").nickname, _path_of(request))
        if not place.is_file():
            raise _missing(_path_of(request))
        return FileResponse(place, media_type="application/octet-stream")

    async def upload(self, request: Request) -> Response:
        owner = allowed(self._gateway, request, "deploy").nickname
        place = self._new_place(owner, _path_of(request))
        content = first_part(request.headers.get("content-type", ""), await request.body())
        temporary = self._incoming / uuid.uuid4().hex
        temporary.write_bytes(content)
        os.replace(temporary, place)
        return JSONResponse(True)

    async def upload_from(self, request: Request) -> Response:
        """Fetches what the address gives, as the platform would from the network."""
        owner = allowed(self._gateway, request, "deploy").nickname
        place, url = self._new_place(owner, _path_of(request)), str((await json_of(request)).get("url"))
        temporary = self._incoming / uuid.uuid4().hex
        try:
            await _fetch(url, temporary, self._folder / "tls" / "bundle.pem")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            temporary.unlink(missing_ok=True)
            raise Refused(status=400, detail=f"{url} could not be fetched: {error}", error_type="bad_request") from error
        os.replace(temporary, place)
        return JSONResponse(True)

    async def rename(self, request: Request) -> Response:
        owner = allowed(self._gateway, request, "deploy").nickname
        source, wanted = self._place(owner, _path_of(request)), str((await json_of(request)).get("destination"))
        if not source.exists() or source == data_folder(self._folder, owner):
            raise _missing(_path_of(request))
        destination = self._new_place(owner, wanted)
        if destination.exists() or destination.is_relative_to(source):
            raise Refused(status=409, detail=f"'{wanted}' exists already; remove it first.", error_type="conflict")
        source.rename(destination)
        return JSONResponse(True)

    async def remove(self, request: Request) -> Response:
        """A file, or a folder with all that is in it; /data itself stays."""
        owner = allowed(self._gateway, request, "deploy").nickname
        place = self._place(owner, _path_of(request))
        if not place.exists() or place == data_folder(self._folder, owner):
            raise _missing(_path_of(request))
        await asyncio.to_thread(shutil.rmtree, place) if place.is_dir() else place.unlink()
        return JSONResponse(True)

    async def initiate(self, request: Request) -> Response:
        owner, path = allowed(self._gateway, request, "deploy").nickname, _path_of(request)
        self._new_place(owner, path)
        upload_id = uuid.uuid4().hex
        parts = self._incoming / upload_id
        parts.mkdir(mode=0o700)
        self._uploads[upload_id] = Upload(owner=owner, path=path, parts=parts)
        return JSONResponse({"upload_id": upload_id})

    async def put_part(self, request: Request) -> Response:
        upload, number = self._upload(request), int(request.path_params["number"])
        content = first_part(request.headers.get("content-type", ""), await request.body())
        (upload.parts / part_name(number)).write_bytes(content)
        return JSONResponse({"part_number": number, "etag": hashlib.md5(content, usedforsecurity=False).hexdigest()})

    async def complete(self, request: Request) -> Response:
        """Joins the parts; the answer is the MD5 of the whole, by which the SDK checks what was stored."""
        upload = self._upload(request)
        place = self._new_place(upload.owner, upload.path)
        digest = await asyncio.to_thread(_join, upload.parts, place)
        self._forget(request)
        return JSONResponse({"etag": digest})

    async def cancel(self, request: Request) -> Response:
        self._upload(request)
        self._forget(request)
        return JSONResponse({})

    def _upload(self, request: Request) -> Upload:
        owner = allowed(self._gateway, request, "deploy").nickname
        upload = self._uploads.get(str(request.path_params["upload"]))
        if upload is None or (upload.owner, upload.path) != (owner, _path_of(request)):
            raise Refused(status=404, detail="No such upload.", error_type="not_found")
        return upload

    def _forget(self, request: Request) -> None:
        upload = self._uploads.pop(str(request.path_params["upload"]))
        shutil.rmtree(upload.parts)

    def _place(self, owner: str, path: str) -> Path:
        """Where a path of /data lies; Refused where it, or a link on its way, leads anywhere else."""
        given = PurePosixPath(re.sub(r"^/+", "/", path))
        if ".." in given.parts or "\0" in path or not given.is_relative_to(DATA):
            raise Refused(status=400, detail=f"'{path}' is no path below {DATA}.", error_type="bad_request")
        if len(given.parts) > MOST_PARTS or any(len(os.fsencode(part)) > LONGEST_PART for part in given.parts):
            detail = f"Names of /data have at most {LONGEST_PART} bytes, its folders {MOST_PARTS} levels."
            raise Refused(status=400, detail=detail, error_type="bad_request")
        place = data_folder(self._folder, owner) / given.relative_to(DATA)
        if place.resolve() != place:
            raise Refused(status=400, detail=f"'{path}' leads over a link, which is not followed.", error_type="bad_request")
        return place

    def _new_place(self, owner: str, path: str) -> Path:
        """A place for a file, with the folders above it."""
        place = self._place(owner, path)
        if place.is_dir():
            raise Refused(status=409, detail=f"'{path}' is a folder.", error_type="conflict")
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise Refused(status=409, detail=f"'{path}' is below a file.", error_type="conflict") from error
        return place


def _path_of(request: Request) -> str:
    return str(request.path_params["path"])


def _entry(folder: str, item: Path) -> dict[str, Any]:
    status = item.stat()
    return {
        "path": str(PurePosixPath(re.sub(r"^/+", "/", folder)) / item.name),
        "name": item.name,
        "size": status.st_size if item.is_file() else 0,
        "is_file": item.is_file(),
        "created_time": datetime.fromtimestamp(status.st_ctime, UTC).isoformat(),
        "updated_time": datetime.fromtimestamp(status.st_mtime, UTC).isoformat(),
    }


def _missing(path: str) -> Refused:
    return Refused(status=404, detail=f"'{path}' not found.", error_type="not_found")


async def _fetch(url: str, target: Path, roots: Path) -> None:
    context = ssl.create_default_context(cafile=str(roots))
    async with (
        httpx.AsyncClient(verify=context, timeout=FETCH_SECONDS, follow_redirects=True) as client,
        client.stream("GET", url) as reply,
    ):
        reply.raise_for_status()
        with target.open("wb") as file:
            async for chunk in reply.aiter_bytes():
                file.write(chunk)


def _join(parts: Path, place: Path) -> str:
    digest, whole = hashlib.md5(usedforsecurity=False), parts / "whole"
    with whole.open("wb") as file:
        for content in parts_of(parts):
            digest.update(content)
            file.write(content)
    os.replace(whole, place)
    return digest.hexdigest()
