"""The loopback Hub with the routes that a push uses: repositories are made, large files sent by hash, and commits accepted."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.licenses.loopback_hub import LoopbackHub, Repo, _Handler, address_of, listening

LARGE = (".safetensors", ".png")


@dataclass
class WritableHub(LoopbackHub):
    """`stored` holds large files by sha256, `uploads` their hashes as they came, `commits` what each commit changed.

    `refuse_uploads`: how many more uploads go through before the Hub answers 503; None lets all through. `edit_before_commit`
    changes the repository after it was looked at.
    """

    token: str = "hf_loopback"
    stored: dict[str, bytes] = field(default_factory=dict)
    uploads: list[str] = field(default_factory=list)
    commits: list[dict[str, Any]] = field(default_factory=list)
    refuse_uploads: int | None = None
    edit_before_commit: bool = False


@contextmanager
def writable() -> Iterator[WritableHub]:
    with listening(_Writer) as server:
        hub = WritableHub(address=address_of(server))
        server.hub = hub  # type: ignore[attr-defined]
        yield hub


class _Writer(_Handler):
    @property
    def hub(self) -> WritableHub:
        return self.server.hub  # type: ignore[attr-defined,no-any-return]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(("POST", path))
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if self.headers.get("authorization") != f"Bearer {self.hub.token}":
            return self._json({"error": "no right to write"}, 403)
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        repo = "/".join(path.removeprefix("/api/models").strip("/").split("/")[:2]).removesuffix(".git")
        if path.endswith("/preupload/main"):
            return self._modes(json.loads(body))
        if path.endswith("/info/lfs/objects/batch"):
            return self._batch(json.loads(body))
        assert path.endswith("/commit/main"), path
        return self._commit(self.hub.repos[repo.casefold()], repo, [json.loads(line) for line in body.splitlines()])

    def do_PUT(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        if self.hub.refuse_uploads is not None:
            if not self.hub.refuse_uploads:
                return self._json({"error": "down"}, 400)
            self.hub.refuse_uploads -= 1
        digest = sha256(raw).hexdigest()
        assert self.path == f"/upload/{digest}"
        self.hub.stored[digest] = raw
        self.hub.uploads.append(digest)
        return self._json({})

    def _create(self, asked: dict[str, Any]) -> None:
        name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
        status = 409 if name.casefold() in self.hub.repos else 200
        if status == 200:
            self.hub.add(name, api={"private": asked.get("private", asked.get("visibility") == "private")}, commit="0" * 40)
        self._json({"url": f"{self.hub.address}/{name}", "name": name, "id": name}, status)

    def _modes(self, asked: dict[str, Any]) -> None:
        rows = [
            {"path": file["path"], "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular", "shouldIgnore": False}
            for file in asked["files"]
        ]
        self._json({"files": rows})

    def _batch(self, asked: dict[str, Any]) -> None:
        """Where a file of that hash is there already, nothing has to be sent."""
        rows = []
        for one in asked["objects"]:
            place = {"upload": {"href": f"{self.hub.address}/upload/{one['oid']}", "header": {}}}
            rows.append({**one, **({} if one["oid"] in self.hub.stored else {"actions": place})})
        self._json({"transfer": "basic", "objects": rows})

    def _commit(self, repo: Repo, name: str, lines: list[dict[str, Any]]) -> None:
        header = lines[0]["value"]
        if self.hub.edit_before_commit:
            repo.commit = "f" * 40
        if header.get("parentCommit") not in (None, repo.commit):
            return self._json({"error": "the branch has moved"}, 412)
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "lfsFile":
                repo.files[value["path"]] = self.hub.stored[value["oid"]]
            elif line["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert line["key"] == "deletedFile", line["key"]
                del repo.files[value["path"]]
        repo.commit = sha256(json.dumps(lines).encode()).hexdigest()[:40]
        self.hub.commits.append({"message": header["summary"], "paths": sorted(line["value"]["path"] for line in lines[1:])})
        url = f"{self.hub.address}/{name}/commit/{repo.commit}"
        return self._json({"success": True, "commitOid": repo.commit, "commitUrl": url})

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), {"content-type": "application/json"}, body=True)
