"""Facts about licences, models and texts, loaded on first use from licenses/facts/."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

USES = ("train_adapter", "host_paid_inference", "distribute_adapter", "sell_outputs")
PAID_USES = USES[:2]
RANK = {"allow": 0, "duties": 1, "conditional": 2, "unclear": 3, "block": 4}
CONDITIONS = (  # reasons that a publisher's profile gives, and the word that a clause about it can not do without
    ("revenue_cap", "revenue"),
    ("users_cap", "users"),
    ("registration", "regist"),
    ("territory", "territory"),
)
FACTS = Path(__file__).parent / "facts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """Where a text says what a verdict rests on; `text_hash` is None where the text itself was not at hand."""

    uses: tuple[str, ...]
    section: str
    quote: str
    version: str = ""
    text_hash: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class License:
    """A licence: a verdict a use, and what it asks for. `by_profile`: conditional uses that the profile alone settles."""

    id: str
    name: str
    kind: str
    verdict: Mapping[str, str]
    why: str
    confidence: str
    spdx: str | None = None
    tags: tuple[str, ...] = ()
    license_names: tuple[str, ...] = ()
    duties: tuple[str, ...] = ()
    notice: str | None = None
    display: tuple[str, ...] = ()
    naming: str | None = None
    revenue_cap_usd: float | None = None
    users_cap: float | None = None
    registration: str | None = None
    registration_proof: bool = False
    territory_excluded: tuple[str, ...] = ()
    filters: bool = False
    public_weights: bool = False
    dated_changes: bool = False
    network_server: bool = False
    by_profile: tuple[str, ...] = ()
    clauses: tuple[Clause, ...] = ()
    unseen: bool = False
    data_why: str = ""
    as_of: date = date.min

    def why_of(self, *, data: bool) -> str:
        """What a reason says of it; of pictures, which are not shipped, without what travels along with a copy."""
        return self.data_why if data and self.data_why else self.why

    def clause(self, use: str, text_hash: str | None, *, about: str = "") -> Clause | None:
        """The clause that decides `use`: that of the text at hand, else that of the newest one known.

        Where the reason `about` is one condition of several, only a clause that speaks of it.
        """
        told = next((words for condition, words in CONDITIONS if about.startswith(condition)), "")
        of_use = [clause for clause in self.clauses if use in clause.uses and re.search(told, clause.quote, re.I)]
        exact = [clause for clause in of_use if text_hash and clause.text_hash == text_hash]
        return next(iter(exact or of_use), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A row about one repository as of a day; it can tighten what evidence says, never loosen it. `billions` of parameters."""

    repo: str
    license: str
    family: str
    kind: str
    verdict: Mapping[str, str] = field(default_factory=dict)
    offer: int | None = None
    requires: tuple[str, ...] = ()
    card_reviewed: bool = False
    note: str = ""
    billions: float | None = None
    distilled: bool = False
    edits: bool = False
    as_of: date = date.min

    @property
    def name(self) -> str:
        return self.repo.partition("/")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownText:
    """A text by its hash; `marks` are the amounts and signs between its words (words.py), None where they do not count."""

    license: str
    version: str = ""
    role: str = "license"
    marks: str | None = None
    superseded: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Catalogue:
    as_of: str
    duties: Mapping[str, str]
    licenses: Mapping[str, License]
    models: Mapping[str, Model]
    texts: Mapping[str, KnownText]
    templates: Mapping[str, KnownText]
    architectures: tuple[tuple[str, str], ...] = ()

    def model(self, repo: str) -> Model | None:
        """The row of a repository; the Hub does not tell case apart, so neither do we."""
        return self.models.get(repo.casefold())

    def has_text(self, license: str) -> bool:
        """An exact text of this licence is known: what it says stays so, whatever the day."""
        return any(text.license == license and text.role == "license" for text in self.texts.values())

    def licenses_of_tag(self, tag: str) -> frozenset[str]:
        """Ids of the licences that a `license:` value or an SPDX id stands for; empty where nobody knows it."""
        key = tag.strip().casefold()
        return frozenset(
            one.id
            for one in self.licenses.values()
            if key in {text.casefold() for text in one.tags} or (one.spdx is not None and key == one.spdx.casefold())
        )

    def licenses_of_name(self, name: str) -> frozenset[str]:
        """Ids of the licences that a `license_name:` value stands for."""
        key = "-".join(name.casefold().split())
        return frozenset(one.id for one in self.licenses.values() if key in {text.casefold() for text in one.license_names})


@lru_cache(maxsize=1)
def load() -> Catalogue:
    """The catalogue of this installation."""
    facts, models, texts = (_read(name) for name in ("licenses.yaml", "models.yaml", "texts.yaml"))
    read, seen = ({"as_of": one["as_of"]} for one in (facts, models))
    licenses = [License(**read | _frozen(row) | {"clauses": _clauses(row), "why": _why(row)}) for row in facts["licenses"]]
    rows = [Model(**seen | _frozen(row)) for row in models["models"]]
    return Catalogue(
        as_of=str(facts["as_of"]),
        duties=facts["duties"],
        licenses={one.id: one for one in licenses},
        models={one.repo.casefold(): one for one in rows},
        texts={row["norm"]: _known(row) for row in texts["texts"]},
        templates={template: _known(row) for row in texts["texts"] for template in row.get("templates", ())},
        architectures=tuple((row["prefix"], row["license"]) for row in models["architectures"]),
    )


def _read(name: str) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((FACTS / name).read_text(encoding="utf-8"), Loader=loader)  # noqa: S506  (both are safe loaders)


def _frozen(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


def _why(row: Mapping[str, Any]) -> str:
    """What a reason says of a licence; where its text was not at hand, that too."""
    return f"{row['why']} Its whole text was not at hand." if row.get("unseen") else str(row["why"])


def _clauses(row: Mapping[str, Any]) -> tuple[Clause, ...]:
    return tuple(Clause(**_frozen(clause)) for clause in row.get("clauses", ()))


def _known(row: Mapping[str, Any]) -> KnownText:
    kept = {key: str(row[key]) for key in ("license", "version", "role", "marks", "superseded") if key in row}
    return KnownText(**kept)
