"""Whether what is owed is there: every duty's files with their content, its lines in them, and a name as the licence wants it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from licenses.duties import SETTINGS
from licenses.errors import NoticesRefused
from licenses.papers import Work


def fulfilled(verdict: Mapping[str, Any], folder: Path, *, work: Work | None = None) -> list[dict[str, str]]:
    """The duties that a folder of papers leaves open: duty, node, license, and what lacks with what to do; none is the aim.

    Settings are looked for in the folder's settings.json, where `work` does not say that every picture is checked.
    """
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    content = {name: path.read_bytes().decode("utf-8", "replace") for name, path in files.items() if path.suffix != ".safetensors"}
    return open_in(verdict, content, work or Work())


def require_fulfilled(verdict: Mapping[str, Any], *, work: Work) -> None:
    """NoticesRefused, one line, for the first duty that could not be fulfilled by what is known now."""
    from licenses.papers import papers

    content = {str(one["file"]): str(one["text"]) for one in verdict["notices"]} | papers(verdict, work)
    lacks = open_in(verdict, content, work)
    if lacks:
        first, more = lacks[0], f" ({len(lacks) - 1} more)" if len(lacks) > 1 else ""
        raise NoticesRefused(f"{sentence(first)}{more}")


def sentence(one: Mapping[str, str]) -> str:
    """A duty that is open, in one line."""
    licence = f" of {one['license']}" if one["license"] else ""
    return f"duty {one['duty']}{licence} towards {one['node']!r} is open: {one['open']}"


def open_in(verdict: Mapping[str, Any], content: Mapping[str, str], work: Work) -> list[dict[str, str]]:
    """What these texts by file name leave open."""
    found = [(row, _lack(row, verdict["notices"], content, work)) for row in verdict["owed"]]
    found += [({"duty": "FLOWDOWN", "node": one["node"], "name": one["license"]}, lack) for one, lack in _unsaid(verdict, content)]
    return [{"duty": row["duty"], "node": row["node"], "license": row["name"], "open": lack} for row, lack in found if lack]


def _lack(row: Mapping[str, Any], notices: Sequence[Mapping[str, Any]], content: Mapping[str, str], work: Work) -> str:
    texts = {one["file"]: one["text"] for one in notices}
    if row["open"]:
        return str(row["open"])
    if row["by"] == "name":
        return _misnamed(row["lines"], work)
    if row["by"] == "setting":
        return "" if work.image_checker else _unset(content)
    if not row["files"]:
        return "no file fulfils it; check the licences again"
    for file in row["files"]:
        if not content.get(file, "").strip():
            return f"{file} is {'empty' if file in content else 'not there'}; write the notices again"
        if file in texts and _sha256(content[file]) != _sha256(texts[file]):
            return f"{file} is not the text that was found; write the notices again"
    kept = [one["text"] for one in notices if one["kind"] == "notice" and row["node"] in one["nodes"] and "NOTICE" in row["files"]]
    missing = next((line for line in [*row["lines"], *kept] if line not in content[row["files"][0]]), None)
    return f"{row['files'][0]} lacks the line {missing!r:.120}; write the notices again" if missing is not None else ""


def _misnamed(prefixes: list[str], work: Work) -> str:
    wrong = [name for name in work.names() if not any(name.casefold().startswith(prefix.casefold()) for prefix in prefixes)]
    if not work.names():
        return f"the work has no name yet, and it has to begin with {prefixes[0]!r}; name the app so"
    if wrong:
        return f"the name {wrong[0]!r} has to begin with {prefixes[0]!r}; name it so, or have a person ask the licensor"
    return ""


def _unset(content: Mapping[str, str]) -> str:
    for setting in SETTINGS:
        try:
            value = json.loads(content.get(setting["file"], "{}"))
            for part in setting["pointer"].strip("/").split("/"):
                value = value.get(part)
        except (ValueError, AttributeError):
            value = None
        if value is not setting["equals"]:
            return f"no image checker must pass every picture ({setting['file']} {setting['pointer']}); {setting['remedy']}"
    return ""


def _unsaid(verdict: Mapping[str, Any], content: Mapping[str, str]) -> list[tuple[Mapping[str, Any], str]]:
    """Restrictions that TERMS.md does not hold."""
    terms = content.get("TERMS.md", "")
    lack = "TERMS.md lacks its use restrictions; write the notices again"
    return [(one, lack) for one in verdict["flowdown"] if (one["text"].rstrip("\n") or one["file"]) not in terms]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
