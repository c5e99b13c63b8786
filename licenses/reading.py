"""A verdict in the order in which a reader wants it: the worst asset first, reasons by asset, duties with what fulfils each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from licenses.asked import Asked, asked
from licenses.catalogue import PAID_USES, RANK, USES, load
from licenses.drawing import LETTERS
from licenses.errors import flat
from licenses.hard import HARD_BLOCKS, WAIVABLE
from licenses.headline import license_name
from licenses.node import DATA
from licenses.verdict import ALLOWED

ANSWERS = {
    "allow": ("✓", "Allowed"),
    "duties": ("✓", "Allowed, with duties"),
    "conditional": ("!", "Not allowed: conditions are open"),
    "block": ("✕", "Not allowed"),
}
VOID = "waiver_void"
MEANINGS = {
    "allow": "allowed",
    "duties": "allowed by who fulfils the duties",
    "conditional": "not allowed until somebody settles the condition",
    "block": "not allowed",
}
COVERED = "covered by the base"
KEYS = ("code", "node", "text", "quote", "file", "sha256", "confidence", "known_text")  # the last is not in older records
OF_DATA = ("data_", "dataset_", "persons_", "minors_", "consent_")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One use by one asset; letter ? where a record does not tell; `waived` where a signed waiver lets it pass."""

    use: str
    verdict: str
    letter: str
    waived: bool

    @property
    def tone(self) -> str:
        return "conditional" if self.waived else self.verdict if self.verdict in RANK else "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asset:
    """One row of the matrix. `number` is its place in the verdict, from 1."""

    number: int
    id: str
    role: str
    licence: str
    told: str
    revision: str
    text_sha256: str
    gated: bool
    items: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One reason with its uses: those that it stands `against`, else those that rest on it; `worst` is their worst verdict."""

    code: str
    text: str
    quote: str
    section: str
    file: str
    sha256: str
    confidence: str
    known_text: str
    uses: tuple[str, ...]
    against: bool
    worst: str
    remedy: str

    @property
    def waived(self) -> bool:
        return self.code == "waived"


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The reasons that name one asset; `asset` is None for the publisher's own profile."""

    name: str
    asset: Asset | None
    said: tuple[Said, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """`tone`, `sign` and `answer` are of the two uses that a paid endpoint needs; `notes` tell of waivers that do not count."""

    tone: str
    sign: str
    answer: str
    whole: tuple[Cell, ...]
    assets: tuple[Asset, ...]
    notes: tuple[str, ...]
    against: tuple[Group, ...]
    grounds: tuple[Group, ...]
    duties: tuple[Asked, ...]

    @property
    def rows(self) -> tuple[tuple[Asset, ...], ...]:
        """The matrix: an asset a row, but what its base covers alike in one."""
        return tuple(tuple(row) for _, row in groupby(self.assets, key=_alike))

    @property
    def anchors(self) -> dict[int, str]:
        """Where the reasons of an asset begin, by its number."""
        grounds = {one.asset.number: f"for-{one.asset.number}" for one in self.grounds if one.asset}
        return grounds | {one.asset.number: f"against-{one.asset.number}" for one in self.against if one.asset}


def read(verdict: Mapping[str, Any]) -> Reading:
    """The verdict's JSON as a report shows it; every text is one printable line."""
    numbered = [_asset(number, node, verdict) for number, node in enumerate(verdict["nodes"], 1)]
    assets = tuple(sorted(numbered, key=lambda one: _badness(one.cells), reverse=True))
    reasons = _reasons(verdict)
    said = [(node, one) for node, one in reasons if one.code != VOID]
    tone, sign, answer = _answer(verdict)
    return Reading(
        tone=tone,
        sign=sign,
        answer=answer,
        whole=tuple(_cell(use, verdict["uses"][use]["verdict"], verdict) for use in USES),
        assets=assets,
        notes=tuple(dict.fromkeys(one.text for _, one in reasons if one.code == VOID)),
        against=_groups(((node, one) for node, one in said if one.against), assets),
        grounds=_groups(((node, one) for node, one in said if not one.against), assets),
        duties=asked(verdict),
    )


def _answer(verdict: Mapping[str, Any]) -> tuple[str, str, str]:
    """Tone, sign and words; an approval that hangs on a waiver or on a duty that nothing fulfils yet says so."""
    said = str(verdict["verdict"])
    sign, answer = ANSWERS[said]
    if said not in ALLOWED:
        return said, sign, answer
    waived = any(reason["code"] == "waived" for use in PAID_USES for reason in verdict["uses"][use]["reasons"])
    lacking = sum(bool(one["open"]) for one in verdict.get("owed", ()))
    answer = "Allowed only by a signed waiver" if waived else answer
    if lacking:
        answer += f", but {lacking} {'duty' if lacking == 1 else 'duties'} can not be fulfilled yet"
    return ("conditional", "!", answer) if waived or lacking else (said, sign, answer)


def _alike(asset: Asset) -> tuple[Any, ...]:
    covered = asset.told == COVERED
    return (asset.licence, asset.revision, asset.cells) if covered else (asset.number,)


def _asset(number: int, node: Mapping[str, Any], verdict: Mapping[str, Any]) -> Asset:
    own = node.get("verdicts") or {}
    return Asset(
        number=number,
        id=flat(node["id"]),
        role=flat(node["role"]).replace("_", " "),
        licence=license_name(node["license"]),
        told=flat(node["identified_by"]),
        revision=flat(node["revision"] or ""),
        text_sha256=flat(node["text_sha256"] or ""),
        gated=bool(node.get("gated")),
        items=tuple(flat(", ".join(f"{key}: {value}" for key, value in one.items() if value)) for one in node.get("items", ())),
        cells=tuple(_cell(use, own.get(use), verdict, node["id"]) for use in USES),
    )


def _cell(use: str, said: str | None, verdict: Mapping[str, Any], node: str | None = None) -> Cell:
    waived = any(one["code"] == "waived" and node in (None, one["node"]) for one in verdict["uses"][use]["reasons"])
    letter = LETTERS.get(said or "", "?")
    return Cell(use=use, verdict=said or "not recorded", letter=letter, waived=waived and said in ALLOWED)


def _badness(cells: Iterable[Cell]) -> tuple[int, ...]:
    """The worst of the paid uses first, then of all uses, then how many stand badly; what is not recorded is worst."""
    ranks = {cell.use: RANK.get(cell.verdict, RANK["block"]) for cell in cells}
    return max(ranks[use] for use in PAID_USES), max(ranks.values()), sum(ranks.values())


def _reasons(verdict: Mapping[str, Any]) -> list[tuple[str, Said]]:
    """Each reason once, with all the uses that give it, and the asset that it names."""
    found: dict[tuple[Any, ...], tuple[Mapping[str, Any], list[str]]] = {}
    for use in USES:
        for reason in verdict["uses"][use]["reasons"]:
            key = tuple(reason.get(name) for name in KEYS)
            found.setdefault(key, (reason, []))[1].append(use)
    return [(str(reason["node"]), _said(reason, uses, verdict)) for reason, uses in found.values()]


def _said(reason: Mapping[str, Any], uses: list[str], verdict: Mapping[str, Any]) -> Said:
    barred = [use for use in uses if verdict["uses"][use]["verdict"] not in ALLOWED] if reason["code"] != "waived" else []
    node: Mapping[str, Any] = next((one for one in verdict["nodes"] if one["id"] == reason["node"]), {})
    return Said(
        code=flat(reason["code"]),
        text=flat(reason["text"]),
        quote=flat(reason["quote"] or ""),
        section=_section(reason, str(node.get("license"))),
        file=flat(reason["file"] or ""),
        sha256=flat(reason["sha256"] or "") if reason["file"] else "",
        confidence=flat(reason["confidence"] or "not told"),
        known_text=flat(reason.get("known_text") or ("" if reason["file"] else reason["sha256"]) or ""),
        uses=tuple(barred or uses),
        against=bool(barred),
        worst=max((verdict["uses"][use]["verdict"] for use in barred or uses), key=RANK.__getitem__),
        remedy=_remedy(str(reason["code"]), str(node.get("role", ""))),
    )


def _section(reason: Mapping[str, Any], license: str) -> str:
    """Where in the licence the quote stands, as the catalogue has it."""
    known = load().licenses.get(license)
    clauses = known.clauses if known else ()
    cited = next((one for one in clauses if reason["quote"] and one.quote == reason["quote"]), None)
    return flat(f"section {cited.section}{f' of version {cited.version}' if cited.version else ''}") if cited else ""


def _remedy(code: str, role: str) -> str:
    if code in HARD_BLOCKS:
        return f"Settle what the reason names. No waiver lifts it: {HARD_BLOCKS[code]}."
    other = (
        "other pictures" if role in DATA or code.startswith(OF_DATA) else "another base" if role in ("", "base") else "another part"
    )
    if code in WAIVABLE:
        return f"Choose {other}, settle what the reason names, or have a waiver signed for this asset, text and use."
    return f"Choose {other}, or settle what the reason names. No waiver lifts it."


def _groups(said: Iterable[tuple[str, Said]], assets: Iterable[Asset]) -> tuple[Group, ...]:
    """Reasons by asset in the order of the matrix; those that name none of them last."""
    by_node: dict[str, list[Said]] = {}
    for node, one in said:
        by_node.setdefault(flat(node), []).append(one)
    listed = {one.id: one for one in assets}
    order = [*(id for id in listed if id in by_node), *(node for node in by_node if node not in listed)]
    return tuple(Group(name=node, asset=listed.get(node), said=tuple(by_node[node])) for node in order)
