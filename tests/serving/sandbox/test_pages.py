"""Who may look at the pages: links that work once, sessions in two halves, and nothing for other origins, names or keys."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.sandbox import control
from serving.sandbox.accounts import OWNER
from serving.sandbox.control import Running
from serving.sandbox.money.ledger import Ledger
from serving.sandbox.money.overview import revenue
from serving.sandbox.money.prices import Prices
from serving.sandbox.state import State
from serving.sandbox.web.guard import ISOLATED, Guard
from serving.sandbox.web.notice import NOTICE
from serving.sandbox.web.sessions import KEPT, LINK_SECONDS, SESSION_SECONDS, Sessions
from serving.sandbox.web.tally import Tally
from serving.sandbox.web.visits import COOKIE, PAGE_HEADER
from tests.serving.sandbox.deployer import Deployer, client_of
from tests.serving.sandbox.desk import entry
from tests.serving.sandbox.painted import deploy_pictures

APP = "/sandbox/apps/sandbox-owner/painted"
DATA = ("/sandbox/overview.json", f"{APP}.json", f"{APP}/log.json", "/sandbox/requests/x.json")
HOSTS = ("evil.example:{port}", "localhost:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:{port}.evil.example")
PLACES = ("/", "/sandbox.json", "/users/current", "/sandbox/overview.json", "/queue/a/b", "/v1/models", "/a/b")


class Visitor:
    """A browser as far as the server can tell: it keeps the two halves of its session, and says where it comes from."""

    def __init__(self, sandbox: Running, client: httpx.Client) -> None:
        self.origin = f"https://{sandbox.address}"
        self.client = client
        self.cookie = ""
        self.page = ""

    def enter(self, link: str, **headers: str) -> httpx.Response:
        reply = self.send("POST", "/sandbox/session", content=link.partition("#")[2], headers=headers)
        if reply.is_success:
            self.cookie, self.page = reply.cookies[COOKIE], reply.json()["session"]
        return reply

    def send(self, method: str, path: str, *, headers: dict[str, str] | None = None, **request: Any) -> httpx.Response:
        own = {"origin": self.origin, PAGE_HEADER: self.page, "cookie": f"{COOKIE}={self.cookie}", "sec-fetch-site": "same-origin"}
        sent = {name: value for name, value in (own | (headers or {})).items() if value != "-"}
        self.client.cookies.clear()
        return self.client.request(method, path, headers=sent, **request)


@pytest.fixture(scope="module")
def app(owner: Deployer) -> str:
    return deploy_pictures(owner, "painted")


@pytest.fixture
def stranger(sandbox: Running) -> Any:
    """Nobody yet, with a key of nobody."""
    with client_of(sandbox, key=None) as client:
        yield Visitor(sandbox, client)


@pytest.fixture
def visitor(stranger: Visitor, home: Path) -> Visitor:
    stranger.enter(control.link(home))
    return stranger


def test_a_token_opens_one_session_within_its_time() -> None:
    now = [100.0]
    sessions = Sessions(lambda: now[0])
    token = sessions.link()
    opened = sessions.redeem(token)
    assert opened is not None
    assert sessions.redeem(token) is None
    assert sessions.redeem("another") is None
    assert sessions.knows_cookie(opened.cookie)
    assert sessions.knows(opened.cookie, opened.page)
    other = sessions.redeem(sessions.link())
    assert other is not None
    assert not sessions.knows(opened.cookie, other.page)  # the halves of two sessions are none
    assert not sessions.knows(opened.page, opened.cookie)
    now[0] += SESSION_SECONDS + 1
    assert not sessions.knows(opened.cookie, opened.page)
    late = sessions.link()
    now[0] += LINK_SECONDS + 1
    assert sessions.redeem(late) is None


def test_only_a_few_links_and_sessions_are_kept_and_none_in_clear() -> None:
    sessions = Sessions()
    tokens = [sessions.link() for _ in range(KEPT + 5)]
    opened = [sessions.redeem(token) for token in tokens]
    assert [found is None for found in opened] == [True] * 5 + [False] * KEPT
    kept = [found for found in opened if found is not None]
    sessions.close(kept[0].cookie)
    assert not sessions.knows_cookie(kept[0].cookie)
    assert sessions.knows_cookie(kept[1].cookie)
    assert not any(found.cookie in repr(vars(sessions)) or found.page in repr(vars(sessions)) for found in kept)


@pytest.mark.parametrize(
    "host", ["evil.example:{port}", "localhost:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:{port}.evil.example"]
)
@pytest.mark.parametrize(
    "path", ["/", "/sandbox.json", "/users/current", "/sandbox/overview.json", "/queue/a/b", "/v1/models", "/a/b"]
)
def test_no_name_but_its_own_address_reaches_it(sandbox: Running, host: str, path: str) -> None:
    with client_of(sandbox, key=sandbox.owner_key) as owner:
        reply = owner.get(path, headers={"host": host.format(port=sandbox.address.partition(":")[2])})
    assert reply.status_code == 421
    assert reply.json()["error_type"] == "misdirected_request"


@pytest.mark.parametrize(("key", "status"), [(None, 403), ("caller", 403), ("sandbox-0:wrong", 401), ("owner", 200)])
def test_only_the_owners_key_makes_a_link(sandbox: Running, key: str | None, status: int) -> None:
    known = {"caller": sandbox.caller_key, "owner": sandbox.owner_key}
    with client_of(sandbox, key=known.get(key or "", key)) as client:
        reply = client.post("/sandbox/link")
    assert (reply.status_code, reply.json()["notice"]) == (status, NOTICE)
    assert ("url" in reply.json()) is (status == 200)


def test_a_link_opens_a_session_of_two_halves_and_then_nothing_more(stranger: Visitor, home: Path) -> None:
    link = control.link(home)
    opened = stranger.enter(link)
    assert opened.status_code == 200
    cookie = opened.headers["set-cookie"]
    assert re.match(r"__Host-\S+=[\w-]{40,};", cookie)
    for word in ("; Path=/", "; Secure", "; HttpOnly", "; SameSite=strict"):
        assert word in cookie
    assert "Domain" not in cookie
    assert stranger.enter(link).status_code == 403
    assert stranger.enter(link + "x" * 1000).status_code == 413
    assert stranger.send("GET", "/sandbox/overview.json").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "https://127.0.0.1:1"},
        {"origin": "null"},
        {"origin": "-"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {PAGE_HEADER: "-"},
    ],
)
def test_other_origins_change_nothing(stranger: Visitor, visitor: Visitor, home: Path, app: str, headers: dict[str, str]) -> None:
    link = control.link(home)
    assert stranger.enter(link, **headers).status_code == 401
    assert stranger.enter(link).status_code == 200  # and the token was not spent
    calling = "/sandbox/as/sandbox-caller/queue/sandbox-owner/painted"
    assert visitor.send("POST", calling, json={"prompt": "a"}, headers=headers).status_code == 401
    assert visitor.send("DELETE", "/sandbox/session", headers=headers).status_code == 401


def test_no_origin_is_told_that_it_may_ask(stranger: Visitor) -> None:
    asked = {
        "origin": "https://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": PAGE_HEADER,
    }
    for path in ("/sandbox/session", "/sandbox/link", "/sandbox/as/sandbox-owner/queue/a/b", "/models/a/b"):
        reply = stranger.send("OPTIONS", path, headers=asked | {"access-control-request-method": "POST"})
        assert reply.status_code == 405
        assert not [name for name in reply.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", DATA)
def test_data_needs_both_halves_or_the_owners_key(sandbox: Running, visitor: Visitor, app: str, path: str) -> None:
    found = visitor.send("GET", path)
    assert found.status_code == (404 if path.endswith("x.json") else 200)
    assert visitor.send("GET", path, headers={"cookie": "-"}).status_code == 401
    assert visitor.send("GET", path, headers={PAGE_HEADER: "x"}).status_code == 401
    assert visitor.send("GET", path, headers={PAGE_HEADER: "-"}).status_code == 401
    assert visitor.send("GET", path, headers={"cookie": "-", "authorization": f"Key {sandbox.caller_key}"}).status_code == 401
    assert visitor.send("GET", path, headers={"cookie": "-", "authorization": "Key a:b"}).status_code == 401
    with client_of(sandbox, key=sandbox.owner_key) as owner:
        assert owner.get(path).status_code == found.status_code
    assert found.json()["notice"] == NOTICE
    assert visitor.send("GET", path, headers={"cookie": "-"}).json()["notice"] == NOTICE


def test_an_ended_session_is_over(visitor: Visitor) -> None:
    assert visitor.send("DELETE", "/sandbox/session").status_code == 200
    assert visitor.send("GET", "/sandbox/overview.json").status_code == 401


@pytest.mark.parametrize("path", ["/", "/models/sandbox-owner/painted", "/models/no/such", "/sandbox/open"])
def test_every_page_says_what_it_is_and_how_to_get_in(stranger: Visitor, app: str, path: str) -> None:
    page = stranger.send("GET", path)
    assert page.status_code == 200
    assert NOTICE in page.text
    assert "lorasmith sandbox open" in page.text
    assert app not in page.text
    assert "sandbox-owner" not in page.text


def test_pages_run_nothing_but_their_own_scripts(visitor: Visitor) -> None:
    page = visitor.send("GET", "/")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["form-action"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' data: blob:"
    assert page.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", page.text)
    for name in re.findall(r'(?:src|href)="(/sandbox/static/[^"]+)"', page.text):
        file = visitor.send("GET", name)
        assert file.headers["content-type"].startswith(("text/javascript", "text/css"))
    for path in ("static/page.html", "static/..%2fpages.py", "static/../../x", "no/such"):
        assert visitor.send("GET", f"/sandbox/{path}").status_code == 404


def test_the_playground_reaches_the_queue_and_the_storage_and_nothing_else(visitor: Visitor, sandbox: Running, app: str) -> None:
    for path in ("files/missing_hashes", "sandbox/link", "users/current", "storage/put/x", f"{sandbox.owner}/painted", "v1/models"):
        assert visitor.send("POST", f"/sandbox/as/sandbox-owner/{path}", json={"hashes": []}).status_code == 404
    assert visitor.send("POST", "/sandbox/as/somebody/queue/a/b", json={}).status_code == 404
    ticket = visitor.send("POST", f"/sandbox/as/sandbox-caller/queue/{sandbox.owner}/painted", json={"prompt": "a"})
    assert ticket.json()["status"] == "IN_QUEUE"


def test_an_app_shows_a_browser_nothing_that_could_act_on_the_pages() -> None:
    """Apps and stored files answer on the origin of the pages: isolated for browsers, untouched for other clients."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"set-cookie", b"a=b"), (b"content-security-policy", b"script-src *"), (b"x-fal-billable-units", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    def headers_of(path: str, *sent: tuple[bytes, bytes]) -> dict[bytes, bytes]:
        seen: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            seen.append(message)

        scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"127.0.0.1:9"), *sent]}
        asyncio.run(Guard(application, address="127.0.0.1:9")(scope, None, send))  # type: ignore[arg-type]
        return dict(seen[0]["headers"])

    browser = (b"sec-fetch-mode", b"navigate")
    assert headers_of("/owner/app", browser) == {b"x-fal-billable-units": b"1", ISOLATED[0]: ISOLATED[1]}
    assert headers_of("/storage/files/1/a.html", browser)[ISOLATED[0]] == ISOLATED[1]
    assert headers_of("/sandboxed/app", browser)[ISOLATED[0]] == ISOLATED[1]
    assert headers_of("/owner/app")[b"set-cookie"] == b"a=b"
    assert headers_of("/models/owner/app", browser)[b"content-security-policy"] == b"script-src *"


def test_no_token_is_written_anywhere(visitor: Visitor, home: Path, app: str) -> None:
    link = control.link(home)
    visitor.send("GET", "/sandbox/overview.json")
    secrets = (link.partition("#")[2], visitor.cookie, visitor.page)
    assert all(len(secret) > 30 for secret in secrets)
    folder = home / "sandbox"
    files = [path for path in folder.rglob("*") if path.is_file() and "stages" not in path.parts]
    assert len(files) > 5
    assert not [path for path in files if any(secret.encode() in path.read_bytes() for secret in secrets)]


def test_revenue_and_requests_are_those_of_the_ledger(
    visitor: Visitor, owner: Deployer, sandbox: Running, home: Path, app: str
) -> None:
    with client_of(sandbox, key=sandbox.caller_key) as caller:
        reply = caller.post(f"/{sandbox.owner}/painted", json={"prompt": "a", "num_images": 2})
        caller.post(f"/{sandbox.owner}/painted", json={})
    rows = [row for row in control.ledger(home) if row["app"] == "painted"]
    seen = visitor.send("GET", "/sandbox/overview.json").json()
    (shown,) = (entry for entry in seen["apps"] if entry["name"] == "painted")
    assert (shown["requests"], shown["units"]) == (len(rows), sum(float(row["units"] or 0) for row in rows))
    assert shown["refused"] >= 1
    assert shown["revenue_nano"] == sum(row["cost_nano"] or 0 for row in rows if row["payer"] not in (None, row["owner"]))
    assert {row["request_id"] for row in rows} <= {row["request_id"] for row in seen["requests"]}
    request_id = reply.headers["x-fal-request-id"]
    assert visitor.send("GET", f"/sandbox/requests/{request_id}.json").json()["units"] == 2
    (runner,) = (entry for entry in seen["runners"] if entry["app"] == "painted")
    assert (runner["state"], runner["revision"]) == ("IDLE", app)
    assert sum(bar["requests"] for bar in seen["recent"]["bars"]) >= 2
    assert json.dumps(seen).count(sandbox.owner_key.split(":")[1]) == 0


def test_the_owner_s_own_calls_are_no_revenue(tmp_path: Path) -> None:
    state = State(tmp_path / "state.db")
    ledger, tally = Ledger(state.db), Tally(state.db)
    Prices(state.db).set(f"{OWNER}/app", 20_000_000, unit="image")
    ledger.record(entry(request_id="sold"))
    ledger.record(entry(request_id="own", caller=OWNER))
    (found,) = tally.sums().values()
    assert (found.requests, found.units, found.revenue_nano) == (2, 2.0, 20_000_000)
    assert found.revenue_nano == sum(line.gross_nano for line in revenue(state.db, OWNER))
    state.close()
