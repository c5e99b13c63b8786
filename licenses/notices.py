"""What has to travel along: licence texts byte for byte, notice lines, a statement of modification."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from licenses.catalogue import Catalogue, License
from licenses.dataset import OWN
from licenses.errors import NoticesRefused
from licenses.node import Node
from licenses.verdict import ALLOWED

FILE = re.compile(r"LICENSES/[A-Za-z0-9][A-Za-z0-9._+-]{0,120}\.txt")
TEXT_DUTIES = ("LICENSE_COPY",)


def texts(nodes: Iterable[Node]) -> tuple[dict[str, str], ...]:
    """One entry a distinct text: its file in the package and the text as found."""
    found: dict[str, str] = {}
    for node in nodes:
        if node.text is not None and node.license:
            _put(found, node.license, node.text.text)
        for extra in node.extra:
            _put(found, f"{node.license or 'unknown'}.{extra.kind}", extra.text)
    return tuple({"file": file, "text": text} for file, text in sorted(found.items()))


def lines(nodes: Iterable[Node], catalogue: Catalogue) -> tuple[str, ...]:
    """Lines of the NOTICE file: what was modified, from what, under which licence, and the licensors' own strings."""
    found: list[str] = []
    for node in nodes:
        licence = catalogue.licenses.get(node.license or "")
        if node.role == "dataset" and licence and licence.duties:
            found.append(f"The adapter was trained on pictures from {node.source or node.id}, licensed under {licence.name}.")
        elif node.role == "base" and licence:
            revision = f" at {node.revision}" if node.revision else ""
            found.append(f"This work modifies {node.id}{revision}, licensed under {licence.name}: a LoRA adapter is fused into it.")
        elif licence and licence.duties and not node.covered:
            found.append(f"This work contains {node.id}, licensed under {licence.name}.")
        if licence and licence.notice and "NOTICE_FILE" in licence.duties and node.role != "dataset":
            found.append(licence.notice)
    return tuple(dict.fromkeys(found))


def display(nodes: Iterable[Node], catalogue: Catalogue) -> tuple[str, ...]:
    """Brand lines that listing and docs have to show."""
    licences = [catalogue.licenses.get(node.license or "") for node in nodes if node.role != "dataset"]
    return tuple(dict.fromkeys(line for one in licences if one and "DISPLAY" in one.duties for line in one.display))


def write(verdict: Mapping[str, Any], out: Path) -> list[str]:
    """Writes LICENSES/*.txt and NOTICE into `out` and returns their paths. NoticesRefused where a text is owed and absent."""
    from licenses.catalogue import load

    if verdict["verdict"] not in ALLOWED:
        raise NoticesRefused(f"notices of {verdict['base']!r}: its verdict is {verdict['verdict']}; nothing may be shipped")
    entries = {str(one["file"]): str(one["text"]) for one in verdict["notices"]}
    _require_texts(verdict, entries, load().licenses)
    content = {**entries, "NOTICE": "".join(f"{line}\n" for line in [*verdict["notice_lines"], *verdict["display_lines"]])}
    for file in content:
        if file != "NOTICE" and not FILE.fullmatch(file):
            raise NoticesRefused(f"notices: {file!r:.80} is not a file under LICENSES/; make the verdict again")
    for file, text in content.items():
        _replace(out / file, text.encode())
    return sorted(content)


def _put(found: dict[str, str], stem: str, text: str) -> None:
    for number in range(1, len(found) + 2):
        file = f"LICENSES/{stem}{'' if number == 1 else f'.{number}'}.txt"
        if found.get(file, text) == text:
            found[file] = text
            return


def _require_texts(verdict: Mapping[str, Any], entries: Mapping[str, str], licences: Mapping[str, License]) -> None:
    have = {hashlib.sha256(text.encode()).hexdigest() for text in entries.values() if text.strip()}
    for node in verdict["nodes"]:
        licence = licences.get(str(node["license"]))
        ours = node["role"] == "dataset" or (node["role"] == "adapter" and node["license"] == OWN)
        owed = not ours and (licence is None or any(duty in licence.duties for duty in TEXT_DUTIES))
        if owed and node["text_sha256"] not in have:
            name = licence.name if licence else node["license"]
            raise NoticesRefused(
                f"notices: {name} of {node['id']!r} has to be shipped with its text, and the verdict holds none; "
                "put the licence text beside the weights and check again"
            )


def _replace(path: Path, raw: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".notice-")
    with os.fdopen(handle, "wb") as stream:
        stream.write(raw)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)
