"""Credit as CC licences ask for it: what it is, who made it and where it is from, under which licence, and what was changed."""

import re

from licenses.catalogue import License
from licenses.errors import flat
from licenses.hub import REPO
from licenses.node import DATA, Node

COMMIT = re.compile(r"[0-9a-f]{40}")
HUB = "https://huggingface.co/"
CC = re.compile(r"CC-(?P<kind>BY(?:-[A-Z]{2})*)-(?P<version>\d\.\d)")
CHANGES = {
    "dataset": "scaled, cropped and encoded to train the adapter; the pictures themselves are not part of this work",
    "base": "a LoRA adapter is fused into its weights",
    "adapter": "fused into the weights of the base",
}
UNCHANGED = "used as it was found, beside a changed base"


def credit(node: Node, licence: License) -> str:
    """One line of credit for an asset, or for the items of a dataset that share author, source and licence."""
    title = ", ".join(flat(item.title) for item in node.items) or node.id
    author = f" by {flat(node.author)}" if node.author else ""
    source = f", from {flat(node.source).rstrip('.')}" if node.source else ""
    address = address_of(node)
    place = f", {address}" + (f" at {node.revision}" if node.revision else "") if address else ""
    changes = CHANGES["dataset" if node.role in DATA else node.role] if node.role in (*CHANGES, *DATA) else UNCHANGED
    return f"{title}{author}{source}{place}. Licence: {licence.name}{_linked(licence)}. Changes: {changes}."


def address_of(node: Node) -> str | None:
    """Where an asset of the Hub is to be found; None for a folder."""
    return hub_address(node.id, node.revision, data=node.role in DATA)


def hub_address(id: str, revision: str | None, *, data: bool) -> str | None:
    """The page of a Hub id at a commit: the revision of a folder is no commit, and a part of a repository is no repository."""
    if not REPO.fullmatch(id) or not COMMIT.fullmatch(revision or ""):
        return None
    return f"{HUB}{'datasets/' if data else ''}{id}"


def link_of(spdx: str | None) -> str | None:
    """The page of an SPDX licence: the deed for those of Creative Commons, which want it linked."""
    if spdx is None:
        return None
    creative = CC.fullmatch(spdx)
    if creative:
        return f"https://creativecommons.org/licenses/{creative['kind'].lower()}/{creative['version']}/"
    return f"https://spdx.org/licenses/{spdx}.html"


def _linked(licence: License) -> str:
    link = link_of(licence.spdx)
    return f", {link}" if link else ""
