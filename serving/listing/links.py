"""Links of pages and card, as far as they go without a network: places, files beside, the form of what is elsewhere."""

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from posixpath import normpath
from urllib.parse import unquote, urlsplit

from serving.listing.findings import Finding, error, note
from serving.listing.model import Listing

MARKDOWN = re.compile(r"(?<!\\)\]\((?P<target>[^()\s]+)\)")
ADDRESS = re.compile(r"\bhttps?://[^\s\"'`<>()\\]+[^\s\"'`<>()\\.,;:]")
HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}|127\.0\.0\.1|localhost")
PAGES = ("index.html", "MODEL_CARD.md", "about.md", "llms.txt", "PRICING.md")
SHOWN = 6


class _Page(HTMLParser):
    """Targets of links and pictures, and places that can be led to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.targets += [value for name in ("href", "src") if (value := given.get(name))]
        if given.get("property") in ("og:image", "og:url"):
            self.targets.append(given.get("content") or "")
        self.places |= {value for name in ("id", "name") if (value := given.get(name))}


def linked(listing: Listing, files: Mapping[str, bytes]) -> Iterator[Finding]:
    """Errors for links that lead nowhere; one note with the addresses elsewhere, which were not asked."""
    elsewhere = {address for address in (listing.metadata.model_url, listing.metadata.github_url) if address}
    for page in PAGES:
        text = files.get(page, b"").decode("utf-8", "replace")
        targets, places = _read(page, text)
        for target in targets:
            if target.startswith("data:"):
                continue
            if urlsplit(target).scheme:
                elsewhere.add(target)
            elif fault := _beside(page, target, places, files):
                yield error("link", page, fault)
    for address in sorted(elsewhere):
        if fault := malformed(address):
            yield error("link", "links", f"{address!r} {fault}")
    if good := sorted(address for address in elsewhere if not malformed(address)):
        more = f" and {len(good) - SHOWN} more" if len(good) > SHOWN else ""
        yield note("link-not-asked", "links", f"well-formed, not asked from here: {', '.join(good[:SHOWN])}{more}")


def malformed(address: str) -> str | None:
    """What is wrong with an address elsewhere; None where it is https to a host that can be."""
    parts = urlsplit(address)
    if parts.scheme == "mailto":
        return None if "@" in parts.path else "is no mail address"
    if parts.scheme != "https":
        return f"goes by {parts.scheme}; only https is linked to"
    if not HOST.fullmatch(parts.hostname or "") or parts.username:
        return "names no host"
    return None


def _read(page: str, text: str) -> tuple[list[str], set[str]]:
    """Targets of a page, and its places. Addresses in the running text and in code are targets too, links or not."""
    written = list(dict.fromkeys(ADDRESS.findall(re.sub(r"data:[^\"]+", "", text))))
    if page.endswith(".html"):
        parsed = _Page(text)
        return [*parsed.targets, *written], parsed.places
    return [*(match["target"] for match in MARKDOWN.finditer(text)), *written], set()


def _beside(page: str, target: str, places: set[str], files: Mapping[str, bytes]) -> str | None:
    path, _, place = target.partition("#")
    if not path:
        return None if place in places else f"#{place} leads nowhere on the page"
    return None if normpath(unquote(path)) in files else f"{target} is no file beside the page"
