"""What is owed for which asset, and what in a package fulfils it: a file with content, a line of the listing, a setting, a name."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from licenses.catalogue import PAID_USES, Catalogue, License
from licenses.node import DATA, Node
from licenses.publisher import Publisher
from licenses.sentences import Case
from licenses.sentences import said as lines_of
from licenses.verdict import UseVerdict

TEXT = "LICENSES/"  # stands for the texts of the asset itself
OF_DATA = ("ATTRIBUTION", "SHARE_ALIKE")


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """How a duty is fulfilled: `by` file, listing, setting, attestation or name, and what to do where it is not."""

    by: str
    files: tuple[str, ...]
    remedy: str


BESIDE = "put the licence text beside the weights as LICENSE and check again"
PROFILE = "state it in the publisher profile, or have a waiver signed"
TABLE: Mapping[str, Means] = {
    "LICENSE_COPY": Means(by="file", files=(TEXT,), remedy=BESIDE),
    "KEEP_NOTICES": Means(by="file", files=("NOTICE", TEXT), remedy=BESIDE),
    "NOTICE_FILE": Means(by="file", files=("NOTICE",), remedy="its text names no line to repeat: ask the licensor for it"),
    "STATE_CHANGES": Means(by="file", files=("MODIFICATIONS.md",), remedy="write the notices again"),
    "ATTRIBUTION": Means(by="file", files=("ATTRIBUTION.md",), remedy="name author and source in dataset.yaml and check again"),
    "FLOWDOWN": Means(by="file", files=("TERMS.md", TEXT), remedy=BESIDE),
    "DISCLAIMER_FLOWDOWN": Means(by="file", files=("TERMS.md", TEXT), remedy=BESIDE),
    "NO_TRAIN_OTHERS": Means(by="file", files=("TERMS.md",), remedy="write the notices again"),
    "AI_DISCLOSURE": Means(by="file", files=("TERMS.md",), remedy="write the notices again"),
    "NO_EXTRA_TERMS": Means(by="file", files=("TERMS.md",), remedy="write the notices again"),
    "KEEP_GUARDRAILS": Means(by="file", files=("TERMS.md",), remedy="set content_filters: true in the publisher profile"),
    "NO_AFFILIATION": Means(by="file", files=("NOTICE",), remedy="write the notices again"),
    "SHARE_ALIKE": Means(by="file", files=("TERMS.md",), remedy="set adapter_license in the publisher profile to this licence"),
    "NETWORK_SOURCE": Means(by="attestation", files=("TERMS.md",), remedy="set publish_weights: true and adapter_license"),
    "DISPLAY": Means(by="listing", files=("NOTICE",), remedy="its line is not known: ask the licensor for it"),
    "NAMING": Means(by="name", files=(), remedy="name the app so, or have a person ask the licensor"),
    "FILTER": Means(by="setting", files=("settings.json",), remedy="set content_filters: true in the publisher profile"),
    "REGISTER": Means(by="attestation", files=("ATTESTATIONS.md",), remedy="register, and list it under registrations"),
    "REVENUE_CAP": Means(by="attestation", files=("ATTESTATIONS.md",), remedy=PROFILE),
    "MAU_CAP": Means(by="attestation", files=("ATTESTATIONS.md",), remedy=PROFILE),
    "TERRITORY": Means(by="attestation", files=("ATTESTATIONS.md",), remedy=PROFILE),
}
CHECKED = "set safety: required under serving in the job"
SETTINGS: tuple[Mapping[str, Any], ...] = (
    {"file": "settings.json", "pointer": "/safety/enabled", "equals": True, "remedy": CHECKED},
    {"file": "settings.json", "pointer": "/safety/optional", "equals": False, "remedy": CHECKED},
)  # of a package that fulfils FILTER: a checker sees every picture, and no caller can turn it off


@dataclass(frozen=True, kw_only=True, slots=True)
class Owed:
    """One duty towards one asset. `files` must be in the package, and `lines` in the first of them; `open` says what lacks."""

    duty: str
    node: str
    role: str
    license: str
    name: str
    by: str
    files: tuple[str, ...]
    lines: tuple[str, ...]
    open: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def owed(
    nodes: Sequence[Node],
    uses: Mapping[str, UseVerdict],
    notices: Sequence[Mapping[str, Any]],
    publisher: Publisher,
    catalogue: Catalogue,
    as_of: date,
) -> tuple[Owed, ...]:
    """Every duty of the paid uses, an asset at a time; one that no asset's licence explains is open."""
    due = {duty for use in PAID_USES for duty in uses[use].duties} if nodes else set()
    waived = [reason for said in uses.values() for reason in said.reasons if reason.code == "waived"]
    rows = []
    for node in (one for one in nodes if not one.covered):
        licence = catalogue.licenses.get(node.license or "")
        if licence is not None:
            texts = tuple(str(one["file"]) for one in notices if node.id in one["nodes"])
            copied = any(one["kind"] == "license" for one in notices if node.id in one["nodes"])
            case = Case(
                node=node,
                licence=licence,
                texts=texts,
                copied=copied,
                publisher=publisher,
                as_of=as_of,
                waived=tuple(one.text for one in waived if one.node == node.id),
            )
            rows += [_row(duty, case) for duty in _asked(node, licence) if duty in due]
    unexplained = sorted(due - {row.duty for row in rows})
    return tuple(dict.fromkeys([*rows, *(_lost(duty, nodes[0]) for duty in unexplained)]))


def _asked(node: Node, licence: License) -> tuple[str, ...]:
    """Pictures are not shipped, so of their licence credit and share-alike are owed; of everything else all that it asks."""
    if node.role in DATA:
        return tuple(duty for duty in OF_DATA if duty in licence.duties or (duty == "ATTRIBUTION" and licence.duties))
    return licence.duties


def _row(duty: str, case: Case) -> Owed:
    means = TABLE.get(duty)
    if means is None:
        return _lost(duty, case.node)
    found = lines_of(duty, case)
    lack = "no licence text was found" if TEXT in means.files and not case.copied else found.lack
    return Owed(
        duty=duty,
        node=case.node.id,
        role=case.node.role,
        license=case.licence.id,
        name=case.licence.name,
        by=means.by,
        files=tuple(path for name in means.files for path in (case.texts if name == TEXT else (name,))),
        lines=found.lines,
        open=lack if not lack or ";" in lack else f"{lack}; {means.remedy}",
    )


def _lost(duty: str, node: Node) -> Owed:
    """A duty that nothing here fulfils."""
    lack = f"nothing here fulfils {duty}; have a person see to it and choose another base until then"
    return Owed(
        duty=duty, node=node.id, role=node.role, license=node.license or "", name="", by="nothing", files=(), lines=(), open=lack
    )
