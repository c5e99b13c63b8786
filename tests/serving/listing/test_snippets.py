"""What the page tells callers to copy is copied from the page and run: by client, by cURL, through the queue, with a webhook."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest

from serving.listing.render import llms_txt, page
from serving.listing.snippets import WEBHOOK
from serving.sandbox import control
from serving.sandbox.control import Running
from tests.serving.listing.browser import chromium
from tests.serving.listing.material import files_in, listing_in
from tests.serving.sandbox.deployer import Deployer, until
from tests.serving.sandbox.painted import deploy_pictures
from tests.serving.sandbox.receiver import is_signed, receiving

APP = "clay"
CLIENT = """export const fal = {
  subscribe: async (...asked) => { globalThis.asked = asked; return { data: { images: [{ url: "here" }] } }; } };"""


class Snippets(HTMLParser):
    """What stands under each tab, as a reader copies it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._tab = ""
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "input" and dict(attrs).get("name") == "language":
            self._tab = dict(attrs)["value"] or ""
        self._inside = self._inside or (tag == "pre" and bool(self._tab))

    def handle_endtag(self, tag: str) -> None:
        if tag == "pre":
            self._inside, self._tab = False, ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[self._tab] = self.found.get(self._tab, "") + data


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A platform with an app that paints, under the name that the listing has."""
    home = tmp_path_factory.mktemp("home")
    running = control.up(home)
    deployer = Deployer(running)
    deploy_pictures(deployer, APP)
    deployer.close()
    yield running
    control.down(home)


@pytest.fixture(scope="module")
def copied(draft: Path, sandbox: Running) -> dict[str, str]:
    """The snippets of a page whose endpoint is that app, by tab."""
    listing = listing_in(draft)
    endpoint = f"{sandbox.owner}/{APP}"
    card = listing.metadata.model_copy(update={"model_url": f"https://fal.run/{endpoint}"})
    named = listing.model_copy(update={"endpoint_id": endpoint, "metadata": card})
    found = Snippets(page(named, files_in(draft))).found
    assert list(found) == ["Python", "JavaScript", "cURL", "Queue", "Webhook"]
    assert all(snippet in llms_txt(named) for snippet in found.values())
    return found


def run(sandbox: Running, *command: str) -> str:
    """Standard output of a caller's shell that knows the sandbox as fal."""
    environment = {**os.environ, **sandbox.env, "FAL_KEY": sandbox.caller_key, "CURL_CA_BUNDLE": str(sandbox.ca_file)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def shell(sandbox: Running, snippet: str, *, webhook: str = WEBHOOK) -> str:
    """A snippet in cURL, with the sandbox's addresses in the place of fal's."""
    at = {"https://fal.run/": f"https://{sandbox.address}/", "https://queue.fal.run/": f"https://{sandbox.address}/queue/"}
    for theirs, ours in {**at, WEBHOOK: webhook}.items():
        snippet = snippet.replace(theirs, ours)
    return run(sandbox, "bash", "-euo", "pipefail", "-c", snippet)


def test_python(sandbox: Running, copied: dict[str, str]) -> None:
    printed = run(sandbox, sys.executable, "-W", "ignore", "-c", copied["Python"])
    assert re.fullmatch(r"(https://|data:image/png).*\n", printed), printed[:200]


def test_curl(sandbox: Running, copied: dict[str, str]) -> None:
    answer = json.loads(shell(sandbox, copied["cURL"]))
    assert answer["images"][0]["width"] > 0
    asked = json.loads(re.search(r"-d '(.*)'", copied["cURL"])[1])  # type: ignore[index]
    assert (answer["prompt"], answer["seed"]) == (asked["prompt"], asked["seed"])


def test_queue(sandbox: Running, copied: dict[str, str]) -> None:
    status, _, result = shell(sandbox, copied["Queue"]).partition("\n")
    assert json.loads(status)["status"] == "COMPLETED"
    assert json.loads(result)["images"]


def test_webhook(sandbox: Running, copied: dict[str, str]) -> None:
    with receiving() as receiver:
        ticket = json.loads(shell(sandbox, copied["Webhook"], webhook=receiver.url))
        until(lambda: receiver.got)
    _, headers, body = receiver.got[0]
    told = json.loads(body)
    said = json.loads(re.search(r"(?m)^# (\{.*\})$", copied["Webhook"].replace("[...], ...", "[]"))[1])  # type: ignore[index]
    assert said.keys() <= told.keys()
    assert (told["request_id"], told["status"]) == (ticket["request_id"], "OK")
    assert said["payload"].keys() <= told["payload"].keys()
    assert headers["x-fal-webhook-request-id"] == ticket["request_id"]
    assert is_signed(headers, body, keys(sandbox))


def keys(sandbox: Running) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(run(sandbox, "curl", "-sS", f"https://{sandbox.address}/.well-known/jwks.json"))[
        "keys"
    ]
    return found


def test_javascript_is_a_module_that_asks_for_the_same(copied: dict[str, str]) -> None:
    """Its client is not there, so a module stands in its place that notes what it is asked."""
    code = copied["JavaScript"]
    module = code.replace('"@fal-ai/client"', json.dumps(f"data:text/javascript,{quote(CLIENT)}"))
    assert module != code
    with chromium() as browser:
        tab = browser.new_page()
        said: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.add_script_tag(content=module, type="module")
        tab.wait_for_function("globalThis.asked")
        endpoint, options = tab.evaluate("globalThis.asked")
        tab.wait_for_timeout(0)  # lets what was said come in
    assert said == ["here"]
    asked = json.loads(re.search(r"-d '(.*)'", copied["cURL"])[1])  # type: ignore[index]
    assert endpoint.endswith(f"/{APP}")
    assert options == {"input": asked}
