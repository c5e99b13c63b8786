"""Verdicts and changes as SARIF 2.1.0, which code-scanning tools show beside the file that names the base."""

from collections.abc import Iterable, Mapping
from typing import Any

from licenses.verdict import ALLOWED

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"error": "error", "warning": "warning", "unknown": "warning", "note": "note"}


def sarif(findings: Iterable[Mapping[str, Any]], *, version: str) -> dict[str, Any]:
    """A log of one run; findings: {code, level, text, subject, file}, `file` a relative path or None."""
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
                "results": [_result(one, rules) for one in listed],
            }
        ],
    }


def of_verdict(verdict: Mapping[str, Any], *, file: str | None = None) -> list[dict[str, Any]]:
    """One finding a reason against a use, and one a use that asks for duties."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for use, said in verdict["uses"].items():
        level = {"block": "error", "conditional": "warning"}.get(said["verdict"], "note")
        for reason in said["reasons"] if said["verdict"] not in ALLOWED else ():
            text = f"{reason['text']} (against: {use})"
            found.setdefault(
                (reason["code"], reason["text"]),
                {"code": reason["code"], "level": level, "text": text, "subject": reason["node"], "file": file},
            )
    return list(found.values())


def _result(finding: Mapping[str, Any], rules: list[str]) -> dict[str, Any]:
    subject = str(finding["subject"])
    location: dict[str, Any] = {"logicalLocations": [{"name": subject, "kind": "module"}]}
    if finding["file"]:
        location["physicalLocation"] = {"artifactLocation": {"uri": str(finding["file"])}, "region": {"startLine": 1}}
    return {
        "ruleId": str(finding["code"]),
        "ruleIndex": rules.index(str(finding["code"])),
        "level": LEVELS[str(finding["level"])],
        "message": {"text": str(finding["text"])},
        "locations": [location],
        "partialFingerprints": {"subject/v1": f"{finding['code']}:{subject}"},
    }
