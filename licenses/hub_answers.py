"""What the Hub answers: its description of a repository as data, and each of its refusals as a reason."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from licenses.errors import SourceFailure, flat
from licenses.evidence import RELATIONS, Parent

NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}(?<![.-])"
REPO = re.compile(rf"(?!.*(?:--|\.\.|\.git$)){NAME}/{NAME}")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
FILE = "api.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A repository at one revision; `repo` is the name that the Hub gives it, which differs after a rename.

    `licenses` are the tags that the Hub reads out of card data, `named` those among its own tags; None where it says nothing.
    `written` are parents that it has from the card, `parents` all that it knows.
    """

    repo: str
    revision: str
    files: tuple[str, ...]
    licenses: frozenset[str] | None = None
    license_name: str | None = None
    named: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()
    parents: tuple[Parent, ...] = ()
    datasets: tuple[str, ...] = ()
    gated: bool = False
    private: bool = False
    disabled: bool = False
    raw: bytes = b""


def listing_of(raw: bytes, repo: str, revision: str | None) -> Listing:
    """The listing in an answer; SourceFailure hub_bad_answer where it does not hold or is of another commit."""
    try:
        listing = _listing(json.loads(raw), raw)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        text = f"{repo}: the Hub's answer does not hold ({flat(error)[:80]}); try again later"
        raise SourceFailure("hub_bad_answer", text) from None
    if revision and re.fullmatch(r"[0-9a-f]{40}", revision) and listing.revision != revision:
        text = f"{repo}: asked for commit {revision[:12]}, the Hub answered with {listing.revision[:12]}; check the revision"
        raise SourceFailure("hub_bad_answer", text)
    return listing


def raise_for(status: int, code: str, what: str) -> None:
    """SourceFailure of a status that is not 200; deleted and private look the same from outside, and the text says so."""
    if status == 200:
        return
    table = (
        (code == "GatedRepo", "hub_gated", "asks for its terms to be accepted; accept them on its page and set HF_TOKEN"),
        (code == "RevisionNotFound", "hub_revision_not_found", "has no such revision; name a commit of it"),
        (code == "DisabledRepo", "hub_disabled", "was taken down by the Hub; choose another base"),
        (code == "EntryNotFound", "hub_file_gone", "is listed but not there; try again later"),
        (
            code == "RepoNotFound",
            "hub_not_found",
            "does not exist, was deleted or is private (the Hub does not tell which); check the name or set HF_TOKEN",
        ),
        (status == 404, "hub_not_found", "is not there (404), and the answer names no reason; check the name and HF_ENDPOINT"),
        (status in (401, 403), "hub_refused", f"was refused without a reason (HTTP {status}); check the name and HF_TOKEN"),
        (status == 429, "hub_rate_limited", "was refused for too many requests; try again in some minutes"),
        (status >= 500, "hub_error", f"could not be served (HTTP {status}); try again later"),
    )
    for holds, reason, text in table:
        if holds:
            raise SourceFailure(reason, f"{what} {text}")
    raise SourceFailure("hub_bad_answer", f"{what} was answered with HTTP {status}; try again later")


def _listing(value: Any, raw: bytes) -> Listing:
    repo, revision = value.get("id") or value["modelId"], value["sha"]
    files = tuple(sorted(one["rfilename"] for one in value["siblings"]))
    if not (isinstance(repo, str) and REPO.fullmatch(repo) and isinstance(revision, str) and REVISION.fullmatch(revision)):
        raise ValueError("id or sha is not what a repository has")
    if not all(isinstance(path, str) and not path.startswith("/") and ".." not in path.split("/") for path in files):
        raise ValueError("a file name leaves the repository")
    card, tags = value.get("cardData"), [one for one in value.get("tags") or () if isinstance(one, str)]
    written = [*_parents_of_card(card or {}), *_parents_of_tags(tags)]
    known = {parent.name.casefold(): parent for parent in [*_parents_of_tree(value.get("baseModels")), *reversed(written)]}
    return Listing(
        repo=repo,
        revision=revision,
        files=files,
        licenses=None if card is None else frozenset(one.strip().casefold() for one in _names(card.get("license"))),
        license_name=(card or {}).get("license_name"),
        named=frozenset(tag.removeprefix("license:").casefold() for tag in tags if tag.startswith("license:")),
        written=frozenset(parent.name.casefold() for parent in written),
        parents=tuple(known[name] for name in sorted(known)),
        datasets=tuple(sorted(tag.removeprefix("dataset:") for tag in tags if tag.startswith("dataset:"))),
        gated=bool(value.get("gated")),
        private=bool(value.get("private")),
        disabled=bool(value.get("disabled")),
        raw=raw,
    )


def _names(value: Any) -> list[str]:
    """Texts of a field that holds one or several; anything else in it is told as it is written."""
    listed = value if isinstance(value, list) else [] if value is None else [value]
    return [one if isinstance(one, str) else repr(one)[:60] for one in listed]


def _parents_of_card(card: Mapping[str, Any]) -> list[Parent]:
    said = card.get("base_model_relation")
    relation = said if said in RELATIONS else "ancestor"
    return [Parent(name=name.strip(), relation=relation, file=FILE) for name in _names(card.get("base_model"))]


def _parents_of_tags(tags: list[str]) -> list[Parent]:
    found = []
    for tag in tags:
        kind, _, rest = tag.partition(":")
        relation, _, name = rest.rpartition(":")
        if kind == "base_model" and name:
            found.append(Parent(name=name, relation=relation if relation in RELATIONS else "ancestor", file=FILE))
    return sorted(found, key=lambda parent: parent.relation == "ancestor")


def _parents_of_tree(tree: Any) -> list[Parent]:
    """The base-model tree: {"relation": ..., "models": [{"id": ...}]}; a plain list of ids is read as well."""
    said = tree.get("relation") if isinstance(tree, dict) else None
    models = (tree.get("models") if isinstance(tree, dict) else tree) or ()
    relation = said if said in RELATIONS else "ancestor"
    return [Parent(name=str(one["id"] if isinstance(one, dict) else one), relation=relation, file=FILE) for one in models]
