"""A model card read strictly: size cap, UTF-8, YAML without aliases, tags, duplicate keys or depth."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from licenses.errors import SourceFailure, flat

CARD_LIMIT = 1 << 20
POINTER = "version https://git-lfs.github.com/spec/"
FRONT_LIMIT = 64 << 10
DEPTH_LIMIT = 12
GATE, DETAILS = "extra_gated_", "license_details"
RIGHTS = frozenset(
    ("license", "license_name", "license_link", DETAILS, "base_model", "base_model_relation", "datasets", "source_datasets")
)
SILENT = frozenset(
    (
        "tags",
        "language",
        "library_name",
        "pipeline_tag",
        "widget",
        "model-index",
        "model_index",
        "metrics",
        "inference",
        "thumbnail",
        "instance_prompt",
        "pretty_name",
        "size_categories",
        "task_categories",
        "task_ids",
        "configs",
        "dataset_info",
        "new_version",
        "annotations_creators",
        "language_creators",
        "multilinguality",
        "co2_eq_emissions",
        "output",
        "arxiv",
        "doi",
        "base_model_config",
    )
)
COMMENT = re.compile(r"(?:^|\s)#[^\S\n]*(\S.*)$", re.M)
LIKE_RIGHTS = re.compile(r"^(?:model)?li[csz]en[csz]|base_?models?|parent_?model|finetuned_?from")
# Front matter that a reader takes for one and this reader does not: behind a blank, a comment, in a fence, or a second one.
RULE = re.compile(r"[\s\ufeff\u200b-\u200f\u2060]*-{3}\s*")
KEY = re.compile(r"[\s{\ufeff\u200b-\u200f\u2060]*(?:license|license_name|base_model|datasets)[ \t]*:")
HIDDEN_LINES = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What a card says of rights; `license` is None where the key is absent, `sources` are those of a dataset card."""

    license: str | None
    license_name: str | None
    license_link: str | None
    base_models: tuple[str, ...]
    prose: str
    relation: str | None = None
    datasets: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    bars_eu: bool = False


def read_card(raw: bytes) -> Card:
    """The card of a README; SourceFailure card_too_large, card_not_utf8 or card_invalid where it can not be trusted."""
    text = decoded(raw, "README.md", "card").replace("\r\n", "\n").replace("\r", "\n")
    if text.startswith(POINTER):
        raise SourceFailure(
            "card_is_pointer", "README.md is a pointer to a large file and not the card; get the file itself (git lfs pull)"
        )
    front, body = _split(text)
    fields = {str(key).casefold(): value for key, value in read_mapping(front, "README.md").items()}
    _check_keys(fields)
    if _hides(body if front else text):
        raise SourceFailure("card_ambiguous", "README.md holds front matter that is not at its start; keep one, at the start")
    said = [f"{key}: {one}" if key not in RIGHTS else one for key, value in fields.items() if _speaks(key) for one in _said(value)]
    said += [found[1] for found in COMMENT.finditer(front)]
    return Card(
        license=_license(fields),
        license_name=_text(fields, "license_name"),
        license_link=_text(fields, "license_link"),
        base_models=_names(fields, "base_model"),
        prose="\n\n".join([*said, body]),
        relation=_text(fields, "base_model_relation"),
        datasets=_names(fields, "datasets"),
        sources=_names(fields, "source_datasets"),
        tags=tuple(_said(fields.get("tags"))),
        bars_eu=fields.get(f"{GATE}eu_disallowed") not in (None, False),
    )


def decoded(raw: bytes, name: str, kind: str) -> str:
    """UTF-8 text without its byte order mark; SourceFailure <kind>_not_utf8 for anything else."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceFailure(f"{kind}_not_utf8", f"{name} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    if "\x00" in text:
        raise SourceFailure(f"{kind}_not_utf8", f"{name} holds a NUL character; save it as plain UTF-8 text")
    return text


def read_mapping(text: str, name: str) -> dict[Any, Any]:
    """A YAML mapping without aliases, tags, duplicate keys or deep nesting; SourceFailure card_invalid otherwise."""
    import yaml

    if len(text) > FRONT_LIMIT:
        raise SourceFailure("card_too_large", f"{name} has {len(text)} characters of YAML; at most {FRONT_LIMIT} are read")
    try:
        _check_events(yaml, text, name)
        value = yaml.load(text, Loader=_strict_loader(yaml))  # noqa: S506  (a SafeLoader that also refuses duplicate keys)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        if isinstance(error, SourceFailure):
            raise
        raise SourceFailure(
            "card_invalid", f"{name}: its YAML does not hold ({' '.join(str(error).split())[:160]}); mend it"
        ) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _invalid(name, f"its YAML is a {type(value).__name__}", "write a mapping of fields")
    return _without_case_twins(value, name)


def _split(text: str) -> tuple[str, str]:
    lines = text.lstrip("\n").split("\n")
    if lines[0].rstrip() != "---":
        return "", text
    for number, line in enumerate(lines[1:], 1):
        if line.rstrip() == "---":
            return "\n".join(lines[1:number]), "\n".join(lines[number + 1 :])
    raise _invalid("README.md", "its front matter opens with --- and never closes", "close it with ---")


def _hides(text: str) -> bool:
    """Fields of rights between a rule and the next blank line, or a first line that a lenient reader takes for the opening rule."""
    lines = text.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if RULE.fullmatch(first) and first.rstrip() != "---":
        return True
    for number in (number for number, line in enumerate(lines) if RULE.fullmatch(line)):
        for line in lines[number + 1 : number + 1 + HIDDEN_LINES]:
            if not line.strip() or RULE.fullmatch(line):
                break
            if KEY.match(line):
                return True
    return False


def _check_events(yaml: Any, text: str, name: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        tag = getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or (tag and tag != "!"):
            raise _invalid(name, "its YAML uses anchors, aliases or tags", "write plain values")
        if depth > DEPTH_LIMIT:
            raise _invalid(name, f"its YAML is nested deeper than {DEPTH_LIMIT}", "write plain values")


def _strict_loader(yaml: Any) -> Any:
    class StrictLoader(yaml.SafeLoader):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if len(keys) != len(node.value) or len(keys) != len(set(keys)) or "<<" in keys:
                raise ValueError("a key stands twice or is not plain text")
            for key, value in node.value:
                if value.tag == "tag:yaml.org,2002:timestamp":
                    _check_day(self, key.value, value)
            return super().construct_mapping(node, deep=deep)

    return StrictLoader


def _check_day(loader: Any, key: str, value: Any) -> None:
    try:
        loader.construct_yaml_timestamp(value)
    except ValueError as fault:
        raise ValueError(f"{flat(key)[:40]}: {value.value!r:.40} is no day: {fault}") from None


def _without_case_twins(fields: dict[Any, Any], name: str) -> dict[Any, Any]:
    folded = [str(key).strip().casefold() for key in fields]
    if len(folded) != len(set(folded)):
        raise _invalid(name, "two keys differ only in case", "keep one")
    return fields


def _check_keys(fields: dict[str, Any]) -> None:
    """Keys that are nearly one of those that speak of rights are read by nobody, and meant by somebody."""
    for key in fields:
        plain = unicodedata.normalize("NFKC", key).replace("-", "_").replace(" ", "_")
        if not key.isascii() or (key not in RIGHTS and LIKE_RIGHTS.search(plain)):
            text = f"README.md has the key {flat(key)[:40]!r}, which nobody reads; write one of {', '.join(sorted(RIGHTS))}"
            raise SourceFailure("card_key_unknown", text)


def _speaks(key: str) -> bool:
    """A field that may hold words about use: a gate, details, or any that is not known to hold something else."""
    return key.startswith(GATE) or key == DETAILS or key not in RIGHTS | SILENT


def _said(value: Any) -> Iterator[str]:
    """All words in a field, keys of mappings included: the label of a box is what is agreed to."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from (str(key), *_said(one))
    elif isinstance(value, list):
        for one in value:
            yield from _said(one)
    elif isinstance(value, str):
        yield value


def _license(fields: dict[str, Any]) -> str | None:
    value = fields.get("license")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list) and value:
        raise SourceFailure("tag_ambiguous", f"README.md lists {len(value)} licences ({str(value)[:80]}); one has to be named")
    if "license" in fields and (not isinstance(value, str) or not value.strip()):
        raise _invalid("README.md", f"its field license is {value!r:.60}", "name one licence id, such as apache-2.0")
    if isinstance(value, str) and not value.isprintable():
        raise _invalid(
            "README.md", f"its field license holds characters that nobody sees ({value!a:.60})", "write it in plain letters"
        )
    return value.strip() if isinstance(value, str) else None


def _text(fields: dict[str, Any], key: str) -> str | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise _invalid("README.md", f"its field {key} is {value!r:.60}", "write it as text")
    return value.strip() or None if value else None


def _names(fields: dict[str, Any], key: str) -> tuple[str, ...]:
    value = fields.get(key)
    names = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise _invalid("README.md", f"its field {key} is {value!r:.60}", "name repositories as owner/name")
    return tuple(dict.fromkeys(name.strip() for name in names))


def _invalid(name: str, what: str, remedy: str) -> SourceFailure:
    return SourceFailure("card_invalid", f"{name}: {what}; {remedy}")
