"""The verdict as data: per use what is allowed, why, and what it asks for. Its hash leaves the clock and local paths out."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from licenses.catalogue import PAID_USES, RANK

SCHEMA = "lorasmith/license-verdict/1"
ALLOWED = ("allow", "duties")
NOT_IDENTITY = ("schema", "base", "hash", "as_of", "evidence", "waivers")
WAIVER_DATES = ("expires", "signed", "why")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why; `sha256` is of what was read in `file`, `known_text` of the catalogue's text that the quote is from."""

    code: str
    node: str
    text: str
    quote: str = ""
    file: str | None = None
    sha256: str | None = None
    confidence: str = "high"
    known_text: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UseVerdict:
    verdict: str
    reasons: tuple[Reason, ...]
    duties: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseVerdict:
    base: str
    uses: Mapping[str, UseVerdict]
    nodes: tuple[Mapping[str, Any], ...]
    notices: tuple[Mapping[str, Any], ...]
    notice_lines: tuple[str, ...]
    display_lines: tuple[str, ...]
    alternatives: tuple[str, ...]
    as_of: str
    alternatives_note: str = ""
    edges: tuple[Mapping[str, str], ...] = ()
    evidence: tuple[Mapping[str, Any], ...] = ()
    waivers: tuple[Mapping[str, Any], ...] = ()
    data: tuple[str, ...] = ()
    flowdown: tuple[Mapping[str, str], ...] = ()
    owed: tuple[Mapping[str, Any], ...] = ()
    expression: str = ""

    @property
    def verdict(self) -> str:
        """The worse of training and paid hosting: what a paid endpoint needs."""
        return max((self.uses[use].verdict for use in PAID_USES), key=RANK.__getitem__)

    @property
    def exit_code(self) -> int:
        """0 where training and paid hosting are allowed, with or without duties; 3 otherwise."""
        return 0 if self.verdict in ALLOWED else 3

    def as_json(self) -> dict[str, Any]:
        """The verdict as contracts name it, with lists and plain values only."""
        content = {
            "verdict": self.verdict,
            "uses": {use: asdict(self.uses[use]) for use in self.uses},
            "nodes": [dict(node) for node in self.nodes],
            "notices": [dict(notice) for notice in self.notices],
            "notice_lines": list(self.notice_lines),
            "display_lines": list(self.display_lines),
            "alternatives": list(self.alternatives),
            "alternatives_note": self.alternatives_note,
            "edges": [dict(edge) for edge in self.edges],
            "evidence": [dict(file) for file in self.evidence],
            "waivers": [dict(waiver) for waiver in self.waivers],
            "data": list(self.data),
            "flowdown": [dict(one) for one in self.flowdown],
            "owed": [dict(one) for one in self.owed],
            "expression": self.expression,
        }
        plain: dict[str, Any] = json.loads(json.dumps(content, ensure_ascii=False))
        return {"schema": SCHEMA, "base": self.base, "hash": identity(plain), "as_of": self.as_of} | plain


def identity(content: Mapping[str, Any]) -> str:
    """sha256 of a verdict's content: the same findings give the same identity on any day, anywhere, in any order.

    Left out: schema, base, hash and date, the log of what was fetched, and of a waiver its dates. Lists count as sets.
    """
    kept = {key: value for key, value in content.items() if key not in NOT_IDENTITY}
    kept["waivers"] = [{key: one[key] for key in one if key not in WAIVER_DATES} for one in content.get("waivers", ())]
    return hashlib.sha256(_canonical(kept).encode()).hexdigest()


def _canonical(value: Any) -> str:
    """JSON with sorted keys and sorted lists: the order in which assets were found says nothing about them."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(str(key))}:{_canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return f"[{','.join(sorted(_canonical(one) for one in value))}]"
    return json.dumps(value, ensure_ascii=False)
