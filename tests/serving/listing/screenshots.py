"""Pictures of a listing's page: `python -m tests.serving.listing.screenshots OUT [LISTING]`.

LISTING is a folder with index.html; without it one is drafted from the material of the tests.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page

from tests.serving.listing.browser import Scheme, opened
from tests.serving.listing.material import drafted

SHOTS: tuple[tuple[str, int, int, Scheme], ...] = (("desktop-light", 1280, 900, "light"), ("phone-dark", 390, 844, "dark"))


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    with listing(sys.argv[2:]) as folder:
        for name, width, height, scheme in SHOTS:
            with opened(folder / "index.html", width=width, height=height, scheme=scheme) as (page, _):
                taken(page, out / f"{name}.png")
                taken(page, out / f"{name}-top.png", whole=False)


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
    page.screenshot(path=path, full_page=whole)
    print(path)


if __name__ == "__main__":
    main()
