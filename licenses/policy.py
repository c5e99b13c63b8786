"""What a use needs and whether it is given: pure functions over nodes, the catalogue and the publisher."""

from collections.abc import Iterable
from typing import Any

from licenses.catalogue import PAID_USES, RANK, USES, Catalogue, License, Model
from licenses.errors import flat
from licenses.evidence import Problem
from licenses.node import Node
from licenses.publisher import Publisher
from licenses.verdict import ALLOWED, Reason, UseVerdict

NON_COMMERCIAL = ("noncommercial", "research")
HUMAN = "has to be judged by a person; until then choose another base"


def decide(nodes: Iterable[Node], publisher: Publisher, catalogue: Catalogue) -> dict[str, UseVerdict]:
    """The verdict of each use: the worst over all nodes, their reasons, and the union of their duties."""
    listed = list(nodes)
    verdicts = {use: [judge(node, use, publisher, catalogue) for node in listed] for use in USES}
    return {use: _worst(sorted(verdicts[use], key=lambda one: -RANK[one.verdict]), publisher) for use in USES}


def judge(node: Node, use: str, publisher: Publisher, catalogue: Catalogue) -> UseVerdict:
    """The verdict of one use by one node: its problems, its licence, and what the catalogue knows of its repository."""
    licence = catalogue.licenses.get(node.license or "")
    found = [("block", _of_problem(node, problem)) for problem in node.problems]
    if licence is not None:
        found += _of_license(node, licence, use, publisher, settled=not node.problems)
    elif not node.own and not node.problems:
        found.append(("block", _reason(node, "license_unresolved", f"{node.id} has no licence that could be told; {HUMAN}")))
    if node.row is not None and use in node.row.verdict:
        text = f"{node.id}: {node.row.note or 'stricter than its licence'}"
        found.append((node.row.verdict[use], _reason(node, "catalogue_restricts", text, confidence="medium")))
    worst = max((verdict for verdict, _ in found), key=RANK.__getitem__, default="allow")
    duties = _duties(node, licence, use) if licence and RANK[worst] < RANK["unclear"] else ()
    if worst == "allow" and duties:
        worst = "duties"
    found.sort(key=lambda one: -RANK[one[0]])
    kept = [reason for verdict, reason in found if worst in ALLOWED or verdict not in ALLOWED]
    return UseVerdict(verdict="block" if worst == "unclear" else worst, reasons=tuple(kept), duties=duties)


def passes_on_paper(model: Model, publisher: Publisher, catalogue: Catalogue) -> bool:
    """Facts alone do not stand against training and hosting this model; its own evidence is still needed."""
    node = Node(id=model.repo, role="base", license=model.license, identified_by="catalogue", row=model)
    return all(judge(node, use, publisher, catalogue).verdict in ALLOWED for use in PAID_USES)


def _worst(verdicts: list[UseVerdict], publisher: Publisher) -> UseVerdict:
    worst = max((one.verdict for one in verdicts), key=RANK.__getitem__, default="block")
    reasons = [reason for one in verdicts for reason in one.reasons if one.verdict == worst or one.verdict not in ALLOWED]
    if worst in ALLOWED:
        reasons = [reason for one in verdicts for reason in one.reasons]
    elif publisher.waivers:
        text = f"{len(publisher.waivers)} waiver(s) given; none carries a signature of a trusted key, so none counts"
        reasons.append(Reason(code="waiver_void", node="publisher", text=text))
    duties = sorted({duty for one in verdicts for duty in one.duties}) if worst != "block" else []
    return UseVerdict(verdict=worst, reasons=tuple(dict.fromkeys(reasons)), duties=tuple(duties))


def _of_problem(node: Node, problem: Problem) -> Reason:
    file = flat(problem.file) if problem.file else None
    return Reason(
        code=problem.code, node=node.id, text=flat(problem.text), quote=flat(problem.quote), file=file, sha256=problem.sha256
    )


def _reason(node: Node, code: str, text: str, **fields: Any) -> Reason:
    return Reason(code=code, node=node.id, text=text, **fields)


def _of_license(node: Node, licence: License, use: str, publisher: Publisher, *, settled: bool) -> list[tuple[str, Reason]]:
    verdict = licence.verdict[use]
    if verdict in ALLOWED:
        checks = _checks(licence, use, publisher)
        if checks or not settled:
            return [(level, _cited(node, licence, use, code, text)) for level, code, text in checks]
        if node.covered:
            return []
        text = f"{node.id}: {licence.name} ({node.identified_by}). {licence.why}"
        return [(verdict, _cited(node, licence, use, "licensed", text))]
    if verdict == "conditional":
        return _conditional(node, licence, use, publisher)
    code = "non_commercial" if licence.kind in NON_COMMERCIAL else "license_forbids"
    if verdict == "unclear":
        code = "license_unclear"
    return [(verdict, _cited(node, licence, use, code, f"{node.id}: {_named(node, licence, use)}: {licence.why}"))]


def _conditional(node: Node, licence: License, use: str, publisher: Publisher) -> list[tuple[str, Reason]]:
    checks = _checks(licence, use, publisher)
    if checks:
        return [(level, _cited(node, licence, use, code, text)) for level, code, text in checks]
    if not _checkable(licence, use):
        text = f"{node.id}: {_named(node, licence, use)}: {licence.why} This use {HUMAN}"
        return [("conditional", _cited(node, licence, use, "needs_review", text))]
    text = f"{node.id}: {licence.name} ({node.identified_by}), its conditions are met by the publisher's profile. {licence.why}"
    return [("duties", _cited(node, licence, use, "conditions_met", text))]


def _named(node: Node, licence: License, use: str) -> str:
    clause = licence.clause(use, node.text_hash)
    if clause is None:
        return licence.name
    version = f" {clause.version}" if clause.version and clause.version not in licence.name else ""
    return f"{licence.name}{version}, section {clause.section}"


def _cited(node: Node, licence: License, use: str, code: str, text: str) -> Reason:
    clause = licence.clause(use, node.text_hash) if code != "licensed" else None
    return _reason(
        node,
        code,
        text,
        quote=clause.quote if clause else "",
        file=node.text.path if node.text else None,
        sha256=node.text.sha256 if node.text else clause.text_hash if clause else None,
        confidence=licence.confidence,
    )


def _checkable(licence: License, use: str) -> bool:
    facts = (licence.revenue_cap_usd, licence.users_cap, licence.registration, licence.filters or None)
    return any(fact is not None for fact in facts) or (licence.public_weights and use == "host_paid_inference")


def _checks(licence: License, use: str, publisher: Publisher) -> list[tuple[str, str, str]]:
    """What the publisher's profile lacks for a licence: (verdict, code, text) each; unknown is conditional, too much is a block."""
    found = [*_caps(licence, publisher)]
    if licence.registration and licence.id.casefold() not in publisher.registered:
        text = f"{licence.name} asks for registration ({licence.registration}); register and list {licence.id} under registrations"
        found.append(("conditional", "registration_missing", text))
    if licence.territory_excluded and not publisher.shuts_out(licence.territory_excluded):
        codes = ", ".join(licence.territory_excluded)
        found.append(("block", "territory_excluded", f"{licence.name} grants nothing in {codes}; the endpoint is offered there"))
    if licence.filters and not publisher.content_filters:
        found.append(("block", "filters_required", f"{licence.name} asks for content filters; set content_filters: true"))
    if licence.public_weights and use == "host_paid_inference" and not _shared_alike(licence, publisher):
        text = f"{licence.name} asks to offer the adapter itself; set publish_weights: true and adapter_license: {licence.id}"
        found.append(("conditional", "weights_not_public", text))
    if "SHARE_ALIKE" in licence.duties and use == "distribute_adapter" and publisher.adapter_license not in (None, licence.id):
        text = f"{licence.name} asks for the same licence on the adapter, which carries {publisher.adapter_license}"
        found.append(("block", "share_alike_broken", text))
    return found


def _caps(licence: License, publisher: Publisher) -> Iterable[tuple[str, str, str]]:
    table = (
        (
            "revenue_cap",
            licence.revenue_cap_usd,
            publisher.revenue,
            "yearly revenue with affiliates (revenue_usd_ttm, affiliates_revenue_usd_ttm)",
        ),
        ("users_cap", licence.users_cap, publisher.monthly_users, "monthly users (monthly_users)"),
    )
    for code, cap, value, what in table:
        if cap is None:
            continue
        if value is None:
            yield (
                "conditional",
                f"{code}_unknown",
                f"{licence.name} holds below {cap:,.0f} of {what}; state it in the publisher profile",
            )
        elif not value < cap:
            yield (
                "block",
                f"{code}_exceeded",
                f"{licence.name} holds below {cap:,.0f} of {what}, got {value:,.0f}; ask the licensor",
            )


def _shared_alike(licence: License, publisher: Publisher) -> bool:
    return publisher.publish_weights and (publisher.adapter_license or "").casefold() == licence.id.casefold()


def _duties(node: Node, licence: License, use: str) -> tuple[str, ...]:
    """Duties of a licence for a use: training alone and selling pictures ask for none of the texts to travel along."""
    if node.role == "dataset":
        return tuple(
            duty for duty in ("ATTRIBUTION", "SHARE_ALIKE") if duty in licence.duties or (duty == "ATTRIBUTION" and licence.duties)
        )
    if licence.verdict[use] == "allow" and use in ("train_adapter", "sell_outputs"):
        return ()
    return licence.duties
