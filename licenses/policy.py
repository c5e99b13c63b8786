"""What a use needs and whether it is given: pure functions over nodes, the catalogue and the publisher on a day."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from licenses.ages import expired
from licenses.catalogue import PAID_USES, RANK, USES, Catalogue, License, Model
from licenses.conditions import lacks
from licenses.errors import flat
from licenses.evidence import Problem
from licenses.hard import HARD, WAIVABLE
from licenses.node import DATA, Node
from licenses.publisher import Publisher
from licenses.verdict import ALLOWED, Reason, UseVerdict
from licenses.waivers import UNTOLD, Weighed, lifts

__all__ = ["HARD", "decide", "judge", "passes_on_paper"]

NON_COMMERCIAL = ("noncommercial", "research")
HUMAN = "has to be judged by a person; until then choose another base"
UNPROVEN = ("nothing", "tag", "catalogue")
OF_DATA = ("ATTRIBUTION", "SHARE_ALIKE")
LOUD = ("waived", "terms_relaxed")  # said whatever the verdict is
Found = tuple[str, Reason]


def decide(
    nodes: Iterable[Node], publisher: Publisher, catalogue: Catalogue, *, as_of: date, waivers: Sequence[Weighed] = ()
) -> dict[str, UseVerdict]:
    """The verdict of each use: the worst over all nodes, their reasons in the order of nodes, and the union of their duties.

    Verdict, duties and the set of reasons do not depend on the order. Hosting what has to be given to everybody who uses it
    (public_weights) is distributing it: what stands against that is a condition of hosting.
    """
    listed = list(nodes)
    judged = {use: [judge(node, use, publisher, catalogue, as_of=as_of, waivers=waivers) for node in listed] for use in USES}
    if any(_is_open_to_users(node, catalogue) for node in listed):
        barred = [one for one in judged["distribute_adapter"] if one.verdict not in ALLOWED]
        judged["host_paid_inference"] += [replace(one, verdict="conditional") for one in barred]
    return {use: _worst(sorted(judged[use], key=lambda one: -RANK[one.verdict]), waivers) for use in USES}


def judge(
    node: Node, use: str, publisher: Publisher, catalogue: Catalogue, *, as_of: date, waivers: Sequence[Weighed] = ()
) -> UseVerdict:
    """The verdict of one use by one node: its problems, its licence, what the catalogue knows of it, and how old that is."""
    licence = catalogue.licenses.get(node.license or "")
    found = [*_against(node, licence, use, publisher, catalogue, as_of)]
    found += [("conditional", _reason(node, "facts_expired", text)) for text in expired(node, licence, catalogue, as_of)]
    found = [_waived(node, use, verdict, reason, waivers) for verdict, reason in found]
    if node.identified_by in UNPROVEN and _worst_of(found) in ALLOWED and not any(reason.code == "waived" for _, reason in found):
        text = f"{node.id}: nothing of it was read but its {node.identified_by}; only an exact text beside the weights allows"
        found.append(("conditional", _reason(node, "license_unproven", text)))
    return _verdict(node, licence, use, found)


def passes_on_paper(model: Model, publisher: Publisher, catalogue: Catalogue, *, as_of: date | None = None) -> bool:
    """Facts alone do not stand against training and hosting this model; its own evidence is still needed.

    Without a day the age of facts does not count: whether a repository is worth asking at all.
    """
    day = as_of or model.as_of
    node = Node(id=model.repo, role="base", license=model.license, identified_by="facts", row=model)
    return all(judge(node, use, publisher, catalogue, as_of=day).verdict in ALLOWED for use in PAID_USES)


def _against(
    node: Node, licence: License | None, use: str, publisher: Publisher, catalogue: Catalogue, as_of: date
) -> Iterator[Found]:
    for problem in node.problems:
        yield "block", _of_problem(node, problem)
    for remark in node.remarks:
        yield "duties", _of_problem(node, remark)
    if licence is not None:
        yield from _of_license(node, licence, use, publisher, as_of)
    elif not node.own and not node.problems:
        yield from _untold(node)
    if node.row is not None and use in node.row.verdict:
        text = f"{node.id}: {node.row.note or 'stricter than its licence'}"
        yield node.row.verdict[use], _reason(node, "catalogue_restricts", text, confidence="medium")


def _untold(node: Node) -> Iterator[Found]:
    """No licence; for a part that its base covers a reason for each file that would have told it, so that it can be signed for."""
    text = f"{node.id} has no licence that could be told"
    if not node.under:
        yield "block", _reason(node, UNTOLD, f"{text}; {HUMAN}")
    for one in node.under:
        file = flat(one.file) if one.file else None
        because = f", as its base has none: {file or 'no text'} ({one.code})"
        yield "block", _reason(node, UNTOLD, f"{text}{because}; {HUMAN}", file=file, sha256=one.sha256)


def _waived(node: Node, use: str, verdict: str, reason: Reason, waivers: Sequence[Weighed]) -> Found:
    """The same, or a duty where a waiver that counts lifts it; never for a hard block."""
    if verdict in ALLOWED or reason.code in HARD or reason.code not in WAIVABLE or not lifts(waivers, node, use, reason):
        return verdict, reason
    return "duties", replace(reason, code="waived", text=f"WAIVED ({reason.code}) by a signed waiver: {reason.text}")


def _verdict(node: Node, licence: License | None, use: str, found: list[Found]) -> UseVerdict:
    worst = _worst_of(found)
    duties = _duties(node, licence, use) if licence and RANK[worst] < RANK["unclear"] else ()
    if worst == "allow" and duties:
        worst = "duties"
    ordered = sorted(found, key=lambda one: -RANK[one[0]])
    kept = tuple(reason for verdict, reason in ordered if worst in ALLOWED or verdict not in ALLOWED or reason.code in LOUD)
    return UseVerdict(verdict="block" if worst == "unclear" else worst, reasons=kept, duties=duties)


def _worst_of(found: Iterable[Found]) -> str:
    return max((verdict for verdict, _ in found), key=RANK.__getitem__, default="allow")


def _worst(verdicts: list[UseVerdict], waivers: Sequence[Weighed]) -> UseVerdict:
    if not verdicts:
        text = "there is no asset to judge; name a base, by its folder or as owner/name"
        return UseVerdict(verdict="block", reasons=(Reason(code="nothing_to_judge", node="publisher", text=text),), duties=())
    worst = max((one.verdict for one in verdicts), key=RANK.__getitem__)
    shown = [one for one in verdicts if worst in ALLOWED or one.verdict not in ALLOWED]
    loud = [reason for one in verdicts for reason in one.reasons if reason.code in LOUD]
    reasons = [*(reason for one in shown for reason in one.reasons), *loud, *_void(waivers)]
    duties = sorted({duty for one in verdicts for duty in one.duties}) if worst != "block" else []
    return UseVerdict(verdict=worst, reasons=tuple(dict.fromkeys(reasons)), duties=tuple(duties))


def _void(waivers: Sequence[Weighed]) -> Iterator[Reason]:
    """Waivers that do not count, said in every use; why each does not stands with the waiver itself."""
    void = sum(not one.counted for one in waivers)
    if void:
        text = f"{void} of {len(waivers)} waiver(s) given does not count; why stands under waivers"
        yield Reason(code="waiver_void", node="publisher", text=text)


def _of_problem(node: Node, problem: Problem) -> Reason:
    file = flat(problem.file) if problem.file else None
    return Reason(
        code=problem.code, node=node.id, text=flat(problem.text), quote=flat(problem.quote), file=file, sha256=problem.sha256
    )


def _reason(node: Node, code: str, text: str, **fields: Any) -> Reason:
    return Reason(code=code, node=node.id, text=text, **fields)


def _of_license(node: Node, licence: License, use: str, publisher: Publisher, as_of: date) -> Iterator[Found]:
    verdict = licence.verdict[use]
    if verdict not in (*ALLOWED, "conditional"):
        code = "non_commercial" if licence.kind in NON_COMMERCIAL else "license_forbids"
        code = "license_unclear" if verdict == "unclear" else code
        yield verdict, _cited(node, licence, use, code, f"{node.id}: {_named(node, licence, use)}: {licence.why}")
        return
    lacking = lacks(licence, use, publisher, as_of)
    for lack in lacking:
        yield lack.verdict, _cited(node, licence, use, lack.code, lack.text)
    if verdict == "conditional":
        yield from _conditional(node, licence, use, met=not lacking)
    elif not lacking and not node.problems and not node.covered:
        yield (
            verdict,
            _cited(
                node,
                licence,
                use,
                "licensed",
                f"{node.id}: {licence.name} ({node.identified_by}). {licence.why_of(data=node.role in DATA)}",
            ),
        )


def _conditional(node: Node, licence: License, use: str, *, met: bool) -> Iterator[Found]:
    """A condition that the profile settles and meets is a duty; one that it can not settle wants a person."""
    if use not in licence.by_profile:
        free = use == "distribute_adapter" and licence.kind in NON_COMMERCIAL
        what = "The adapter may only be given away, free and for non-commercial use; this" if free else "This use"
        text = f"{node.id}: {_named(node, licence, use)}: {licence.why} {what} {HUMAN}"
        yield "conditional", _cited(node, licence, use, "free_only" if free else "needs_review", text)
    elif met:
        text = f"{node.id}: {licence.name} ({node.identified_by}), its conditions are met by the publisher's profile. {licence.why}"
        yield "duties", _cited(node, licence, use, "conditions_met", text)


def _named(node: Node, licence: License, use: str) -> str:
    clause = licence.clause(use, node.text_hash)
    if clause is None:
        return licence.name
    version = f" {clause.version}" if clause.version and clause.version not in licence.name else ""
    return f"{licence.name}{version}, section {clause.section}"


def _cited(node: Node, licence: License, use: str, code: str, text: str) -> Reason:
    """A reason with its clause: the file is named only where it is the text that the quote was taken from."""
    clause = licence.clause(use, node.text_hash, about=code) if code != "licensed" else None
    held = node.text if clause is None or (clause.text_hash is not None and clause.text_hash == node.text_hash) else None
    return _reason(
        node,
        code,
        text,
        quote=clause.quote if clause else "",
        file=held.path if held else None,
        sha256=held.sha256 if held else None,
        confidence=licence.confidence,
        known_text=clause.text_hash if clause and not held else None,
    )


def _is_open_to_users(node: Node, catalogue: Catalogue) -> bool:
    licence = catalogue.licenses.get(node.license or "")
    return licence is not None and licence.public_weights


def _duties(node: Node, licence: License, use: str) -> tuple[str, ...]:
    """Duties of a licence for a use: training alone and selling pictures ask for none of the texts to travel along."""
    if node.role in DATA:
        return tuple(duty for duty in OF_DATA if duty in licence.duties or (duty == "ATTRIBUTION" and licence.duties))
    if licence.verdict[use] == "allow" and use in ("train_adapter", "sell_outputs"):
        return ()
    return licence.duties
