"""The page's playground as people use it: against a sandbox with an app that paints, by key alone, in the dark and on a phone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from serving.sandbox import control
from serving.sandbox.control import Running
from tests.serving.axe import audited
from tests.serving.listing.browser import Scheme
from tests.serving.listing.material import TEXTS, drafted, release, settings
from tests.serving.sandbox.browsing import Watched
from tests.serving.sandbox.browsing import chromium as trusting
from tests.serving.sandbox.deployer import Deployer
from tests.serving.sandbox.painted import deploy_pictures

APP = "clay"
WINDOWS = [("phone", 390, 844), ("desk", 1280, 900)]
KEPT = "JSON.stringify([localStorage.length, sessionStorage.length, document.cookie, history.length, location.href])"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def sandbox(home: Path) -> Iterator[Running]:
    running = control.up(home)
    deployer = Deployer(running)
    deploy_pictures(deployer, APP)
    deployer.close()
    yield running
    control.down(home)


@pytest.fixture(scope="module")
def browser(home: Path, sandbox: Running) -> Iterator[Browser]:
    with trusting(home) as opened:
        yield opened


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, sandbox: Running) -> Path:
    """The page of a listing whose release is that app on that sandbox, at 3 cents a unit."""
    out = tmp_path_factory.mktemp("listing") / "draft"
    urls = {"run": f"https://{sandbox.address}/{sandbox.owner}/{APP}"}
    known = settings()
    known["limits"] |= {"min_side": 64, "max_side": 512, "max_area": 512 * 512}
    known |= {"default_size": {"width": 128, "height": 96}, "pipeline": {"negative_prompt": True}}
    drafted(out, release=release() | {"urls": urls}, settings=known, texts=replace(TEXTS, price_usd=0.03), prompts=2, seeds=1)
    return out / "index.html"


@contextmanager
def playing(browser: Browser, file: Path, *, width: int = 1280, height: int = 900, scheme: Scheme = "light") -> Iterator[Page]:
    """The page, of which nothing is complained and which asks nobody but the sandbox that it names."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
    watched = Watched(context.new_page())
    watched.page.goto(file.as_uri())
    yield watched.page
    context.close()
    assert watched.complaints == []
    assert not [url for url in watched.asked if not url.startswith(("file:", "data:", "https://127.0.0.1:"))]


def filled(page: Page, key: str, prompt: str = "hills at dusk") -> None:
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_label("Your key").fill(key)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "width", "height"), WINDOWS)
def test_a_prompt_becomes_a_picture_and_a_bill(
    browser: Browser, file: Path, sandbox: Running, name: str, width: int, height: int, scheme: Scheme
) -> None:
    with playing(browser, file, width=width, height=height, scheme=scheme) as page:
        before = page.evaluate(KEPT)
        filled(page, sandbox.caller_key)
        page.get_by_label("Pictures", exact=True).fill("2")
        page.get_by_label("Seed", exact=True).fill("42")
        page.get_by_role("button", name="Draw").click()
        pictures = page.locator("#try-result img")
        expect(pictures).to_have_count(2)
        assert page.evaluate("[...document.querySelectorAll('#try-result img')].map(one => one.naturalWidth)") == [128, 128]
        expect(pictures.first).to_have_attribute("alt", "Drawn for “hills at dusk”, seed 42")
        expect(page.get_by_role("status")).to_contain_text("Billed: 2 units, $0.06 at $0.03 a unit.")
        expect(page.locator("#try-failure")).to_be_empty()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(KEPT) == before
        assert sandbox.caller_key not in page.content()
        assert audited(page) == []


def test_all_of_it_goes_by_keyboard(browser: Browser, file: Path, sandbox: Running) -> None:
    with playing(browser, file) as page:
        page.get_by_label("Prompt", exact=True).focus()
        page.keyboard.press("Control+a")
        page.keyboard.type("ridges by moonlight")
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "try-key":
                break
        page.keyboard.type(sandbox.caller_key)
        page.keyboard.press("Enter")
        expect(page.locator("#try-result img")).to_have_attribute("alt", "Drawn for “ridges by moonlight”, seed 7")
        expect(page.get_by_role("status")).to_contain_text("Billed: 1 unit, $0.03")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "try-send"


def test_what_is_left_alone_is_not_sent_but_in_the_defaults(browser: Browser, file: Path, sandbox: Running) -> None:
    with playing(browser, file) as page:
        filled(page, sandbox.caller_key)
        with page.expect_request(lambda request: request.method == "POST") as asked:
            page.get_by_role("button", name="Draw").click()
        expect(page.locator("#try-result img")).to_have_count(1)
        assert sandbox.caller_key not in asked.value.url
        assert asked.value.headers["authorization"] == f"Key {sandbox.caller_key}"
        assert json.loads(asked.value.post_data or "") == {
            "prompt": "hills at dusk",
            "num_images": 1,
            "lora_scale": 1,
            "image_size": {"width": 128, "height": 96},
            "num_inference_steps": 24,
            "guidance_scale": 3.5,
            "output_format": "jpeg",
            "sync_mode": True,
        }


@pytest.mark.parametrize(
    ("prompt", "key", "says"),
    [
        (
            "forbidden fruit",
            None,
            "422: the request was refused (prompt: The prompt is against the content policy.). Billed: 0 units",
        ),
        ("busy street", None, "429: too many requests wait; try again (Too many pictures wait.)."),
        ("hills", "made:up", "401: the key was not accepted"),
        ("hills", "", "Key: "),
        ("hills", "two words", "Key: paste a key of yours; it has no spaces."),
        (" ", "made:up", "422"),
        ("", "made:up", "Prompt: "),
    ],
)
def test_an_error_is_one_clear_line(
    browser: Browser, file: Path, sandbox: Running, prompt: str, key: str | None, says: str
) -> None:
    with playing(browser, file) as page:
        filled(page, sandbox.caller_key if key is None else key, prompt)
        page.get_by_role("button", name="Draw").click()
        if says == "422":
            says = "401"  # the key is looked at first
        expect(page.get_by_role("alert")).to_contain_text(says)
        assert "\n" not in page.get_by_role("alert").inner_text()
        expect(page.locator("#try-result img")).to_have_count(0)
        expect(page.get_by_role("button", name="Draw")).not_to_have_attribute("aria-disabled", "true")


def test_withheld_pictures_are_told_of_and_not_billed(browser: Browser, file: Path, sandbox: Running) -> None:
    with playing(browser, file) as page:
        filled(page, sandbox.caller_key, "partly cloudy")
        page.get_by_label("Pictures", exact=True).fill("2")
        page.get_by_role("button", name="Draw").click()
        expect(page.get_by_role("status")).to_contain_text("1 not delivered and not billed: content policy. Billed: 1 unit, $0.03")


def test_a_long_call_can_be_stopped(browser: Browser, file: Path, sandbox: Running) -> None:
    with playing(browser, file) as page:
        filled(page, sandbox.caller_key, "slow river")
        page.get_by_role("button", name="Draw").click()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("alert")).to_contain_text("Stopped.")
        expect(page.get_by_role("button", name="Draw")).to_be_focused()


def test_the_key_goes_to_nobody_that_the_page_may_not_ask(browser: Browser, file: Path, sandbox: Running) -> None:
    context: BrowserContext = browser.new_context()
    page, asked = context.new_page(), list[str]()
    page.goto(file.as_uri())
    page.on("request", lambda request: asked.append(request.url))
    filled(page, sandbox.caller_key)
    page.get_by_label("Endpoint", exact=True).fill("https://example.org/studio/clay")
    page.get_by_role("button", name="Draw").click()
    expect(page.get_by_role("alert")).to_contain_text("is not one this page may ask")
    assert [url for url in asked if "example.org" in url] == []
    context.close()


def test_without_the_script_the_page_says_so_and_has_all_else(browser: Browser, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    expect(page.locator("#try")).to_be_hidden()
    expect(page.locator("#try-without")).to_be_visible()
    expect(page.get_by_role("heading", name="Quick start")).to_be_visible()
    context.close()


def test_what_was_typed_is_gone_after_coming_back(browser: Browser, file: Path, sandbox: Running) -> None:
    with playing(browser, file) as page:
        filled(page, sandbox.caller_key)
        page.goto("about:blank")
        page.go_back()
        expect(page.get_by_label("Your key")).to_have_value("")
