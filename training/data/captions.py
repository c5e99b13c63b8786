"""What each picture is said to show: NAME.txt or NAME.caption beside it, or metadata.jsonl, and the trigger word."""

import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from training.errors import DatasetError

_BESIDE = (".txt", ".caption")


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """A caption as it will be trained, or the code and message of what is wrong with it."""

    text: str = ""
    code: str | None = None
    message: str = ""


def captions_of(pictures: list[Path], folder: Path, trigger: str | None) -> dict[Path, Caption]:
    """A caption for every picture; where none has one at all, the trigger is the caption of each."""
    listed = _metadata(folder)
    raw = {path: _beside(path) or listed.get(path.resolve()) for path in pictures}
    if trigger and not any(raw.values()):
        return {path: Caption(text=trigger) for path in pictures}
    return {path: _checked(content, path, trigger) for path, content in raw.items()}


def with_trigger(caption: str, trigger: str | None) -> str:
    """The caption with the trigger in front, once."""
    if not trigger or caption.casefold() == trigger.casefold() or caption.casefold().startswith(f"{trigger.casefold()}, "):
        return caption
    return f"{trigger}, {caption}"


def _beside(path: Path) -> bytes | None:
    for suffix in _BESIDE:
        beside = path.with_suffix(suffix)
        if beside.is_file():
            return beside.read_bytes() or b" "  # an empty file is an empty caption, not a missing one
    return None


def _metadata(folder: Path) -> dict[Path, bytes]:
    listed: dict[Path, bytes] = {}
    for table in sorted(folder.rglob("metadata.jsonl")):
        for number, line in enumerate(table.read_bytes().splitlines(), start=1):
            if line.strip():
                name, text = _row(line, table, number)
                listed[(table.parent / name).resolve()] = text.encode() or b" "
    return listed


def _row(line: bytes, table: Path, number: int) -> tuple[str, str]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or not isinstance(row.get("file_name"), str) or not isinstance(row.get("text"), str):
        wanted = '{"file_name": "a.png", "text": "a dog"}'
        raise DatasetError(f"'{table}' line {number}: {line[:60]!r} is no caption: write one JSON object a line like {wanted}")
    return row["file_name"], row["text"]


def _checked(content: bytes | None, path: Path, trigger: str | None) -> Caption:
    if content is None:
        return Caption(
            code="missing_caption", message=f"no caption: write {path.stem}.txt beside it, or set a trigger and no captions"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Caption(code="caption_control_characters", message=f"caption is not UTF-8 (byte {error.start}): save it as UTF-8")
    odd = next((mark for mark in text if unicodedata.category(mark) == "Cc" and mark not in "\n\r\t"), None)
    if odd is not None:
        return Caption(
            code="caption_control_characters", message=f"caption holds the control character U+{ord(odd):04X}: remove it"
        )
    text = " ".join(text.split())
    if not text:
        return Caption(code="empty_caption", message=f"caption is empty: say in {path.stem}.txt what the picture shows")
    return Caption(text=with_trigger(text, trigger))
