"""Reads a source once: what can not be read or does not parse becomes a problem, never an absence."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from licenses.card import CARD_LIMIT, POINTER, Card, decoded, read_card
from licenses.errors import SourceFailure, flat
from licenses.evidence import (
    JSON_LIMIT,
    TEXT_LIMIT,
    Evidence,
    Header,
    Part,
    Problem,
    Prose,
    Source,
    TextFile,
    classes_of,
    sure,
)
from licenses.filenames import is_card, is_prose, is_readable, is_settings, is_weights, kind_of
from licenses.lineage import origins_in, parents_of

TEXTS_LIMIT = 24
PARTS_LIMIT = 32
PROSE_LIMIT = 8
CONFIGS_LIMIT = 8
TOKENS_LIMIT = 16 << 20
HEADERS_LIMIT = 512

RESERVED = frozenset({"base", "ancestor", "dataset", "source_data", "adapter"})
INDEX, CONFIG, MODULAR = "model_index.json", "config.json", "modular_model_index.json"
STARTED = re.compile(r"(?:name_or_path|base_model|pretrained_model|sd_model_name)[\"']?\s*[:=]\s*[\"']?([^\"'\s,#]+)")
T = TypeVar("T")
Keep = Callable[[str, bytes], None]


def gather(source: Source, keep: Keep | None = None) -> Evidence:
    """Everything a source says of rights; `keep(path, raw)` is given every file that was read."""
    return _Gathering(source, keep).evidence()


class _Gathering:
    def __init__(self, source: Source, keep: Keep | None) -> None:
        self.source, self.keep = source, keep
        self.problems: list[Problem] = []
        self.files: tuple[str, ...] = ()
        self.answer: Mapping[str, bytes | SourceFailure] = {}

    def evidence(self) -> Evidence:
        self.files = self._guarded(self.source.files) or ()
        self.answer = self.source.read(self._wanted())
        card = self._card()
        index, config, modular = self._mapping(INDEX), self._mapping(CONFIG), self._mapping(MODULAR)
        roles = self._roles(index)
        roles |= dict.fromkeys(self._folders(roles), "")
        texts = self._texts([path for path in self.files if path.partition("/")[0] not in roles or "/" not in path])
        parts = tuple(self._part(role, name) for role, name in sorted(roles.items()))
        cards = [one for one in (card, *(self._card_below(path, card) for path in self._cards_below())) if one is not None]
        below = {path: self._mapping(path) for path in self.answer if path.endswith(f"/{INDEX}")}
        configs = {INDEX: index, CONFIG: config, MODULAR: modular, **below}
        parts += tuple(
            self._part(f"{path.removesuffix(INDEX)}{role}", name)
            for path, one in below.items()
            for role, name in self._roles(one).items()
        )
        told = {**configs, **{f"{part.role}/{CONFIG}": part.config for part in parts}}
        adapters = {path: self._mapping(path) for path in self.answer if path.endswith("adapter_config.json")}
        headers = tuple(self._headers())
        pipeline = index.get("_class_name")
        return Evidence(
            name=self.source.name,
            revision=self.source.revision or self._revision(headers),
            card=card,
            texts=texts,
            parts=parts,
            pipeline=pipeline if isinstance(pipeline, str) else None,
            parents=parents_of(cards, configs, adapters, headers),
            origin=_written(index) or _written(config),
            config=config,
            prose=tuple(self._prose()),
            headers=headers,
            told=tuple(Prose(file=file, text=said) for file, one in told.items() if isinstance(said := one.get("license"), str)),
            settings=tuple(self._settings()),
            files=self.files,
            problems=tuple(self.problems),
        )

    def _wanted(self) -> Mapping[str, int]:
        """Path and size limit of every file that may speak of rights, so that a source can read them at once."""
        paths = self.files
        wanted = dict.fromkeys([one for one in paths if is_card(one)][:1], CARD_LIMIT)
        wanted |= dict.fromkeys([one for one in paths if kind_of(one) and is_readable(one)][: 2 * TEXTS_LIMIT], TEXT_LIMIT)
        wanted |= {path: JSON_LIMIT for path in (INDEX, CONFIG, MODULAR) if path in paths}
        inner = [path for path in paths if path.count("/") == 1]
        wanted |= dict.fromkeys([one for one in inner if one.endswith("/tokenizer_config.json")][:PARTS_LIMIT], TOKENS_LIMIT)
        wanted |= dict.fromkeys([one for one in paths if one.endswith(f"/{INDEX}")][:CONFIGS_LIMIT], JSON_LIMIT)
        wanted |= dict.fromkeys([one for one in inner if one.endswith("/config.json")][:PARTS_LIMIT], JSON_LIMIT)
        wanted |= dict.fromkeys(self._cards_below()[:PARTS_LIMIT], CARD_LIMIT)
        wanted |= dict.fromkeys([one for one in paths if is_settings(one) and one not in wanted][:CONFIGS_LIMIT], JSON_LIMIT)
        adapters = [path for path in paths if path.rpartition("/")[2] == "adapter_config.json"]
        wanted |= dict.fromkeys(adapters[:CONFIGS_LIMIT], JSON_LIMIT)
        return wanted | dict.fromkeys([one for one in paths if is_prose(one) and not kind_of(one)][:PROSE_LIMIT], CARD_LIMIT)

    def _cards_below(self) -> list[str]:
        return [path for path in self.files if "/" in path and is_card(path.rpartition("/")[2])]

    def _guarded(self, call: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return call(*arguments)
        except SourceFailure as failure:
            file = arguments[0] if arguments and isinstance(arguments[0], str) else None
            self._problem(failure.code, str(failure), file)
            return None

    def _problem(self, code: str, text: str, file: str | None = None) -> None:
        problem = Problem(code=code, text=text, file=file)
        if problem not in self.problems:
            self.problems.append(problem)

    def _read(self, path: str) -> bytes:
        if path not in self.answer:
            text = f"{flat(path)} was not read: too many files of its kind; remove those without use"
            raise SourceFailure("texts_too_many", text)
        raw = sure(self.answer, path)
        if self.keep is not None:
            self.keep(path, raw)
        return raw

    def _revision(self, headers: tuple[Header, ...]) -> str:
        """sha256 over what was read, in the order of its paths."""
        seen = hashlib.sha256()
        read = {path: raw for path, raw in self.answer.items() if isinstance(raw, bytes)}
        for header in headers:
            read.setdefault(header.file, json.dumps(header.fields, sort_keys=True).encode())
        for path, raw in sorted(read.items()):
            seen.update(path.encode("utf-8", "backslashreplace") + b"\0" + hashlib.sha256(raw).digest())
        return f"sha256:{seen.hexdigest()}"

    def _card(self) -> Card | None:
        cards = [path for path in self.files if is_card(path)]
        if len(cards) > 1:
            self._problem("card_ambiguous", f"{len(cards)} cards ({', '.join(cards)}); keep one README.md")
        raw = self._guarded(self._read, cards[0]) if cards else None
        return self._guarded(read_card, raw) if raw is not None else None

    def _roles(self, index: Mapping[str, Any]) -> dict[str, str]:
        """Class by role; roles are folder names, so an odd one, a reserved one or a flood of them is a problem."""
        roles = {role: str(value[1]) for role, value in index.items() if role != "_class_name" and _is_component(value)}
        plain = {role: name for role, name in roles.items() if re.fullmatch(r"\w{1,64}", role, re.ASCII) and role not in RESERVED}
        odd = [role for role, value in index.items() if not role.startswith("_") and not _is_plain(value)]
        if odd:
            self._problem("json_invalid", f"{INDEX}: {flat(odd[0])[:60]} is not a component as pipelines write it; mend it", INDEX)
        if len(plain) != len(roles) or len(plain) > PARTS_LIMIT:
            text = f"{INDEX} names {len(roles)} components; at most {PARTS_LIMIT} with plain names are followed; mend it"
            self._problem("json_invalid", text, INDEX)
        return dict(sorted(plain.items())[:PARTS_LIMIT])

    def _folders(self, roles: Mapping[str, str]) -> list[str]:
        """Folders that hold a model of their own and that no index names."""
        held = [
            path.partition("/") for path in self.answer if path.count("/") == 1 and path.endswith(("/config.json", "_config.json"))
        ]
        named = dict.fromkeys(folder for folder, _, file in held if file in (CONFIG, "tokenizer_config.json"))
        return [one for one in named if one not in roles and one not in RESERVED and re.fullmatch(r"[\w.-]{1,64}", one, re.ASCII)]

    def _mapping(self, path: str) -> Mapping[str, Any]:
        if path not in self.files:
            return {}
        raw = self._guarded(self._read, path)
        value = self._guarded(_parsed, path, raw) if raw is not None else None
        return value if value is not None else {}

    def _texts(self, files: list[str]) -> tuple[TextFile, ...]:
        named = [(path, kind) for path in files if (kind := kind_of(path))]
        if len(named) > TEXTS_LIMIT:
            text = f"{len(named)} licence files; at most {TEXTS_LIMIT} are weighed: keep the one that holds for the weights"
            self._problem("texts_too_many", text)
        found = [self._guarded(self._text, path, kind) for path, kind in named[:TEXTS_LIMIT]]
        return tuple(one for one in found if one is not None)

    def _text(self, path: str, kind: str) -> TextFile:
        if not is_readable(path):
            text = f"{flat(path)} is a licence text that can not be read as plain text; put it there as .txt"
            raise SourceFailure("text_not_plain", text)
        raw = self._read(path)
        words = decoded(raw, path, "text")
        if words.startswith(POINTER):
            text = f"{flat(path)} is a pointer to a large file and not the text; get the file itself (git lfs pull)"
            raise SourceFailure("text_is_pointer", text)
        if not words.strip():
            raise SourceFailure("text_empty", f"{flat(path)} is empty; put the licence text there, or ask its author for it")
        return TextFile(path=path, kind=kind, text=raw.decode(), sha256=hashlib.sha256(raw).hexdigest())

    def _part(self, role: str, name: str) -> Part:
        own = [path for path in self.files if path.startswith(f"{role}/")]
        config = self._mapping(f"{role}/{CONFIG}")
        tokens = self._mapping(f"{role}/tokenizer_config.json")
        return Part(
            role=role,
            architectures=tuple(one for one in (name, *classes_of(config)) if one),
            texts=self._texts(own),
            config=config,
            origins=(*origins_in(config), *origins_in(tokens)),
            weights=any(is_weights(path) for path in own),
        )

    def _card_below(self, path: str, card: Card | None) -> Card | None:
        """The card of a part; a licence that is not that of the whole is a problem."""
        own = self._guarded(lambda one: read_card(self._read(one)), path)
        if own is not None and own.license and own.license != (card.license if card else None):
            role = path.rpartition("/")[0]
            text = (
                f"{flat(path)} names a licence of its own ({flat(own.license)[:40]}); check it with --component {flat(role)}=REPO"
            )
            self._problem("component_tag", text, path)
        return own

    def _prose(self) -> Iterator[Prose]:
        below = set(self._cards_below())
        for path in self.files:
            if (is_prose(path) and not kind_of(path)) or (path in self.answer and path in below):
                words = self._guarded(self._words, path)
                if words is not None:
                    yield Prose(file=path, text=words)

    def _words(self, path: str) -> str:
        return decoded(self._read(path), path, "card")

    def _settings(self) -> Iterator[str]:
        """Where the settings of a run say that it started from."""
        for path in [one for one in self.answer if is_settings(one)]:
            raw = self._guarded(self._read, path)
            yield from (found[1] for found in STARTED.finditer((raw or b"").decode("utf-8", "replace")))

    def _headers(self) -> Iterator[Header]:
        weights = [path for path in self.files if is_weights(path)]
        if len(weights) > HEADERS_LIMIT:
            self._problem(
                "folder_too_large", f"{len(weights)} weights files, at most {HEADERS_LIMIT} are looked into; name one model"
            )
        for path in weights[:HEADERS_LIMIT]:
            fields = self._guarded(self._header, path)
            if fields:
                yield Header(file=path, fields=fields)

    def _header(self, path: str) -> Mapping[str, str]:
        return self.source.header(path)


def _is_component(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value)


def _is_plain(value: Any) -> bool:
    """A component, one that is left out ([null, null]), or a setting of the pipeline."""
    empty = isinstance(value, list) and len(value) == 2 and all(one is None or isinstance(one, str) for one in value)
    return empty or not isinstance(value, list | dict)


def _written(config: Mapping[str, Any]) -> str | None:
    value = config.get("_name_or_path")
    return value if isinstance(value, str) and value.strip() else None


def _parsed(path: str, raw: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(decoded(raw, path, "json"), object_pairs_hook=_once)
    except SourceFailure:
        raise
    except (ValueError, RecursionError) as error:
        raise SourceFailure("json_invalid", f"{path} does not parse ({flat(error)[:100]}); mend it") from None
    if not isinstance(value, dict):
        raise SourceFailure("json_invalid", f"{path} holds a {type(value).__name__}; it must be an object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys stand once: readers differ in which of two they take."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
