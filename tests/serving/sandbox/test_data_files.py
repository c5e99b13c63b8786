"""The files of /data: kept for the account that put them there, and nothing outside of them in reach."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.sandbox.control import Running
from tests.serving.sandbox.deployer import Deployer, client_of


@pytest.fixture(scope="module")
def files(sandbox: Running) -> Iterator[httpx.Client]:
    with client_of(sandbox, key=sandbox.owner_key) as client:
        yield client


@pytest.fixture
def data(home: Path) -> Path:
    return home / "sandbox" / "data" / "sandbox-owner"


@pytest.fixture
def page() -> Iterator[str]:
    """The address of a server with one file, which another path leads to."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/file" else 302 if self.path == "/moved" else 404)
            self.send_header("location", "/file")
            self.end_headers()
            self.wfile.write(b"fetched" if self.path == "/file" else b"")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def put(client: httpx.Client, path: str, content: bytes) -> httpx.Response:
    return client.post(f"/files/file/local/{path}", files={"file_upload": ("name", content)})


def listed(client: httpx.Client, path: str) -> dict[str, int | None]:
    """Path -> size, None for a folder."""
    return {item["path"]: item["size"] if item["is_file"] else None for item in client.get(f"/files/list/{path}").json()}


def test_what_is_put_is_listed_given_back_moved_and_removed(files: httpx.Client) -> None:
    content = b"\r\n--boundary\0" * 3
    assert put(files, "/data/a/b/one.bin", content).status_code == 200
    assert listed(files, "/data/a") == {"/data/a/b": None}
    assert listed(files, "/data/a/b") == {"/data/a/b/one.bin": len(content)}
    assert files.get("/files/file//data/a/b/one.bin").content == content
    assert files.post("/files/rename//data/a/b", json={"destination": "/data/a/c"}).status_code == 200
    assert files.get("/files/file//data/a/c/one.bin").content == content
    assert files.get("/files/file//data/a/b/one.bin").status_code == 404
    assert files.delete("/files/file//data/a").status_code == 200
    assert listed(files, "/data/a") == {}
    assert files.delete("/files/file//data/a").status_code == 404


def test_a_file_in_parts_is_whole_when_it_is_complete_and_not_before(files: httpx.Client) -> None:
    base, parts = "/files/file/multipart//data/large.bin", [b"a" * 1000, b"b" * 10]
    upload = files.post(f"{base}/initiate").json()["upload_id"]
    for number in (2, 1):
        part = files.put(f"{base}/{upload}/{number}", files={"file_upload": ("chunk", parts[number - 1])}).json()
        assert part == {"part_number": number, "etag": hashlib.md5(parts[number - 1]).hexdigest()}
    assert "/data/large.bin" not in listed(files, "/data")
    assert files.post(f"{base}/{upload}/complete", json={"parts": []}).json() == {"etag": hashlib.md5(b"".join(parts)).hexdigest()}
    assert files.get("/files/file//data/large.bin").content == b"".join(parts)
    assert files.post(f"{base}/{upload}/complete", json={"parts": []}).status_code == 404
    other = files.post(f"{base}/initiate").json()["upload_id"]
    assert files.post(f"{base}/{other}/cancel").status_code == 200
    assert files.put(f"{base}/{other}/1", files={"file_upload": ("chunk", b"late")}).status_code == 404


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/data/../keys.json", "/data/%2e%2e/keys.json", "/database/x", "relative", "/data/a%00b"]
)
def test_nothing_outside_of_data_is_in_reach(files: httpx.Client, path: str) -> None:
    replies = (
        files.get(f"/files/list/{path}"),
        files.get(f"/files/file/{path}"),
        files.delete(f"/files/file/{path}"),
        put(files, path, b"planted"),
        files.post(f"/files/file/multipart/{path}/initiate"),
        files.post(f"/files/file/url/{path}", json={"url": "http://127.0.0.1:1"}),
        files.post("/files/rename//data", json={"destination": path}),
    )
    assert {reply.status_code for reply in replies} <= {400, 404}


def test_no_link_is_followed(files: httpx.Client, data: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("planted")
    put(files, "/data/links/real.txt", b"real")
    (data / "links" / "out").symlink_to(tmp_path)
    (data / "links" / "file").symlink_to(tmp_path / "secret")
    assert listed(files, "/data/links") == {"/data/links/real.txt": 4}
    assert listed(files, "/data/links/real.txt") == {}
    for path in ("/data/links/out", "/data/links/out/secret", "/data/links/file"):
        assert files.get(f"/files/list/{path}").status_code == 400
        assert files.get(f"/files/file/{path}").status_code == 400
        assert put(files, path, b"over").status_code == 400
        assert files.delete(f"/files/file/{path}").status_code == 400
    assert files.delete("/files/file//data/links").status_code == 200
    assert (tmp_path / "secret").read_text() == "planted"
    assert (home / "sandbox" / "keys.json").exists()


def test_what_is_in_the_way_is_not_overwritten_by_a_move(files: httpx.Client) -> None:
    put(files, "/data/way/first", b"1")
    put(files, "/data/way/second", b"2")
    assert files.post("/files/rename//data/way/first", json={"destination": "/data/way/second"}).status_code == 409
    assert files.post("/files/rename//data/way", json={"destination": "/data/way/inside"}).status_code == 409
    assert put(files, "/data/way", b"a folder").status_code == 409
    assert put(files, "/data/way/first/below", b"a file").status_code == 409
    assert files.delete("/files/file//data").status_code == 404
    assert files.get("/files/file//data/way/second").content == b"2"


def test_a_file_is_fetched_from_its_address(files: httpx.Client, page: str) -> None:
    assert files.post("/files/file/url//data/page.txt", json={"url": f"{page}/moved"}).status_code == 200
    assert files.get("/files/file//data/page.txt").content == b"fetched"
    for url in (f"{page}/gone", "file:///etc/passwd", "nonsense"):
        refused = files.post("/files/file/url//data/gone.txt", json={"url": url})
        assert refused.status_code == 400
        assert f"{url} could not be fetched" in refused.json()["detail"]
    assert "/data/gone.txt" not in listed(files, "/data")


def test_an_app_finds_the_files_of_its_account(files: httpx.Client, owner: Deployer, data: Path) -> None:
    owner.deploy("reader", {"version": 1})
    assert owner.call("reader", path="/environment").json()["LORASMITH_DATA"] == str(data)


def test_a_second_account_has_files_of_its_own(files: httpx.Client, sandbox: Running) -> None:
    put(files, "/data/mine.txt", b"mine")
    upload = files.post("/files/file/multipart//data/mine.bin/initiate").json()["upload_id"]
    with client_of(sandbox, key=sandbox.caller_key) as other:
        assert listed(other, "/data") == {}
        assert other.get("/files/file//data/mine.txt").status_code == 404
        assert other.delete("/files/file//data/mine.txt").status_code == 404
        assert other.get("/files/file//data/../sandbox-owner/mine.txt").status_code in (400, 404)
        assert other.put(f"/files/file/multipart//data/mine.bin/{upload}/1", files={"f": b"x"}).status_code == 404
        put(other, "/data/mine.txt", b"theirs")
    assert files.get("/files/file//data/mine.txt").content == b"mine"
