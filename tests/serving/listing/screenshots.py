"""Pictures of a listing: `python -m tests.serving.listing.screenshots OUT [LISTING [HOME]]`.

LISTING is a folder with index.html; without it one is drafted from the material of the tests. Its page goes to OUT, on a desk and
on a phone, in the light and in the dark, with the card and the mails as a mail client shows them. HOME is the home of the sandbox
that its app runs on: with it, the playground draws a picture there.
"""

import email
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.policy import default
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, Page

from serving.sandbox import control
from tests.serving.listing.browser import Scheme, chromium, looking
from tests.serving.listing.material import drafted
from tests.serving.sandbox.browsing import chromium as trusting

SHOTS: tuple[tuple[str, int, int, Scheme], ...] = (
    ("desk-light", 1280, 900, "light"),
    ("desk-dark", 1280, 900, "dark"),
    ("phone-light", 390, 844, "light"),
    ("phone-dark", 390, 844, "dark"),
)
MOST_BYTES = 600_000
SCALES = (0.8, 0.6, 0.5, 0.4)
PATIENCE = 120_000  # milliseconds: a runner may have to start, and this computer may have other work


def main() -> None:
    out, given = Path(sys.argv[1]), sys.argv[2:]
    out.mkdir(parents=True, exist_ok=True)
    with listing(given) as folder, chromium() as browser:
        for name, width, height, scheme in SHOTS:
            with looking(browser, folder / "index.html", width=width, height=height, scheme=scheme) as (page, _):
                page.set_default_timeout(PATIENCE)
                taken(page, out / f"{name}.png")
                taken(page, out / f"{name}-top.png", whole=False)
        for png in ("social.png", "thumbnail.png"):
            lightened((folder / png).read_bytes(), out / png)
        for mail in ("request.eml", "first-request.eml", "changelog.eml"):
            if (folder / mail).is_file():
                text = letter((folder / mail).read_bytes())
                (out / mail).with_suffix(".txt").write_text(text, encoding="utf-8")
                print((out / mail).with_suffix(".txt"))
    if len(given) > 1:
        tried(out, Path(given[0]) / "index.html", Path(given[1]))


@contextmanager
def listing(given: list[str]) -> Iterator[Path]:
    if given:
        yield Path(given[0])
        return
    with TemporaryDirectory() as scratch:
        drafted(Path(scratch) / "draft")
        yield Path(scratch) / "draft"


def taken(page: Page, path: Path, *, whole: bool = True) -> None:
    """A picture of the page; what loads late is loaded first."""
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth)")
    lightened(page.screenshot(full_page=whole), path)


def lightened(png: bytes, path: Path) -> None:
    """The picture as it is where it fits into MOST_BYTES, else in 256 colours and smaller until it does."""
    with Image.open(io.BytesIO(png)) as picture:
        whole = picture.convert("RGB")
    kept = encoded(whole)
    for size in SCALES:
        if len(kept) <= MOST_BYTES:
            break
        smaller = whole.resize((round(whole.width * size), round(whole.height * size)), Image.Resampling.LANCZOS)
        kept = encoded(smaller.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.FLOYDSTEINBERG))
    path.write_bytes(kept)
    print(path, f"{len(kept):,} bytes")


def encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def letter(content: bytes) -> str:
    """Headers, text and attachments of a mail, as a mail client shows them."""
    message = email.message_from_bytes(content, policy=default)
    body = message.get_body(("plain",))
    heads = [f"{name}: {message[name]}" for name in ("From", "To", "Subject")]
    files = [f"[{part.get_filename()}, {len(part.get_payload(decode=True) or b''):,} bytes]" for part in message.iter_attachments()]
    return "\n".join([*heads, "", body.get_content().rstrip() if body else "", "", *files]).rstrip() + "\n"


def tried(out: Path, file: Path, home: Path) -> None:
    """The playground after a call of the app on the sandbox of `home`, which is started where it is not up."""
    was_up = control.status(home) is not None
    running = control.up(home)
    try:
        with trusting(home) as browser:
            for name, width, height, scheme in (SHOTS[0], SHOTS[3]):
                drawn(browser, file, out / f"playground-{name}.png", running.caller_key, width, height, scheme)
    finally:
        if not was_up:
            control.down(home)


def drawn(browser: Browser, file: Path, path: Path, key: str, width: int, height: int, scheme: Scheme) -> None:
    with looking(browser, file, width=width, height=height, scheme=scheme) as (page, _):
        page.set_default_timeout(PATIENCE)
        page.get_by_label("Your key").fill(key)
        page.get_by_label("Pictures", exact=True).fill("2")
        page.get_by_label("Seed", exact=True).fill("7")
        page.get_by_role("button", name="Draw").click()
        page.wait_for_selector("#try-result img")
        lightened(page.locator("#playground").screenshot(), path)


if __name__ == "__main__":
    main()
