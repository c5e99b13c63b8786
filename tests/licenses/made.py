"""Verdicts over assets that are written down here: duties of every licence, without a repository or a folder to read."""

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Any

from licenses import notices
from licenses.catalogue import load
from licenses.duties import owed
from licenses.evidence import TextFile
from licenses.expression import expression
from licenses.node import Node
from licenses.policy import decide
from licenses.publisher import Publisher, Registration
from licenses.verdict import LicenseVerdict

DAY = load().licenses["mit"].as_of
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SMALL = Publisher(
    revenue_usd_ttm=1000,
    affiliates_revenue_usd_ttm=0,
    monthly_users=10,
    territories=("US",),
    geofence=("EU", "GB", "KR"),
    registrations=tuple(
        Registration(id=id, date=date(2026, 1, 2), proof="mail") for id in ("stability-community", "kolors", "cogvideox")
    ),
)
RESTRICTED = """Some Model Licence

1. You may use it.

Attachment A

Use Restrictions

You agree not to use the model or what derives from it:
- to break the law;
- to harm minors;
- to tell people what to do.
"""


def file_of(text: str, kind: str = "license", path: str = "LICENSE") -> TextFile:
    return TextFile(path=path, kind=kind, text=text, sha256=hashlib.sha256(text.encode()).hexdigest())


def asset(license: str | None, text: str | None = None, *, id: str = "made/base", role: str = "base", **fields: Any) -> Node:
    """An asset of the Hub whose licence was told by its text; without `text` one line stands for it."""
    file = file_of(f"The text of {license}.\n" if text is None else text) if license and text != "" else None
    return Node(id=id, role=role, license=license, identified_by="exact text", revision=COMMIT, text=file, **fields)


def verdict_of(nodes: Sequence[Node], publisher: Publisher = SMALL) -> dict[str, Any]:
    """The verdict over these assets as JSON, as `check` puts it together."""
    catalogue = load()
    uses = decide(nodes, publisher, catalogue, as_of=DAY)
    texts = notices.texts(nodes, catalogue)
    return LicenseVerdict(
        base=nodes[0].id,
        uses=uses,
        nodes=tuple(node.as_json() for node in nodes),
        notices=texts,
        notice_lines=notices.lines(nodes, catalogue),
        display_lines=notices.display(nodes, catalogue),
        alternatives=(),
        as_of=DAY.isoformat(),
        flowdown=notices.flowdown(nodes, texts, catalogue),
        owed=tuple(one.as_json() for one in owed(nodes, uses, texts, publisher, catalogue, DAY)),
        expression=expression((node.license for node in nodes), catalogue.licenses),
    ).as_json()
