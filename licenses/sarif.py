"""Verdicts and changes as SARIF 2.1.0, which code-scanning tools show beside the file that names the base."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from licenses.verdict import ALLOWED

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"error": "error", "warning": "warning", "unknown": "warning", "note": "note"}


def sarif(findings: Iterable[Mapping[str, Any]], *, version: str, location: str) -> dict[str, Any]:
    """A log of one run; findings: {code, level, text, subject}. `location` is the file, relative to the root of the repository that
    is scanned, which names the base: code scanning shows findings at a place in a file or not at all.
    """
    listed = list(findings)
    rules = sorted({str(one["code"]) for one in listed})
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "lorasmith",
                        "version": version,
                        "rules": [{"id": code, "shortDescription": {"text": code.replace("_", " ")}} for code in rules],
                    }
                },
                "results": [_result(one, rules, location) for one in listed],
            }
        ],
    }


def of_verdict(verdict: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One finding for each reason that stands against a use."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for use, said in verdict["uses"].items():
        level = {"block": "error", "conditional": "warning"}.get(said["verdict"], "note")
        for reason in said["reasons"] if said["verdict"] not in ALLOWED else ():
            text = f"{reason['text']} (against: {use})"
            found.setdefault(
                (reason["code"], reason["text"]),
                {"code": reason["code"], "level": level, "text": text, "subject": reason["node"]},
            )
    return list(found.values())


def _result(finding: Mapping[str, Any], rules: list[str], location: str) -> dict[str, Any]:
    code, subject, text = (str(finding[key]) for key in ("code", "subject", "text"))
    place = {"artifactLocation": {"uri": quote(location)}, "region": {"startLine": 1}}
    return {
        "ruleId": code,
        "ruleIndex": rules.index(code),
        "level": LEVELS[str(finding["level"])],
        "message": {"text": text},
        "locations": [{"physicalLocation": place, "logicalLocations": [{"name": subject, "kind": "module"}]}],
        "partialFingerprints": {"finding/v1": sha256("\0".join((code, subject, text)).encode()).hexdigest()},
    }
