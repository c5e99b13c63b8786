"""The verdict as data: per use what is allowed, why, and what it asks for. Its hash leaves the clock and local paths out."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from licenses.catalogue import PAID_USES, RANK

SCHEMA = "lorasmith/license-verdict/1"
ALLOWED = ("allow", "duties")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    code: str
    node: str
    text: str
    quote: str = ""
    file: str | None = None
    sha256: str | None = None
    confidence: str = "high"


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
    notices: tuple[Mapping[str, str], ...]
    notice_lines: tuple[str, ...]
    display_lines: tuple[str, ...]
    alternatives: tuple[str, ...]
    as_of: str

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
        }
        plain: dict[str, Any] = json.loads(json.dumps(content, ensure_ascii=False))
        return {"schema": SCHEMA, "base": self.base, "hash": identity(plain), "as_of": self.as_of} | plain


def identity(content: Mapping[str, Any]) -> str:
    """sha256 of a verdict's content without schema, base, hash and date: the same evidence gives the same identity anywhere."""
    kept = {key: value for key, value in content.items() if key not in ("schema", "base", "hash", "as_of")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
