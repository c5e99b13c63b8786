"""Files: those that a deploy uploads for its runners, and those that apps give to their callers."""

import asyncio
import hashlib
import hmac
import re
import secrets
import shutil
import uuid
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from ..gateway.gateway import Gateway, Refused, refusal_response
from ..state import State
from .access import allowed, json_of
from .parts import first_part, part_name, parts_of

DIGEST = re.compile(r"[0-9a-f]{64}")
MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(;[ -~]*)?")  # what a header can say
UNTYPED = "application/octet-stream"


class Storage:
    """REST routes for app files (by content hash) and stored objects (by id)."""

    def __init__(self, folder: Path, state: State, gateway: Gateway, address: str) -> None:
        self._files = folder / "files"
        self._uploads = folder / "uploads"
        self._objects = folder / "objects"
        self._state = state
        self._gateway = gateway
        self._base = f"https://{address}/storage"
        self._tickets: dict[str, bytes] = {}
        shutil.rmtree(self._uploads, ignore_errors=True)
        for path in (self._files, self._uploads, self._objects):
            path.mkdir(mode=0o700, exist_ok=True)

    def routes(self) -> list[Route]:
        upload = "/files/app/multipart/{digest}"
        return [
            Route("/files/missing_hashes", self.missing_hashes, methods=["POST"]),
            Route(f"{upload}/initiate", self.initiate, methods=["POST"]),
            Route(f"{upload}/{{upload}}/complete", self.complete, methods=["POST"]),
            Route(f"{upload}/{{upload}}/cancel", self.cancel, methods=["POST"]),
            Route(f"{upload}/{{upload}}/{{number:int}}", self.put_part, methods=["PUT"]),
            Route("/storage/upload/initiate", self.initiate_object, methods=["POST"]),
            Route("/storage/put/{id}", self.put_object, methods=["PUT"]),
            Route("/storage/files/{id}/{name}", self.get_object),
        ]

    async def missing_hashes(self, request: Request) -> Response:
        allowed(self._gateway, request, "deploy")
        hashes = (await json_of(request)).get("hashes")
        if not isinstance(hashes, list):
            raise Refused(status=400, detail="'hashes' is not a list.", error_type="bad_request")
        return JSONResponse([item for item in map(str, hashes) if not self._has(item)])

    async def initiate(self, request: Request) -> Response:
        allowed(self._gateway, request, "deploy")
        digest = _digest_of(request)
        if self._has(digest):
            return JSONResponse({"detail": "File already exists"}, 409)
        upload = uuid.uuid4().hex
        (self._uploads / upload).mkdir(mode=0o700)
        return JSONResponse({"upload_id": upload})

    async def put_part(self, request: Request) -> Response:
        allowed(self._gateway, request, "deploy")
        number = int(request.path_params["number"])
        content = first_part(request.headers.get("content-type", ""), await request.body())
        (self._upload_of(request) / part_name(number)).write_bytes(content)
        return JSONResponse({"part_number": number, "etag": hashlib.sha256(content).hexdigest()})

    async def complete(self, request: Request) -> Response:
        """Joins the parts; refused where content and mode do not hash to the name under which the file was announced."""
        allowed(self._gateway, request, "deploy")
        digest, upload = _digest_of(request), self._upload_of(request)
        metadata = (await json_of(request)).get("metadata")
        mode = str(metadata.get("mode")) if isinstance(metadata, dict) else ""
        joined = upload / "joined"
        if not hmac.compare_digest(await asyncio.to_thread(_join, upload, joined, mode), digest):
            shutil.rmtree(upload)
            detail = "The uploaded parts do not match the announced hash; upload again."
            raise Refused(status=400, detail=detail, error_type="bad_request")
        joined.replace(self._files / digest)
        shutil.rmtree(upload)
        return JSONResponse({"etag": digest})

    async def cancel(self, request: Request) -> Response:
        allowed(self._gateway, request, "deploy")
        shutil.rmtree(self._upload_of(request), ignore_errors=True)
        return JSONResponse({})

    async def initiate_object(self, request: Request) -> Response:
        """An address to put an object to, valid once, and the one where anybody can read it afterwards."""
        account = allowed(self._gateway, request, "call", "deploy")
        wanted = await json_of(request)
        object_id, token = uuid.uuid4().hex, secrets.token_urlsafe(24)
        name = re.sub(r"[^A-Za-z0-9._-]", "_", str(wanted.get("file_name") or "file"))[-100:]
        content_type = str(wanted.get("content_type") or UNTYPED)
        if not MEDIA_TYPE.fullmatch(content_type):
            content_type = UNTYPED
        self._state.put_object(object_id, owner=account.nickname, name=name, content_type=content_type)
        self._tickets[object_id] = hashlib.sha256(token.encode()).digest()
        upload_url = f"{self._base}/put/{object_id}?token={token}"
        return JSONResponse({"file_url": f"{self._base}/files/{object_id}/{name}", "upload_url": upload_url})

    async def put_object(self, request: Request) -> Response:
        object_id = request.path_params["id"]
        given = hashlib.sha256(request.query_params.get("token", "").encode()).digest()
        if not hmac.compare_digest(self._tickets.get(object_id, b"\0" * 32), given):
            raise Refused(status=403, detail="This upload address is not valid (any more).", error_type="forbidden")
        temporary = self._objects / f"{object_id}.tmp"
        with temporary.open("wb") as target:
            async for chunk in request.stream():
                target.write(chunk)
        temporary.replace(self._objects / object_id)
        del self._tickets[object_id]
        return Response()

    async def get_object(self, request: Request) -> Response:
        found = self._state.object(request.path_params["id"])
        if found is None or not (self._objects / found["id"]).exists():
            raise Refused(status=404, detail="No such file.", error_type="not_found")
        # As from a delivery network of another origin: never a page of the sandbox itself.
        headers = {"content-security-policy": "sandbox; default-src 'none'", "x-content-type-options": "nosniff"}
        return FileResponse(self._objects / found["id"], media_type=found["content_type"], headers=headers)

    def _has(self, digest: str) -> bool:
        return bool(DIGEST.fullmatch(digest)) and (self._files / digest).exists()

    def _upload_of(self, request: Request) -> Path:
        upload: Path = self._uploads / str(request.path_params["upload"])
        if not re.fullmatch(r"[0-9a-f]{32}", upload.name) or not upload.is_dir():
            raise Refused(status=404, detail="No such upload.", error_type="not_found")
        return upload


async def refused(request: Request, error: Exception) -> Response:
    """Turns a Refused that left a route into its response."""
    assert isinstance(error, Refused)
    return refusal_response(error, str(uuid.uuid4()))


def _digest_of(request: Request) -> str:
    digest = str(request.path_params["digest"])
    if not DIGEST.fullmatch(digest):
        raise Refused(status=400, detail="A file is named by its SHA-256 in hex.", error_type="bad_request")
    return digest


def _join(upload: Path, joined: Path, mode: str) -> str:
    """Writes the parts in their order and returns the name that they should have: the hash of content and file mode."""
    actual = hashlib.sha256()
    with joined.open("wb") as target:
        for content in parts_of(upload):
            actual.update(content)
            target.write(content)
    actual.update(mode.encode())
    return actual.hexdigest()
