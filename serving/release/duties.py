"""Duties of the licences, checked in the package itself: whatever wrote the papers, what is owed must be there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from serving.release.errors import DutyOpen

RECORD = "duties.json"
SCHEMA = "lorasmith/duties/1"
CARD = "MODEL_CARD.md"
_PAID = ("train_adapter", "host_paid_inference")


def require_duties(folder: Path, verdict: Mapping[str, Any], *, name: str) -> None:
    """Raise DutyOpen, one line, for the first duty of the verdict that the package in `folder` does not fulfil.

    duties.json says which files fulfil a duty; each must be there, not empty, and have the recorded hash. Lines for the listing
    must stand in the model card, settings in settings.json, and `name` must begin as a licence's rule for names wants it.
    """
    recorded = _record(folder, verdict)
    asked = {duty for use in _PAID for duty in verdict["uses"].get(use, {}).get("duties", ())}
    for duty in sorted(asked - {row["duty"] for row in verdict["owed"]}):
        raise DutyOpen(
            f"duty {duty} of {verdict.get('base')!r} is named by the verdict and owed to nobody; check the licences again"
        )
    for row in verdict["owed"]:
        lack = _lack(row, recorded.get(_key(row)), folder, name)
        if lack:
            raise DutyOpen(f"duty {row['duty']} of {row['name'] or 'no licence'} towards {row['node']!r} is open: {lack}")


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return str(row["duty"]), str(row["node"]), str(row["license"]), *map(str, row["lines"])


def _record(folder: Path, verdict: Mapping[str, Any]) -> dict[tuple[str, ...], Mapping[str, Any]]:
    again = "write the notices of this verdict again"
    if "owed" not in verdict:
        raise DutyOpen("the verdict does not say what is owed: it is older than this version; check the licences again")
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        rows = {_key(row): row for row in record["duties"]}
        schema, made_for = record["schema"], record["verdict"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DutyOpen(f"{RECORD} can not be read ({' '.join(str(error).split())}); {again}") from None
    if schema != SCHEMA or made_for != verdict.get("hash"):
        raise DutyOpen(f"{RECORD} is of schema {schema!r} and verdict {str(made_for)[:12]!r}, not of this verdict; {again}")
    return rows


def _lack(row: Mapping[str, Any], done: Mapping[str, Any] | None, folder: Path, name: str) -> str:
    if row["open"] or done is None or done.get("open"):
        return str(row["open"] or (done or {}).get("open") or f"{RECORD} says nothing of it; write the notices again")
    hashes = {file["path"]: file["sha256"] for file in done["files"]}
    if row["by"] == "setting":
        return _unset(folder, done.get("settings"))
    for file in row["files"]:
        if lack := _unlike(folder, file, hashes.get(file)):
            return lack
    if row["by"] == "name":
        return _misnamed(name, row["lines"])
    if row["by"] == "listing":
        return _unshown(folder, row["lines"])
    return "" if row["files"] else "no file fulfils it; check the licences again"


def _unlike(folder: Path, file: str, recorded: str | None) -> str:
    """What is wrong with a file that fulfils a duty."""
    path = folder / file
    if recorded is None:
        return f"{RECORD} does not name {file}; write the notices again"
    if not path.is_file():
        return f"{file} is not in the package; write the notices again"
    content = path.read_bytes()
    if not content.strip():
        return f"{file} is empty; put the text there that is owed"
    if hashlib.sha256(content).hexdigest() != recorded:
        return f"{file} is not the one that was recorded; write the notices again"
    return ""


def _unset(folder: Path, settings: Sequence[Mapping[str, Any]] | None) -> str:
    """What is wrong with the settings that fulfil a duty together."""
    if not settings:
        return f"{RECORD} does not name its settings; write the notices again"
    for setting in settings:
        value: Any = json.loads((folder / setting["file"]).read_text(encoding="utf-8"))
        for part in str(setting["pointer"]).strip("/").split("/"):
            value = value.get(part) if isinstance(value, dict) else None
        if value != setting["equals"]:
            found = f"{setting['file']} has {setting['pointer']} {value!r}, it must be {setting['equals']!r}"
            return f"{found}; {setting['remedy']}"
    return ""


def _misnamed(name: str, prefixes: list[str]) -> str:
    fits = any(name.casefold().startswith(prefix.casefold()) for prefix in prefixes)
    return "" if fits else f"the app's name {name!r} has to begin with {' or '.join(map(repr, prefixes))}; name it so"


def _unshown(folder: Path, lines: list[str]) -> str:
    card = (folder / CARD).read_text(encoding="utf-8")
    missing = next((line for line in lines if line not in card), None)
    return f"{CARD} does not show {missing!r:.120}; put the line there" if missing is not None else ""
