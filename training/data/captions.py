"""What each picture is said to show: a file beside it or a metadata table, and the rules for trigger word and template."""

import csv
import io
import json
import os
import re
import string
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.data.policy import Remark
from training.errors import DatasetError

TEMPLATE = "{trigger}, {caption}"
BESIDE = (".txt", ".caption")
COLUMNS = ("text", "caption", "prompt")
TABLES = ("metadata.jsonl", "metadata.csv")
_RUN = 4  # words that a trigger may have been pulled apart into


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """The trigger word, where the template puts it, and the ordinary words that stand for it in generic captions."""

    trigger: str | None = None
    template: str = TEMPLATE
    generic: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """A caption as written (`raw`), as it will be trained (`text`), without its trigger (`generic`), and what is wrong with it."""

    raw: str = ""
    text: str = ""
    generic: str | None = None
    remark: Remark | None = None


def check_rules(rules: Rules) -> None:
    """DatasetError for a template that does not say where caption and trigger go, or generic words that hold the trigger."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(rules.template) if name is not None]
    except ValueError as error:
        raise DatasetError(f"template: got {rules.template!r} ({error}); write something like {TEMPLATE!r}") from error
    wanted = {"caption"} | ({"trigger"} if rules.trigger else set())
    if not wanted <= set(names) <= {"caption", "trigger"}:
        raise DatasetError(f"template: got {rules.template!r}; it needs {{trigger}} and {{caption}}, such as {TEMPLATE!r}")
    if rules.trigger and rules.generic and _held(rules.trigger, rules.generic):
        raise DatasetError(f"generic: got {rules.generic!r}, which holds the trigger {rules.trigger!r}: say it in ordinary words")


def captions_of(pictures: Mapping[Path, str], listed: Mapping[Path, bytes], rules: Rules) -> dict[Path, Caption]:
    """A caption for every picture (path to name) from the file beside it, else from `listed` (see `tables`).

    Where no picture has one at all, the trigger is the caption of each.
    """
    raw = {path: _beside(path) or listed.get(absolute(path)) for path in pictures}
    if rules.trigger and not any(raw.values()):
        return {path: _worded("", rules) for path in pictures}
    return {path: _checked(content, name, rules) for (path, name), content in zip(pictures.items(), raw.values(), strict=True)}


def with_trigger(caption: str, trigger: str | None, template: str = TEMPLATE) -> str:
    """The caption with the trigger where the template puts it; as it is, where the trigger is one of its words."""
    if not trigger or has_word(caption, trigger):
        return caption
    return template.format(trigger=trigger, caption=caption) if caption else trigger


def without_trigger(caption: str, trigger: str, generic: str | None = None) -> str:
    """The caption with `generic` in the trigger's place, or with nothing there and the punctuation mended."""
    replaced = _word(trigger).sub(lambda _: generic or "", caption)
    replaced = replaced if generic else re.sub(r"\s*([,;])(\s*[,;])+", r"\1", replaced).strip(" ,;:")
    return " ".join(replaced.split())


def has_word(caption: str, trigger: str) -> bool:
    """Whether the trigger is among the words of the caption, in any case."""
    return _word(trigger).search(caption) is not None


def leak_remark(name: str, caption: Caption, trigger: str | None) -> Remark | None:
    """trigger_leak, where the generic caption still holds the trigger: as a part of a word, or written in another way."""
    if not trigger or caption.generic is None or not _held(trigger, caption.generic):
        return None
    message = f"the trigger {trigger!r} is part of another word in {caption.generic[:60]!r}: use a trigger that no caption holds"
    return Remark(file=name, code="trigger_leak", message=message)


def duplicate_remarks(captions: Sequence[tuple[str, Caption]]) -> list[Remark]:
    """A remark for every picture (name and caption) whose words came before; captions that are the trigger alone do not count."""
    first: dict[str, str] = {}
    remarks = []
    for name, caption in captions:
        original = first.setdefault(caption.raw.casefold(), name) if caption.raw else name
        if original != name:
            message = f"the same caption as {original}: say what is different here"
            remarks.append(Remark(file=name, code="duplicate_caption", message=message))
    return remarks


def tables(folder: Path) -> dict[Path, bytes]:
    """Captions by absolute picture path from every metadata.jsonl and metadata.csv below the folder."""
    listed: dict[Path, bytes] = {}
    for table in sorted(path for name in TABLES for path in folder.rglob(name)):
        rows = _jsonl(table) if table.suffix == ".jsonl" else _csv(table)
        for name, text in rows:
            listed[absolute(table.parent / name)] = text.encode() or b" "  # an empty caption is not a missing one
    return listed


def absolute(path: Path) -> Path:
    """Without `..`, and with links as they are: files of one content may be links to one file."""
    return Path(os.path.abspath(path))


def _beside(path: Path) -> bytes | None:
    for suffix in BESIDE:
        beside = path.with_suffix(suffix)
        if beside.is_file():
            return beside.read_bytes() or b" "
    return None


def _jsonl(table: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(table.read_bytes().splitlines(), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            yield _row(row, line[:60], table, number)


def _csv(table: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = io.StringIO(table.read_text(encoding="utf-8-sig"), newline="")
        for number, row in enumerate(csv.DictReader(lines, strict=True), start=2):
            yield _row(row, str(row)[:60].encode(), table, number)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"'{table}' is no table of captions ({error}): save it as UTF-8 with file_name,text on top") from error


def _row(row: object, shown: bytes, table: Path, number: int) -> tuple[str, str]:
    fields = row if isinstance(row, dict) else {}
    text = next((fields[column] for column in COLUMNS if isinstance(fields.get(column), str)), None)
    if text is None or not isinstance(fields.get("file_name"), str) or "\0" in fields["file_name"]:
        wanted = '{"file_name": "a.png", "text": "a dog"}' if table.suffix == ".jsonl" else "the columns file_name,text"
        raise DatasetError(f"'{table}' line {number}: {shown!r} is no caption: write one row a line like {wanted}")
    return fields["file_name"], text


def _checked(content: bytes | None, name: str, rules: Rules) -> Caption:
    stem = Path(name).stem
    if content is None:
        message = f"no caption: write {stem}.txt beside it, or set a trigger and no captions"
        return _worded("", rules, Remark(file=name, code="missing_caption", message=message))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"caption is not UTF-8 (byte {error.start}): save it as UTF-8"
        return _worded("", rules, Remark(file=name, code="caption_control_characters", message=message))
    odd = next((mark for mark in text if unicodedata.category(mark) == "Cc" and mark not in "\n\r\t"), None)
    if odd is not None:
        message = f"caption holds the control character U+{ord(odd):04X}: remove it"
        return _worded("", rules, Remark(file=name, code="caption_control_characters", message=message))
    text = " ".join(text.split())
    if not text:
        message = f"caption is empty: say in {stem}.txt what the picture shows"
        return _worded("", rules, Remark(file=name, code="empty_caption", message=message))
    return _worded(text, rules)


def _worded(raw: str, rules: Rules, remark: Remark | None = None) -> Caption:
    text = with_trigger(raw, rules.trigger, rules.template)
    return Caption(raw=raw, text=text, generic=_generic(raw, text, rules), remark=remark)


def _generic(raw: str, text: str, rules: Rules) -> str | None:
    """Where the template put the trigger, the words as written; where generic words are given, they stand in its place."""
    if not rules.trigger:
        return None
    return without_trigger(text if rules.generic else raw, rules.trigger, rules.generic)


def _word(trigger: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(trigger)}(?!\w)", re.IGNORECASE)


def _held(trigger: str, text: str) -> bool:
    """Whether words of the text are the trigger in another writing: `s-k-s`, `SKS_dog`, or with an ending of up to two letters."""
    wanted = "".join(_words(trigger))
    words = _words(text)
    runs = ("".join(words[start : start + count]) for start in range(len(words)) for count in range(1, _RUN + 1))
    return bool(wanted) and any(run.startswith(wanted) and len(run) <= len(wanted) + 2 for run in runs)


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text).casefold()
    return re.findall(r"[^\W_]+", "".join(mark for mark in plain if not unicodedata.combining(mark)))
