"""What a model is said to come from: fields of card, index and configs, heads of weights files, and sentences of a card."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from licenses.card import Card
from licenses.catalogue import Catalogue, Model
from licenses.errors import flat
from licenses.evidence import RELATIONS, Header, Parent, Prose
from licenses.filenames import WEIGHTS
from licenses.lookalike import bars, skeleton

HUB_LINK = r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/(?!datasets/|spaces/|docs/|papers/|blog/|collections/)"
LINKED = re.compile(HUB_LINK + r"([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})", re.I)
WRITTEN = re.compile(r"(?<![\w/.:@-])((?=[\d.-]*[A-Za-z])[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{1,95})(?![\w/-])")
# Keys of a head that name what the weights were trained on or merged from: of trainers, of modelspec, of peft, of this project.
PARENT_KEY = re.compile(r"(?:^|[._])(?:sd_model|base_model|pretrained_model|base|merged_from)(?:_name)?(?:_or_path)?$")
BASE_IS = (
    r"\b(?:base|parent|source|original|foundation|pre-?trained|teacher)[ _-]?(?:model|checkpoint|weights)s?\b"
    r"[^\w:=]{0,6}(?::|=|\||\bis\b|\bwas\b)"
)
ELSEWHERE = (
    r"\b(?:basiert|basierend|feinabgestimmt) (?:auf|von)\b|\bbasée? sur\b|\baffinée? (?:à partir de|sur)\b|\bbasad[oa] en\b|"
    r"基于|基於|微调自|微調自|改编自|量化自|融合自"
)
DERIVED = re.compile(
    r"\b(?:(?:re-?)?(?:fine-?\s?)?(?:tun(?:ed?|ing)|train(?:ed|ing))|finetun\w*|merg\w+|quanti[sz]\w+|distill\w+|deriv\w+|based|built|"
    r"initiali[sz]\w+|convert\w+|conversion|ported|port|continued|started|starting|pruned|extracted|modified|modification|copy|"
    r"mirror\w*|re-?upload\w*|adapt(?:ed|er)|lora|checkpoint|version|variant)\b[^.;:]{0,40}?\b(?:from|of|on|upon|for|between|with)\b"
    rf"|{BASE_IS}|{ELSEWHERE}",
    re.I,
)
STRONG = re.compile(r"model|weights|tun|merg|quanti|distill|deriv|lora|adapter|initiali|convert|ported|copy|mirror|upload", re.I)
NAMED_FIRST = re.compile(
    r"^\W{0,3}(?:\w+\W+){0,2}(?:fine-?\s?tun|lora\b|merge|derivative|quant|gguf|checkpoint|re-?upload|mirror)", re.I
)
IN_CLAUSE = re.compile(
    r"^\W{0,4}(?:from|on|of) which\b(?![^.]*\b(?:no|not|never)\b)[^.]{0,60}(?:distil|tun|train|deriv|initiali|built|merge)", re.I
)
TERMS_OF = re.compile(HUB_LINK + r"([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})/\w+/[^\s)\]\"']*licen[sc]e", re.I)
DENIED = re.compile(
    r"\b(?:not|never|isn't|wasn't|without|unlike|rather than|instead of|than|compatible with|alternative to)\W+(?:\w+\W+){0,2}$",
    re.I,
)
# A barred name in a sentence without any of these words is taken for where the model comes from.
COMPARED = re.compile(
    r"\b(?:than|unlike|compar\w*|versus|vs|prefer\w*|outperform\w*|beats?|better|worse|faster|slower|alternatives?|instead|compatible|"
    r"similar\w*|inspired|rivals?|competitors?|benchmarks?|baselines?|scores?|parameters|not|never|no|like|against|such as|"
    r"above|below|as in|from scratch|related|see also|cit\w+|same \w+ as|needs? \d+|sizes?)\b",
    re.I,
)
OUTWARD = re.compile(r"^\W*(?:this|our|its?|these|scratch)\b", re.I)
TABLE_OF_BASES = re.compile(r"\b(?:base|parent|source|teacher|backbone|origin|init\w*|from)\b", re.I)
OF_A_CARD = re.compile(r"\bmodel card\W{1,3}$", re.I)  # its words are taken over, not its weights
REACH = 90
LONGEST = 240  # characters of a link
BEFORE = 120  # characters before a verb in which it may be denied
SENTENCES = re.compile(r"(?<=[.!?])\s+|\n\s*\n|\n(?=\s*(?:[-*+|>#]|\d+[.)]))")
OPEN = re.compile(r":[*_ \t]*\n\s*(?:[-*+]\s+)?")  # a line that ends in a colon goes on in the next one
WINDOW = 6
ORIGIN_KEYS = frozenset(
    ("_name_or_path", "name_or_path", "pretrained_model_name_or_path", "base_model_name_or_path", "base_model", "repo_id", "repo")
)
NAME_LENGTH = 5
LOCAL = frozenset(
    (
        "checkpoints",
        "checkpoint",
        "ckpt",
        "ckpts",
        "output",
        "outputs",
        "out",
        "models",
        "model",
        "weights",
        "results",
        "runs",
        "logs",
    )
)
FACTS = Path(__file__).parent / "facts" / "lineage.yaml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """A class with these values in its config was only ever released under `license`, as `repo`."""

    name: str
    config: Mapping[str, Any]
    repo: str
    license: str
    why: str

    def fits(self, classes: Iterable[str], config: Mapping[str, object]) -> bool:
        text = config.get("text_config")
        inner: Mapping[str, object] = text if isinstance(text, dict) else {}
        return self.name in classes and all(value in (config.get(key), inner.get(key)) for key, value in self.config.items())


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """Known models by the skeleton of what they are called, those that are barred by repository, and fingerprints of configs."""

    models: Mapping[str, Model]
    barred: frozenset[str]
    fingerprints: tuple[Fingerprint, ...]


def known_names(catalogue: Catalogue) -> Names:
    """The names of the catalogue and of facts/lineage.yaml."""
    import yaml

    facts = yaml.safe_load(FACTS.read_text(encoding="utf-8"))
    found = {skeleton(one.name): one for one in catalogue.models.values() if len(skeleton(one.name)) >= NAME_LENGTH}
    for row in facts["aliases"]:
        model = catalogue.model(row["repo"])
        found |= {skeleton(alias): model for alias in row["names"] if model is not None and skeleton(alias) not in found}
    prints = tuple(
        Fingerprint(name=row["class"], config=row["config"], repo=row["repo"], license=row["license"], why=row["why"])
        for row in facts["fingerprints"]
    )
    barred = frozenset(one.repo for one in catalogue.models.values() if bars(one, catalogue))
    return Names(models=found, barred=barred, fingerprints=prints)


def parents_of(
    cards: Iterable[Card],
    configs: Mapping[str, Mapping[str, Any]],
    adapters: Mapping[str, Mapping[str, Any]],
    headers: Iterable[Header],
) -> tuple[Parent, ...]:
    """Parents named in fields, each once, in the order in which they bind: what the author wrote comes first."""
    found = [parent for card in cards for parent in _of_card(card)]
    for file, settings in adapters.items():
        said = settings.get("base_model_name_or_path")
        if said:
            found.append(Parent(name=str(said), relation="adapter", file=file))
    for file, settings in configs.items():
        found += [Parent(name=name, file=file) for said in origins_in(settings) if (name := id_in(said))]
    for header in headers:
        found += _of_header(header)
    once: dict[str, Parent] = {}
    for parent in found:
        once.setdefault(parent.name.casefold(), parent)
    return tuple(once.values())


def origins_in(config: Any) -> Iterator[str]:
    """Where a config, or a part of it, says that weights are from, as it is written there."""
    if isinstance(config, dict):
        for key, value in config.items():
            if key in ORIGIN_KEYS and isinstance(value, str) and value.strip():
                yield value
            else:
                yield from origins_in(value)
    elif isinstance(config, list):
        for one in config:
            yield from origins_in(one)


def id_in(value: str) -> str | None:
    """The Hub id in an origin: written as owner/name, as a link, or hidden in a cache path models--owner--name."""
    linked = LINKED.match(value)
    if linked:
        return linked[1]
    cached = re.search(r"models--([\w.-]+?)--([\w.-]+)", value)
    if cached:
        return f"{cached[1]}/{cached[2]}"
    plain = re.fullmatch(r"(\w[\w.-]*)/\w[\w.-]*", value, re.ASCII)
    return value if plain and plain[1].casefold() not in LOCAL else None


def told_in(key: str, value: str) -> Iterator[str]:
    """Names of parents under a key of a head; a table in a text, as trainers write it, is looked into."""
    line = flat(value)
    if line.startswith("{"):
        try:
            yield from (said.partition("@")[0].strip() for said in origins_in(json.loads(line)))
        except (ValueError, RecursionError):
            return
    elif PARENT_KEY.search(key):
        yield from (name for said in line.split(",") if (name := said.partition("@")[0].strip()))


def names_in(header: Header) -> tuple[str, ...]:
    """Names of models and architectures in a head; they are no ids, but may be the name of a barred model."""
    said = [header.fields.get(key, "") for key in ("ss_sd_model_name", "ss_base_model_version", "modelspec.title", "general.name")]
    said += [
        header.fields.get("modelspec.architecture", "").partition("/")[0],
        *header.fields.get("modelspec.merged_from", "").split(","),
    ]
    return tuple(dict.fromkeys(WEIGHTS.sub("", flat(one)) for one in said if one.strip()))


def parents_in(texts: Iterable[Prose], names: Names) -> Iterator[Parent]:
    """Models that a sentence says this one is tuned from, merged of, or a copy of, and that no field may name."""
    for prose in texts:
        for linked in TERMS_OF.finditer(prose.text):
            yield Parent(name=linked[1], file=prose.file, quote=flat(linked[0])[:200])
        header = ""
        for sentence in SENTENCES.split(OPEN.sub(": ", prose.text)):
            line = " ".join(re.sub(r"[*_`\[\]]+", " ", sentence).split())
            header = (header or line) if line.startswith("|") else ""
            for name in dict.fromkeys([*_after_verb(line, names), *_before_noun(line, names), *_mentioned(line, header, names)]):
                yield Parent(name=name, file=prose.file, quote=flat(line)[:200])


def _of_card(card: Card) -> Iterator[Parent]:
    for tag in card.tags:
        if tag.casefold().startswith("base_model:"):
            yield Parent(name=tag.rpartition(":")[2].strip())
    for name in card.base_models:
        relation = (card.relation or "").casefold()
        yield Parent(name=name, relation=relation if relation in RELATIONS else "ancestor")


def _of_header(header: Header) -> Iterator[Parent]:
    fields, file = header.fields, header.file
    for key, value in fields.items():
        relation = "merge" if key.endswith("merged_from") else "ancestor"
        for said in told_in(key, value):
            yield Parent(name=said, relation=relation, file=file)
    for key, value in sorted(fields.items()):
        if re.fullmatch(r"general\.(?:base_model\.\d+\.repo_url|source\.(?:huggingface\.repository|repo_url))", key):
            linked = LINKED.match(value)
            yield Parent(name=linked[1] if linked else flat(value), relation="quantized", file=file)
        elif re.fullmatch(r"general\.base_model\.\d+\.name", key) and key.replace(".name", ".repo_url") not in fields:
            yield Parent(name=flat(value), relation="quantized", file=file)


def _after_verb(line: str, names: Names) -> Iterator[str]:
    for verb in DERIVED.finditer(line):
        rest = _reached(line, verb.end())
        if DENIED.search(line[max(0, verb.start() - BEFORE) : verb.start()]) or (
            verb[0].casefold().endswith("with") and "merg" not in verb[0].casefold()
        ):
            continue
        if OUTWARD.search(rest):
            continue  # what others made of this one
        yield from (found[1].rstrip(".") for found in LINKED.finditer(rest) if not OF_A_CARD.search(rest[: found.start()]))
        if STRONG.search(verb[0]):
            yield from (found[1].rstrip(".") for found in WRITTEN.finditer(rest) if _is_id(found[1]))
        yield from (model.repo for _, _, model in _known(rest, names))


def _reached(line: str, start: int) -> str:
    """The words within REACH of a place, the last of them whole: half an id would be another one."""
    end = line.find(" ", start + REACH, start + REACH + LONGEST)
    return line[start : end if end >= 0 else start + REACH + LONGEST]


def _before_noun(line: str, names: Names) -> Iterator[str]:
    """`FLUX.1-dev fine-tune`: a name right before the word for what was made of it; a barred one also in a clause of origin."""
    for start, end, model in _known(line, names):
        made = NAMED_FIRST.search(line[end:]) and not DENIED.search(line[max(0, start - BEFORE) : start])
        if made or (model.repo in names.barred and IN_CLAUSE.search(line[end:])):
            yield model.repo


def _mentioned(line: str, header: str, names: Names) -> Iterator[str]:
    """A barred name in a sentence that compares nothing, or in a table that is one of bases."""
    if COMPARED.search(line) or (header and not TABLE_OF_BASES.search(header)):
        return
    yield from (model.repo for _, _, model in _known(line, names) if model.repo in names.barred)


def _known(text: str, names: Names) -> Iterator[tuple[int, int, Model]]:
    """Start, end and model of every run of up to WINDOW words that is the name of a known one; the longest counts."""
    words = list(re.finditer(r"[^\s,()|\"“”]+", text))
    place = 0
    while place < len(words):
        for size in range(min(WINDOW, len(words) - place), 0, -1):
            start, end = words[place].start(), words[place + size - 1].end()
            written = text[start:end].rstrip(".,;:!?'`\"").rpartition("/")[2]
            model = names.models.get(skeleton(written)) or names.models.get(skeleton(WEIGHTS.sub("", written)))
            if model is not None:
                yield start, end, model
                place += size - 1
                break
        place += 1


def _is_id(written: str) -> bool:
    """owner/name and not two words with a stroke: an id has a digit, a hyphen, a dot or a capital in its name."""
    name = written.partition("/")[2].rstrip(".")
    return re.search(r"[\d\-_A-Z]", name) is not None and not re.search(r"\.(?:py|md|txt|json|yaml|png|jpg)$", name, re.I)
