"""A headless Chromium that trusts one key: that of the sandbox's own certificate."""

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from serving.sandbox.control import Running

# Widths of the pictures of an answer, as they were decoded.
PIXELS = "[...document.querySelectorAll('.pictures img')].map(image => image.complete && image.naturalWidth)"
# Contrast (WCAG 2) of every piece of text that can be seen against what is painted behind it: [[ratio, text], ...] below 4.5.
FAINT = """() => {
  const parse = text => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(at).backgroundColor);
      if (a > 0.99) return [r, g, b];
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
  };
  return [...document.body.querySelectorAll("*")].filter(element => element.checkVisibility() && !element.disabled
    && [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())).map(element => {
    const [one, other] = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    return [(one + 0.05) / (other + 0.05), element.textContent.trim().slice(0, 40)];
  }).filter(([ratio]) => ratio < 4.5);
}"""


@contextmanager
def chromium(home: Path) -> Iterator[Browser]:
    """A browser for the sandbox of `home`."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("no Chromium on this machine; run: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=[f"--ignore-certificate-errors-spki-list={_pin(home)}", "--disable-gpu", "--disable-quic"]
        )
        yield browser
        browser.close()


class Watched:
    """A page whose console and requests are written down."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.set_default_timeout(10_000)
        page.on("console", lambda message: self._note(message))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def elsewhere(self, address: str) -> list[str]:
        """What was asked of anybody but the sandbox."""
        return [url for url in self.asked if not url.startswith((f"https://{address}/", "data:", "blob:"))]

    def sideways(self) -> int:
        """Pixels by which the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def faint(self) -> list[Any]:
        return list(self.page.evaluate(FAINT))


def playground(watched: Watched, sandbox: Running, name: str, *, endpoint: str = "") -> Locator:
    """The form of an app's endpoint."""
    watched.page.goto(f"https://{sandbox.address}/models/{sandbox.owner}/{name}/playground{endpoint}")
    form = watched.page.locator("form:visible")
    expect(form.get_by_role("button", name="Send")).to_be_visible()
    return form


def field(form: Locator, name: str) -> Locator:
    """The field of a name in the request; of those around each other the innermost."""
    return form.locator(".field", has=form.page.locator(f"label code:text-is('{name}'), .label code:text-is('{name}')")).last


def sent(page: Page) -> dict[str, Any]:
    """The body that stands under JSON."""
    found: dict[str, Any] = json.loads(page.locator(".snippet pre:visible").inner_text())
    return found


def _pin(home: Path) -> str:
    certificate = x509.load_pem_x509_certificate((home / "sandbox" / "tls" / "leaf.pem").read_bytes())
    key = certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()
