"""A headless Chromium that looks at a page on this disk, and writes down what it says and asks for."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

Scheme = Literal["light", "dark"]
OPTIONS = ("--disable-gpu", "--disable-quic", "--no-sandbox")


@contextmanager
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("no Chromium on this machine; run: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(OPTIONS))
        yield browser
        browser.close()


@contextmanager
def looking(browser: Browser, file: Path, *, width: int, height: int, scheme: Scheme) -> Iterator[tuple[Page, list[str]]]:
    """The page in a window of that size, and what it complained of or asked of the network."""
    reduced: Literal["reduce"] = "reduce"
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion=reduced)
    page, complaints = context.new_page(), list[str]()
    page.set_default_timeout(10_000)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    page.goto(file.as_uri())
    yield page, complaints
    context.close()


@contextmanager
def opened(file: Path, *, width: int, height: int, scheme: Scheme) -> Iterator[tuple[Page, list[str]]]:
    """looking(), with a browser of its own."""
    with chromium() as browser, looking(browser, file, width=width, height=height, scheme=scheme) as both:
        yield both
