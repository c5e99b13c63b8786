"""The exact lines that a package and a listing carry for a duty, or what lacks so that they can not be written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from licenses.attribution import address_of, credit
from licenses.catalogue import License
from licenses.conditions import lacks
from licenses.node import DATA, Node
from licenses.passages import notice_in
from licenses.publisher import Publisher
from licenses.words import words


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    lines: tuple[str, ...] = ()
    lack: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One licence of one asset, for one publisher; `texts` are its files in the package, `copied` where its licence is one.

    `waived`: what a signed waiver lifts of it, as the policy words it.
    """

    node: Node
    licence: License
    texts: tuple[str, ...]
    copied: bool
    publisher: Publisher
    as_of: date
    waived: tuple[str, ...]

    @property
    def papers(self) -> str:
        return f" ({', '.join(self.texts)})" if self.texts else ""

    def attested(self, line: str, of: str, use: str = "host_paid_inference") -> Said:
        """A statement that rests on the publisher's profile, or on a signed waiver that lifts what the profile lacks.

        `of` begins the code that the policy has for such a lack.
        """
        found = [one for one in lacks(self.licence, use, self.publisher, self.as_of) if one.code.startswith(of)]
        if found and all(any(text.startswith(f"WAIVED ({one.code})") for text in self.waived) for one in found):
            return Said(lines=(f"For {self.node.id} ({self.licence.name}) a signed waiver holds, which verdict.json shows.",))
        return Said(lines=(line,), lack=found[0].text if found else "")


def said(duty: str, case: Case) -> Said:
    """The lines of a duty; those of LICENSE_COPY, KEEP_NOTICES and FILTER are none, since texts or settings fulfil them."""
    return RULES[duty](case) if duty in RULES else Said()


def notice_of(node: Node, licence: License) -> str | None:
    """The line for NOTICE: as this very text words it, else the known one where it stands in the text or no text is at hand."""
    if node.text is None:
        return licence.notice
    known = licence.notice if licence.notice and words(licence.notice) in words(node.text.text) else None
    return notice_in(node.text.text) or known


def _notice(case: Case) -> Said:
    line = notice_of(case.node, case.licence)
    return Said(lines=(line,)) if line else Said(lack="the line for NOTICE is not known")


def _changes(case: Case) -> Said:
    at = f" (revision {case.node.revision})" if case.node.revision else ""
    by = f" by {case.publisher.name}" if case.publisher.name else " by the publisher of this app"
    what = {
        "base": "its weights were changed: a LoRA adapter is fused into them when the app starts; its files are as they were found",
        "adapter": "fused into the weights of the base as it was taken over",
        "ancestor": "the base was made from it by the base's author; the adapter of this work changes it further",
    }.get(case.node.role, "used as it was found, beside a base into which a LoRA adapter is fused")
    lack = "section 5(a) wants a relevant date beside the change, and no date is written here; choose another base or part"
    return Said(lines=(f"{case.node.id}{at}: {what}. Changed{by}.",), lack=lack if case.licence.dated_changes else "")


def _credit(case: Case) -> Said:
    sourced = case.node.author or case.node.source or address_of(case.node) or case.node.role not in DATA
    if not sourced and "ATTRIBUTION" in case.licence.duties:
        return Said(lack="nothing says who made it and where it is from")
    return Said(lines=(credit(case.node, case.licence),))


def _flowdown(case: Case) -> Said:
    return Said(
        lines=(
            f"The use restrictions of {case.licence.name}, under which {case.node.id} comes, bind everyone who calls this app or "
            f"gets its weights or its pictures, as they bind its publisher{case.papers}.",
        )
    )


def _disclaimer(case: Case) -> Said:
    return Said(
        lines=(
            f"The licensor of {case.node.id} gives no warranty and is not liable to those who call this app, as far as "
            f"{case.licence.name} says so{case.papers}.",
        )
    )


def _no_training(case: Case) -> Said:
    return Said(
        lines=(
            f"Output of this app may not be used to train or improve other models where {case.licence.name} of {case.node.id} "
            f"forbids it{case.papers}.",
        )
    )


def _disclosure(case: Case) -> Said:
    return Said(lines=("The pictures of this app are made by a machine; say so wherever the law asks for it.",))


def _no_extra(case: Case) -> Said:
    return Said(lines=(f"No term of this app restricts rights that {case.licence.name} of {case.node.id} gives its recipients.",))


def _guardrails(case: Case) -> Said:
    line = (
        f"Guardrails, watermarks and marks of origin that come with {case.node.id} stay on and may not be taken out or got round."
    )
    return case.attested(line, "filters")


def _filtered(case: Case) -> Said:
    """No line: the app's settings fulfil it, which a publisher who says that nothing is filtered contradicts."""
    return Said(lack=case.attested("", "filters").lack)


def _no_affiliation(case: Case) -> Said:
    return Said(lines=(f"The licensor of {case.node.id} does not endorse this work and has no part in it.",))


def _alike(case: Case) -> Said:
    line = (
        f"Wherever the weights of the adapter are passed on, they come under {case.licence.name}, as {case.node.id} asks"
        f"{case.papers}."
    )
    return case.attested(line, "share_alike", "distribute_adapter")


def _offer(case: Case) -> Said:
    free = ", at no charge" if case.licence.network_server else ""
    line = (
        f"The adapter, which changes {case.node.id}, is offered to everyone who uses this app, under {case.licence.name}{free}"
        f"{case.papers}; ask its publisher for the files."
    )
    found = case.attested(line, "weights")
    if not case.licence.network_server or found.lack or line not in found.lines:
        return found
    lack = "section 13 wants a network server from which everyone gets it, and no address of one is known here; choose another base"
    return Said(lines=found.lines, lack=lack)


def _display(case: Case) -> Said:
    return Said(lines=case.licence.display) if case.licence.display else Said(lack="the line to show is not known")


def _naming(case: Case) -> Said:
    prefix = case.licence.naming
    return Said(lines=(prefix,)) if prefix else Said(lack="the rule for names is not known")


def _registered(case: Case) -> Said:
    line = f"The publisher is registered with the licensor of {case.node.id} ({case.licence.name}) and keeps the confirmation."
    return case.attested(line, "registration") if case.licence.registration else Said(lack="where to register is not known")


def _revenue(case: Case) -> Said:
    cap = case.licence.revenue_cap_usd
    line = f"The publisher's yearly revenue with affiliates is below {cap or 0:,.0f} USD, the cap of {case.licence.name}."
    return case.attested(line, "revenue_cap") if cap is not None else Said(lack="the cap is not known")


def _users(case: Case) -> Said:
    cap = case.licence.users_cap
    line = f"The publisher's monthly users are below {cap or 0:,.0f}, the cap of {case.licence.name}."
    return case.attested(line, "users_cap") if cap is not None else Said(lack="the cap is not known")


def _territory(case: Case) -> Said:
    codes = case.licence.territory_excluded
    where = ", ".join(codes)
    line = f"The publisher does not offer this app in {where}, where {case.licence.name} grants nothing: a geofence holds it."
    return case.attested(line, "territory") if codes else Said(lack="the excluded territory is not known")


RULES: Mapping[str, Callable[[Case], Said]] = {
    "NOTICE_FILE": _notice,
    "STATE_CHANGES": _changes,
    "ATTRIBUTION": _credit,
    "FLOWDOWN": _flowdown,
    "DISCLAIMER_FLOWDOWN": _disclaimer,
    "NO_TRAIN_OTHERS": _no_training,
    "AI_DISCLOSURE": _disclosure,
    "NO_EXTRA_TERMS": _no_extra,
    "KEEP_GUARDRAILS": _guardrails,
    "FILTER": _filtered,
    "NO_AFFILIATION": _no_affiliation,
    "SHARE_ALIKE": _alike,
    "NETWORK_SOURCE": _offer,
    "DISPLAY": _display,
    "NAMING": _naming,
    "REGISTER": _registered,
    "REVENUE_CAP": _revenue,
    "MAU_CAP": _users,
    "TERRITORY": _territory,
}
