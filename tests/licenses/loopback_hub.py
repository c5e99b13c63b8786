"""A Hub on 127.0.0.1 with the routes that clients use for metadata and small files, and the ways in which the real one refuses."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ODD: Mapping[str, tuple[int, Mapping[str, str], bytes]] = {
    "compressed": (200, {"content-encoding": "gzip"}, b"\x1f\x8b\x08"),
    "another port": (302, {"location": "http://127.0.0.1:9/file"}, b""),
    "another scheme": (307, {"location": "https://127.0.0.1/file"}, b""),
    "loop": (302, {}, b""),
    "nowhere": (302, {}, b""),
    "no reason": (403, {}, b""),
    "no reason given": (404, {}, b""),
    "teapot": (418, {}, b""),
    "gone": (404, {"x-error-code": "EntryNotFound"}, b""),
}


@dataclass
class Repo:
    """A repository as served: `api` is merged into the answer about it, `fault` is one of those that `_faulty` knows."""

    files: dict[str, bytes] = field(default_factory=dict)
    kind: str = "model"
    commit: str = COMMIT
    fault: str = ""
    name: str = ""
    card_data: Mapping[str, Any] | None = None
    gated_files: bool = False
    api: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class LoopbackHub:
    """`repos` may be changed while it runs; `requests` holds (method, path) of everything asked."""

    address: str
    repos: dict[str, Repo] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def add(self, asked: str, files: Mapping[str, str | bytes] | None = None, **fields: Any) -> Repo:
        raw = {path: one.encode() if isinstance(one, str) else one for path, one in (files or {}).items()}
        self.repos[asked.casefold()] = Repo(files=raw, **({"name": asked} | fields))
        return self.repos[asked.casefold()]


@contextmanager
def serving() -> Iterator[LoopbackHub]:
    """A running hub; its threads end with the block."""
    with listening(_Handler) as server:
        hub = LoopbackHub(address=address_of(server))
        server.hub = hub  # type: ignore[attr-defined]
        yield hub


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    """A server on a free port of 127.0.0.1 that answers by `handler`; its threads end with the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def address_of(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: two would wait for each other
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, *_: Any) -> None:
        """Silent: a test reads `requests` instead."""

    def _answer(self, *, body: bool) -> None:
        hub: LoopbackHub = self.server.hub  # type: ignore[attr-defined]
        path = unquote(urlsplit(self.path).path)
        hub.requests.append((self.command, path))
        api = path.startswith("/api/")
        kind = "dataset" if path.startswith(("/api/datasets/", "/datasets/")) else "model"
        rest = path.removeprefix(f"/api/{kind}s/").removeprefix("/datasets/").strip("/").split("/")
        repo = hub.repos.get("/".join(rest[:2]).casefold())
        if repo is None or repo.kind != kind or repo.fault == "missing":
            return self._refuse(401, "RepoNotFound", body)
        if self._faulty(repo, api, body):
            return None
        if api and rest[2:3] == ["tree"]:
            return self._tree(repo, rest[3], body)
        if api:
            wanted = rest[3] if rest[2:3] == ["revision"] else repo.commit
            return self._listing(repo, wanted, body)
        return self._file(repo, rest[3] if len(rest) > 3 else "", "/".join(rest[4:]), body)

    def _faulty(self, repo: Repo, api: bool, body: bool) -> bool:
        """Answers as the fault of the repository asks; False where it has none for this route."""
        if repo.fault == "disabled":
            self._refuse(403, "DisabledRepo", body)
        elif repo.fault == "gated" or (repo.gated_files and not api):
            self._refuse(403, "GatedRepo", body)
        elif repo.fault == "broken":
            self._refuse(503, "", body)
        elif repo.fault == "throttled":
            self._refuse(429, "", body)
        elif repo.fault == "slow":
            threading.Event().wait(1.0)
            self._refuse(504, "", body)
        elif repo.fault == "garbage" and api:
            self._send(200, b"<html>hello</html>", {}, body)
        elif repo.fault == "elsewhere" and not api:
            self._send(302, b"", {"location": "http://127.0.0.2:9/file"}, body)
        elif repo.fault == "short" and not api:
            self._send(200, b"cut", {"content-length": "4000"}, body)
            self.close_connection = True
        elif repo.fault in ODD and not api:
            status, headers, raw = ODD[repo.fault]
            self._send(status, raw, {**headers, **({"location": self.path} if repo.fault == "loop" else {})}, body)
            self.close_connection = True
        elif repo.fault == "endless" and not api:
            self._stream()
        else:
            return False
        return True

    def _stream(self) -> None:
        """Chunks without an end; the client has to go first."""
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        self.close_connection = True

    def _listing(self, repo: Repo, wanted: str, body: bool) -> None:
        if wanted not in (repo.commit, "main"):
            return self._refuse(404, "RevisionNotFound", body)
        siblings = [{"rfilename": path} for path in sorted(repo.files)]
        value = {"id": repo.name, "modelId": repo.name, "sha": repo.commit, "siblings": siblings, "private": False, "gated": False}
        value |= {"cardData": repo.card_data} if repo.card_data is not None else {}
        raw = json.dumps(value | dict(repo.api)).encode()
        return self._send(200, raw, {"content-type": "application/json"}, body)

    def _tree(self, repo: Repo, wanted: str, body: bool) -> None:
        """All files with size and git hash, as clients ask before they download a whole repository."""
        if wanted not in (repo.commit, "main"):
            return self._refuse(404, "RevisionNotFound", body)
        rows = [
            {"type": "file", "path": path, "size": len(raw), "oid": sha1(b"blob %d\0" % len(raw) + raw).hexdigest()}
            for path, raw in sorted(repo.files.items())
        ]
        return self._send(200, json.dumps(rows).encode(), {"content-type": "application/json"}, body)

    def _file(self, repo: Repo, revision: str, path: str, body: bool) -> None:
        if revision not in (repo.commit, "main"):
            return self._refuse(404, "RevisionNotFound", body)
        if path not in repo.files:
            return self._refuse(404, "EntryNotFound", body)
        raw = repo.files[path]
        return self._send(200, raw, {"etag": f'"{sha256(raw).hexdigest()}"', "x-repo-commit": repo.commit}, body)

    def _refuse(self, status: int, code: str, body: bool) -> None:
        self._send(status, b'{"error":"refused"}', {"x-error-code": code} if code else {}, body)

    def _send(self, status: int, raw: bytes, headers: Mapping[str, str], body: bool) -> None:
        self.send_response(status)
        for name, value in ({"content-length": str(len(raw))} | dict(headers)).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(raw)
