"""Waivers weighed: an exception counts when a trusted key signed it for this asset, text, use and publisher, and never by itself.

The policy demands every field: repository, commit, text, use, publisher, approver, reason, evidence with its hash, date of
signing, expiry, signature. What a waiver lacks is said in its `why`, and it does not count.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from licenses.errors import BadWaiver, flat
from licenses.evidence import Problem
from licenses.node import Node
from licenses.publisher import Publisher, Waiver
from licenses.signature import fingerprint, is_genuine, signer
from licenses.verdict import ALLOWED, Reason, UseVerdict
from licenses.waiver_file import evidence_digest, read_waiver

TERM_DAYS = 366
DEMANDED = ("text_sha256", "use", "publisher", "evidence_sha256", "signed")
COMMIT = re.compile(r"[0-9a-f]{40}|sha256:[0-9a-f]{64}")
UNTOLD = "license_unresolved"  # of a part: one for each file that kept its base's licence from being told
OF_SEVERAL = ("texts_disagree",)  # a signature for one of the texts says nothing of the others
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """Public keys (32 bytes) by fingerprint, and the approver whom each was pinned for; given from outside, never by a job."""

    keys: Mapping[str, bytes]
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighed:
    """A waiver, whether it counts and why; `waiver` is None where its file can not be read."""

    waiver: Waiver | None
    counted: bool
    why: str

    def as_json(self) -> dict[str, Any]:
        """The row of the verdict; empty texts where the file could not be read."""
        said = self.waiver.model_dump(mode="json") if self.waiver else {}
        told = {key: flat(said.get(key, "")) for key in ("repo", "by", "reason")}
        return told | {"use": said.get("use"), "expires": said.get("expires"), "counted": self.counted, "why": flat(self.why)}


NOBODY = Trust(keys={})


def weighed(publisher: Publisher, *, trust: Trust | None, as_of: date) -> tuple[Weighed, ...]:
    """Each waiver of a publisher with its faults; without `trust` no key is trusted and none counts."""
    return tuple(weigh(one, publisher.name, trust or NOBODY, as_of) for one in publisher.waivers)


def weigh(given: str | Waiver, publisher: str | None, trust: Trust, as_of: date) -> Weighed:
    """One waiver, inline or by the absolute path of its file, for the publisher of this name."""
    folder = Path(given).parent if isinstance(given, str) else None
    try:
        waiver = read_waiver(Path(given)) if isinstance(given, str) else given
    except BadWaiver as fault:
        return Weighed(waiver=None, counted=False, why=str(fault))
    faults = [*lacking(waiver), *_unproven(waiver, trust), *_of_another(waiver, publisher), *_out_of_date(waiver, as_of)]
    faults = faults or [*evidence_faults(waiver, folder)]  # a file is opened only for somebody who is trusted
    if faults:
        return Weighed(waiver=waiver, counted=False, why="; ".join(faults))
    return Weighed(waiver=waiver, counted=True, why=f"signed by {_approver(waiver, trust)}, until {waiver.expires}")


def lifts(weighed: Sequence[Weighed], node: Node, use: str, reason: Reason) -> bool:
    """A counted waiver for exactly this asset, commit, text and use meets a reason; which reasons none lifts, the policy says."""
    return any(one.counted and one.waiver is not None and _is_for(one.waiver, node, use, reason) for one in weighed)


def bound(weighed: Sequence[Weighed], nodes: Sequence[Node]) -> tuple[Weighed, ...]:
    """The same waivers; one for an asset, commit or text that is not in the graph does not count there."""
    return tuple(_bound(one, nodes) if one.counted else one for one in weighed)


def sealed(nodes: Sequence[Node], evidence: Sequence[Mapping[str, Any]]) -> list[Node]:
    """The nodes with the sha256 of each file that a problem names, from what was read: {node, file, sha256} each."""
    known: dict[tuple[str, str], set[str]] = {}
    for row in evidence:
        known.setdefault((row["node"], row["file"]), set()).add(row["sha256"])
    return [
        replace(
            node,
            problems=tuple(_sealed(node, problem, known) for problem in node.problems),
            under=tuple(_sealed(node, problem, known) for problem in node.under),
        )
        for node in nodes
    ]


def told(weighed: Sequence[Weighed], uses: Mapping[str, UseVerdict]) -> tuple[Weighed, ...]:
    """The same waivers; of each that counts, what it lifted of its use, and what still stands there."""
    return tuple(_told(one, uses[one.waiver.use]) if one.counted and one.waiver and one.waiver.use else one for one in weighed)


def lacking(waiver: Waiver) -> Iterator[str]:
    """What the policy demands of every waiver and this one has not."""
    missing = [name for name in DEMANDED if getattr(waiver, name) is None]
    if missing:
        yield f"it has no {', '.join(missing)}, which the policy demands; add it and have it signed again"
    if not COMMIT.fullmatch(waiver.revision):
        yield f"its revision {flat(waiver.revision)[:60]!r} is not a full commit, which the policy demands; a branch or tag moves"
    for name in ("text_sha256", "evidence_sha256"):
        value = getattr(waiver, name)
        if value is not None and not SHA256.fullmatch(value):
            yield f"its {name} {flat(value)[:20]!r} is not 64 hexadecimal digits; take it from the report"
    if waiver.signed is not None and not 0 < (waiver.expires - waiver.signed).days <= TERM_DAYS:
        yield f"it runs from {waiver.signed} to {waiver.expires}; the policy demands an end within {TERM_DAYS} days after signing"


def evidence_faults(waiver: Waiver, folder: Path | None) -> Iterator[str]:
    """What is wrong with the file that the approval rests on."""
    try:
        found = evidence_digest(waiver, folder)
    except BadWaiver as fault:
        yield str(fault)
        return
    if found != waiver.evidence_sha256:
        yield f"its evidence {flat(Path(waiver.evidence).name)} is not the file that was signed for; have it signed again"


def _unproven(waiver: Waiver, trust: Trust) -> Iterator[str]:
    if waiver.signature is None:
        yield "it is not signed; have an approver sign it with `lorasmith waiver sign`"
        return
    key = signer(waiver)
    public = trust.keys.get(key or "")
    if key is None:
        yield "its signature is not ed25519:FINGERPRINT:BASE64; have it signed again with `lorasmith waiver sign`"
    elif public is None or fingerprint(public) != key:
        yield f"its key {key[:16]} is not trusted here; pin the approver's key with `lorasmith keys trust`"
    elif not is_genuine(waiver, public):
        yield "a field was changed after signing, or the signature is forged; have it signed again"
    elif key in trust.names and trust.names[key] != waiver.by:
        yield f"it says by {flat(waiver.by)[:60]!r}, its key is pinned for {flat(trust.names[key])[:60]!r}, who alone signs with it"


def _of_another(waiver: Waiver, publisher: str | None) -> Iterator[str]:
    if waiver.publisher is not None and waiver.publisher != publisher:
        own = f"this one is {flat(publisher)[:60]!r}" if publisher else "this one gives no name; set name in publisher.yaml"
        yield f"it is for the publisher {flat(waiver.publisher)[:60]!r}, {own}"


def _out_of_date(waiver: Waiver, as_of: date) -> Iterator[str]:
    if as_of >= waiver.expires:
        yield f"it expired on {waiver.expires}; have it reviewed and signed again"
    if waiver.signed is not None and as_of < waiver.signed:
        yield f"it was signed on {waiver.signed}, after the day of this check ({as_of}); check the clock"


def _approver(waiver: Waiver, trust: Trust) -> str:
    key = signer(waiver) or ""
    return f"{flat(trust.names.get(key, waiver.by))} (key {key[:16]})"


def _is_for(waiver: Waiver, node: Node, use: str, reason: Reason) -> bool:
    problems = [problem for problem in node.problems if problem.code == reason.code]
    if node.under and reason.code == UNTOLD:
        texts = {reason.sha256} if reason.sha256 else set()
    else:
        texts = _of_problem(reason, node) if problems else _texts(node)
    return waiver.use == use and _is_of(waiver, node, whole=not problems) and waiver.text_sha256 in texts


def _of_problem(reason: Reason, node: Node) -> set[str]:
    """What was read where a problem stands: its own file, else the licence text; nothing for an unread file or several texts."""
    if reason.sha256 in _offending(node):
        return {reason.sha256} if reason.sha256 else set()
    return set() if reason.file or reason.code in OF_SEVERAL else _texts(node)


def _is_of(waiver: Waiver, node: Node, *, whole: bool) -> bool:
    """The asset by name and commit; with `whole` a part that lies in the repository under its text is the repository too."""
    names = {node.id, node.id.rpartition("/")[0]} if whole and node.covered else {node.id}
    return waiver.repo in names and node.revision is not None and waiver.revision == node.revision


def _bound(one: Weighed, nodes: Sequence[Node]) -> Weighed:
    assert one.waiver is not None
    named = [node for node in nodes if node.id == one.waiver.repo]
    pinned = [node for node in named if node.revision == one.waiver.revision]
    texts = {text for node in pinned for text in (*_texts(node), *_offending(node))}
    if one.waiver.text_sha256 in texts:
        return one
    if not named:
        why = f"it is for {one.waiver.repo}, which is not among the assets"
    elif not pinned:
        now = f"at {named[0].revision[:19]}" if named[0].revision else f"without a commit (told by {named[0].identified_by})"
        why = f"it is for revision {one.waiver.revision[:19]}, the asset is {now}; have it reviewed again"
    else:
        why = f"it is for the text {(one.waiver.text_sha256 or '')[:12]}, which the asset does not hold; have it reviewed again"
    return replace(one, counted=False, why=why)


def _texts(node: Node) -> set[str]:
    """What a reason without a file of its own rests on: the licence text; without one, the texts that could not be told."""
    return {node.text.sha256} if node.text else _offending(node) | {problem.sha256 for problem in node.under if problem.sha256}


def _sealed(node: Node, problem: Problem, known: Mapping[tuple[str, str], set[str]]) -> Problem:
    """A part is read as a folder of its base; of a file with two contents neither is taken."""
    if problem.sha256 or not problem.file:
        return problem
    found = known.get((node.id, problem.file)) or known.get((node.id.rpartition("/")[0], problem.file)) or set()
    return replace(problem, sha256=next(iter(found))) if len(found) == 1 else problem


def _offending(node: Node) -> set[str]:
    return {problem.sha256 for problem in node.problems if problem.sha256}


def _told(one: Weighed, said: UseVerdict) -> Weighed:
    assert one.waiver is not None
    repo = one.waiver.repo
    own = [reason.code for reason in said.reasons if reason.node == repo or reason.node.startswith(f"{repo}/")]
    lifted, left = own.count("waived"), sorted({*own} - {"waived"}) if said.verdict not in ALLOWED else []
    what = f"lifts {lifted} reason(s)" if lifted else "nothing stands here that it lifts"
    still = f", and not {', '.join(left)}" if left else ""
    return replace(one, why=f"{one.why}; {what}{still}")
