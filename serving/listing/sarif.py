"""Findings as SARIF 2.1.0, for tools that show them beside listing.json. Pure."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from serving.listing.findings import Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(findings: Iterable[Finding], *, version: str, location: str = "listing.json") -> dict[str, Any]:
    """A log of one run; `location` is the file that findings are shown at, relative to the root that is scanned."""
    listed = list(findings)
    codes = sorted({one.code for one in listed})
    rules = [{"id": code, "shortDescription": {"text": code.replace("-", " ")}} for code in codes]
    driver = {"name": "lorasmith", "version": version, "rules": rules}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(one, codes, location) for one in listed]}],
    }


def _result(finding: Finding, codes: Sequence[str], location: str) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": location}, "region": {"startLine": 1}}
    identity = "\0".join((finding.code, finding.where, finding.message))
    return {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": finding.level,
        "message": {"text": f"{finding.where}: {finding.message}"},
        "locations": [{"physicalLocation": place, "logicalLocations": [{"fullyQualifiedName": finding.where, "kind": "property"}]}],
        "partialFingerprints": {"finding/v1": sha256(identity.encode()).hexdigest()},
    }
