"""Where a card's license_link points: into the repository, to another one on the Hub, to a licence's own page, or elsewhere."""

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from licenses.catalogue import Catalogue, Model
from licenses.errors import flat
from licenses.evidence import Evidence, Parent, Problem
from licenses.filenames import kind_of
from licenses.lookalike import bars

HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
PLACES = frozenset({"blob", "resolve", "raw", "tree"})
LICENSE_HOSTS = {"opensource.org", "spdx.org", "choosealicense.com", "www.apache.org", "apache.org", "creativecommons.org"}
CREATIVE = re.compile(r"/(licenses/[a-z-]+|publicdomain/zero)/(\d\.\d)")
CARD = "README.md"


def linked_repo(evidence: Evidence, id: str) -> Parent | None:
    """The other repository on the Hub whose licence the card points at."""
    link = evidence.card.license_link if evidence.card else None
    if not link or urlsplit(link).hostname not in HUB_HOSTS:
        return None
    repo = "/".join(_parts(link)[:2])
    return None if repo.casefold() == id.casefold() else Parent(name=repo, quote=flat(link)[:200])


def against_link(evidence: Evidence, id: str, license: str | None, row: Model | None, catalogue: Catalogue) -> Iterator[Problem]:
    """What a link says against the text that lies in the source. The link itself is never followed."""
    link = evidence.card.license_link if evidence.card else None
    if not link:
        return
    for model in (one for one in catalogue.models.values() if one.repo.casefold() in link.casefold() and bars(one, catalogue)):
        text = f"license_link points at {model.repo}, whose licence bars this; ask the author which licence holds"
        yield Problem(code="link_contradicts", text=text, file=CARD)
    host = urlsplit(link).hostname
    if not host or (host in HUB_HOSTS and linked_repo(evidence, id) is None):
        yield from _inside(link, evidence, catalogue)
    elif host in LICENSE_HOSTS:
        yield from _page(link, license, catalogue)
    elif host not in HUB_HOSTS and row is None:
        text = (
            f"license_link points off the Hub ({flat(link)[:80]}), where terms can change without a commit, and is not followed; "
            "ask the author to put those terms into the repository"
        )
        yield Problem(code="link_off_hub", text=text, file=CARD)


def _inside(link: str, evidence: Evidence, catalogue: Catalogue) -> Iterator[Problem]:
    """A path in the source has to be one of the texts that were read, or the card."""
    parts = _parts(link)
    if urlsplit(link).hostname:
        parts = parts[4:] if parts[2:3] and parts[2] in PLACES else parts[2:]
    path = "/".join(parts).removeprefix("./").casefold()
    if not path or path == CARD.casefold() or catalogue.licenses_of_tag(path):
        return
    known = {one.casefold(): one for one in evidence.files}
    stems = {one.rpartition(".")[0] or one for one in known if kind_of(one)}
    if path not in known and path not in stems and path.rpartition(".")[0] not in {*known, *stems}:
        text = f"license_link points at {flat(path)[:80]}, which is not there; ask the author for the text that is meant"
        yield Problem(code="link_broken", text=text, file=CARD)
    elif path in known and kind_of(known[path]) is None:
        text = f"license_link points at {flat(path)[:80]}, which is not named as a licence text; put it there as LICENSE"
        yield Problem(code="link_unread", text=text, file=CARD)


def _page(link: str, license: str | None, catalogue: Catalogue) -> Iterator[Problem]:
    """The page of a licence has to be that of the text."""
    meant = _licenses_of_page(link, catalogue)
    if license is not None and license not in meant:
        text = f"license_link points at {flat(link)[:80]}, the licence text is {catalogue.licenses[license].name}; ask the author"
        yield Problem(code="link_contradicts", text=text, file=CARD)


def _licenses_of_page(link: str, catalogue: Catalogue) -> frozenset[str]:
    path = urlsplit(link).path.casefold()
    creative = CREATIVE.search(path)
    if creative:
        kind = creative[1].removeprefix("licenses/").replace("publicdomain/zero", "0")
        return catalogue.licenses_of_tag(f"cc{'' if kind == '0' else '-'}{kind}-{creative[2]}")
    name = re.sub(r"\.(?:html?|txt|php)$", "", (_parts(link) or [""])[-1].casefold())
    return catalogue.licenses_of_tag(name) or catalogue.licenses_of_tag(name.replace("license-", "apache-"))


def _parts(link: str) -> list[str]:
    return [part for part in unquote(urlsplit(link).path).split("/") if part and part != "."]
