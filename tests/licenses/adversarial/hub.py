"""The loopback Hub with further ways of the real one: more metadata, several commits, moved repositories, answers cut short."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.licenses.adversarial.case import Files
from tests.licenses.adversarial.case import Repo as Wanted
from tests.licenses.loopback_hub import LoopbackHub, Repo, _Handler, address_of, listening


@dataclass
class CaseHub(LoopbackHub):
    """`extra` by repository: what its answers hold beside the usual, and its faults that the plain Hub does not know."""

    extra: dict[str, Wanted] = field(default_factory=dict)

    def put(self, asked: str, wanted: Wanted) -> None:
        """Serves a repository by the name that is asked for and by the name that the Hub gives it."""
        for name in dict.fromkeys((asked, wanted.name or asked)):
            if name == asked or name.casefold() not in self.repos:
                self.extra[name.casefold()] = wanted
                self._serve(name, wanted)

    def _serve(self, asked: str, wanted: Wanted) -> None:
        self.add(
            asked,
            wanted.files,
            kind=wanted.kind,
            name=wanted.name or asked,
            fault=wanted.fault,
            card_data=wanted.card_data,
            gated_files=wanted.fault == "gated files",
        )

    def clear(self) -> None:
        self.repos.clear()
        self.extra.clear()
        self.requests.clear()


@contextmanager
def serving() -> Iterator[CaseHub]:
    """A running hub; its threads end with the block."""
    with listening(_CaseHandler) as server:
        hub = CaseHub(address=address_of(server))
        server.hub = hub  # type: ignore[attr-defined]
        yield hub


class _CaseHandler(_Handler):
    disable_nagle_algorithm = True

    def _answer(self, *, body: bool) -> None:
        hub: CaseHub = self.server.hub  # type: ignore[attr-defined]
        path = unquote(urlsplit(self.path).path)
        self.api = path.startswith("/api/")
        rest = path.removeprefix("/api").removeprefix("/models").removeprefix("/datasets").strip("/").split("/")
        self.wanted = hub.extra.get("/".join(rest[:2]).casefold())
        if self.wanted and self.wanted.fault == "moved" and self.api:
            self._send(307, b"", {"location": path.replace("/".join(rest[:2]), self.wanted.name)}, body)
        elif self.wanted and self.wanted.fault == "chunked" and not self.api and "README.md" in path:
            self._chunked(self.wanted.files["README.md"])
        elif self.wanted and self.wanted.fault == "cut" and path.endswith("README.md"):
            self._cut(self.wanted.files["README.md"])
        else:
            super()._answer(body=body)

    def _listing(self, repo: Repo, wanted: str, body: bool) -> None:
        super()._listing(self._at(repo, wanted), wanted, body)

    def _file(self, repo: Repo, revision: str, path: str, body: bool) -> None:
        super()._file(self._at(repo, revision), revision, path, body)

    def _at(self, repo: Repo, revision: str) -> Repo:
        files: Files | None = self.wanted.revisions.get(revision) if self.wanted else None
        if files is None:
            return repo
        raw = {path: one.encode() if isinstance(one, str) else one for path, one in files.items()}
        return Repo(files=raw, kind=repo.kind, commit=revision, name=repo.name)

    def _cut(self, content: str | bytes) -> None:
        """The first line of a file, without a length, and the connection closed: nothing says that more was meant."""
        raw = content.encode() if isinstance(content, str) else content
        self.send_response(200)
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(raw[: raw.find(b"\n---\n") + 5])
        self.close_connection = True

    def _chunked(self, content: str | bytes) -> None:
        """A whole file in chunks: without a length, but with an end that tells."""
        raw = content.encode() if isinstance(content, str) else content
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(raw), raw))

    def _send(self, status: int, raw: bytes, headers: Mapping[str, str], body: bool) -> None:
        if status == 200 and self.api and self.wanted and self.wanted.api and raw.startswith(b"{"):
            said: dict[str, Any] = json.loads(raw) | dict(self.wanted.api)
            raw = json.dumps(said).encode()
        super()._send(status, raw, headers, body)
