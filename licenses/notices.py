"""What has to travel along: licence texts byte for byte, notice lines, changes, credit, terms; written from the verdict alone."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from licenses.catalogue import Catalogue, License
from licenses.errors import NoticesRefused
from licenses.node import DATA, Node
from licenses.papers import Work, papers
from licenses.passages import restrictions_in
from licenses.sentences import notice_of
from licenses.verdict import ALLOWED, identity

FILE = re.compile(r"LICENSES/[A-Za-z0-9][A-Za-z0-9._+-]{0,120}\.txt")
RECORD = "duties.json"
SCHEMA = "lorasmith/duties/1"


def texts(nodes: Iterable[Node], catalogue: Catalogue) -> tuple[dict[str, Any], ...]:
    """One entry a distinct text: its file in the package, the text as found, whose it is, and its origin: upstream or spdx."""
    found: dict[str, dict[str, Any]] = {}
    for node in nodes:
        if node.text is not None and node.license:
            _put(found, node.license, node.text.text, node, kind="license", origin="upstream")
        for extra in node.extra:
            known = node.license or "unknown"
            stem = {"license": known, "unknown": "unknown"}.get(extra.kind, f"{known}.{extra.kind}")
            _put(found, stem, extra.text, node, kind=extra.kind, origin="upstream")
        plain = _from_spdx(node, catalogue.licenses.get(node.license or ""))
        if plain is not None:
            assert node.license
            _put(found, node.license, plain, node, kind="license", origin="spdx")
    return tuple(found[file] for file in sorted(found))


def lines(nodes: Iterable[Node], catalogue: Catalogue) -> tuple[str, ...]:
    """Lines of the NOTICE file: what was modified, from what, under which licence, and the licensors' own strings."""
    found: list[str] = []
    for node in nodes:
        licence = catalogue.licenses.get(node.license or "")
        if node.role in DATA and licence and licence.duties:
            by = f" by {node.author}" if node.author else ""
            found.append(f"The adapter was trained on pictures{by} from {node.source or node.id}, licensed under {licence.name}.")
        elif node.role == "base" and licence:
            revision = f" at {node.revision}" if node.revision else ""
            found.append(f"This work modifies {node.id}{revision}, licensed under {licence.name}: a LoRA adapter is fused into it.")
        elif licence and licence.duties and not node.covered:
            found.append(f"This work contains {node.id}, licensed under {licence.name}.")
        if licence and "NOTICE_FILE" in licence.duties and node.role not in DATA and (line := notice_of(node, licence)):
            found.append(line)
    return tuple(dict.fromkeys(found))


def display(nodes: Iterable[Node], catalogue: Catalogue) -> tuple[str, ...]:
    """Brand lines that listing and docs have to show."""
    licences = [catalogue.licenses.get(node.license or "") for node in nodes if node.role not in DATA]
    return tuple(dict.fromkeys(line for one in licences if one and "DISPLAY" in one.duties for line in one.display))


def flowdown(nodes: Iterable[Node], notices: Sequence[Mapping[str, Any]], catalogue: Catalogue) -> tuple[dict[str, str], ...]:
    """The use restrictions that callers have to be bound to: from the found texts, or only the file where they stand."""
    found: list[dict[str, str]] = []
    for node in nodes:
        licence = catalogue.licenses.get(node.license or "")
        if licence is None or "FLOWDOWN" not in licence.duties or node.role in DATA or node.covered:
            continue
        for one in (one for one in notices if node.id in one["nodes"] and one["kind"] in ("license", "policy")):
            passage = restrictions_in(one["text"]) if one["kind"] == "license" else None
            text = one["text"] if one["kind"] == "policy" else passage.text if passage else ""
            section = passage.section if passage else ""
            found.append({"file": one["file"], "text": text, "node": node.id, "license": licence.name, "section": section})
    return tuple({(one["file"], one["license"]): one for one in found}.values())


def write(verdict: Mapping[str, Any], out: Path, *, work: Work | None = None) -> list[str]:
    """Writes LICENSES/, NOTICE, MODIFICATIONS.md, ATTRIBUTION.md, TERMS.md, ATTESTATIONS.md where they are due, and duties.json.

    Returns their paths. A duty that can not be fulfilled is written down as open; `fulfilment.require_fulfilled` refuses it.
    NoticesRefused where nothing may be shipped, or where the verdict is not the one that was made.
    """
    if verdict["verdict"] not in ALLOWED:
        raise NoticesRefused(f"notices of {verdict['base']!r}: its verdict is {verdict['verdict']}; nothing may be shipped")
    if verdict["hash"] != identity(verdict):
        raise NoticesRefused(f"notices of {verdict['base']!r}: the verdict was changed after it was made; check the licences again")
    content = {str(one["file"]): str(one["text"]) for one in verdict["notices"]}
    for file in content:
        if not FILE.fullmatch(file):
            raise NoticesRefused(f"notices: {file!r:.80} is not a file under LICENSES/; make the verdict again")
    content |= papers(verdict, work or Work())
    content[RECORD] = _record(verdict, content, work or Work())
    for file, text in content.items():
        _replace(out / file, text.encode())
    return sorted(content)


def _put(found: dict[str, dict[str, Any]], stem: str, text: str, node: Node, **fields: str) -> None:
    for number in range(1, len(found) + 2):
        file = f"LICENSES/{stem}{'' if number == 1 else f'.{number}'}.txt"
        entry = found.setdefault(file, {"file": file, "text": text, "nodes": [], **fields})
        if entry["text"] == text:
            entry["nodes"] += [node.id] if node.id not in entry["nodes"] else []
            return


def _from_spdx(node: Node, licence: License | None) -> str | None:
    """The plain text of a licence that was told without one; None where it names its author, whom SPDX does not know."""
    if node.text is not None or node.role in DATA or licence is None or "LICENSE_COPY" not in licence.duties:
        return None
    if licence.spdx is None:
        return None
    from licenses.spdx import text

    return text(licence.spdx)


def _record(verdict: Mapping[str, Any], content: Mapping[str, str], work: Work) -> str:
    """duties.json: every duty with the files that fulfil it and their hashes, for who can not read licences."""
    from licenses.duties import SETTINGS
    from licenses.fulfilment import open_in

    hashes = {file: hashlib.sha256(text.encode()).hexdigest() for file, text in content.items()}
    lacks = {(one["duty"], one["node"], one["license"]): one["open"] for one in open_in(verdict, content, work)}
    rows = [
        dict(row)
        | {"files": [{"path": file, "sha256": hashes[file]} for file in row["files"] if file in hashes]}
        | {"open": lacks.get((row["duty"], row["node"], row["name"]), "")}
        | ({"settings": list(SETTINGS)} if row["by"] == "setting" else {})
        for row in verdict["owed"]
    ]
    record = {"schema": SCHEMA, "verdict": verdict["hash"], "duties": rows}
    return json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _replace(path: Path, raw: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".notice-")
    with os.fdopen(handle, "wb") as stream:
        stream.write(raw)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)
