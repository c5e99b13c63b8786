"""What a licence asks of a publisher's profile and does not get: caps, registration, territory, filters, open weights."""

import math
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from licenses.catalogue import License
from licenses.publisher import Publisher, Registration
from licenses.territory import reached, written

REVENUE = "yearly revenue with affiliates (revenue_usd_ttm, affiliates_revenue_usd_ttm)"
USERS = "monthly users (monthly_users)"


class Lack(NamedTuple):
    """One thing that a licence asks for and the profile does not give, and how bad that is."""

    verdict: str
    code: str
    text: str


def lacks(licence: License, use: str, publisher: Publisher, as_of: date) -> list[Lack]:
    """Everything that the profile lacks for a licence; what is not known is conditional, what is too much is a block."""
    return [
        *_cap(licence, "revenue_cap", licence.revenue_cap_usd, publisher.revenue, REVENUE),
        *_cap(licence, "users_cap", licence.users_cap, publisher.monthly_users, USERS),
        *_registration(licence, publisher, as_of),
        *_territory(licence, publisher),
        *_filters(licence, publisher),
        *_weights(licence, use, publisher),
    ]


def is_licence(written: str | None, licence: License) -> bool:
    """A licence as a publisher writes it (catalogue id, SPDX id, tag or name) is this one."""
    names = {licence.id, licence.spdx or licence.id, *licence.tags, *licence.license_names}
    return (written or "").strip().casefold() in {name.casefold() for name in names}


def _cap(licence: License, code: str, cap: float | None, value: float | None, what: str) -> Iterator[Lack]:
    if cap is None:
        return
    if value is None:
        text = f"{licence.name} holds below {cap:,.0f} of {what}; state it in the publisher profile"
        yield Lack("conditional", f"{code}_unknown", text)
    elif math.isnan(value) or not 0 <= value < cap:
        text = f"{licence.name} holds below {cap:,.0f} of {what}, got {value:,.0f}; ask the licensor"
        yield Lack("block", f"{code}_exceeded", text)


def _registration(licence: License, publisher: Publisher, as_of: date) -> Iterator[Lack]:
    if licence.registration is None:
        return
    given = [one for one in publisher.registrations if is_licence(one if isinstance(one, str) else one.id, licence)]
    faults = [_registration_fault(one, licence, as_of) for one in given]
    if not given:
        text = f"{licence.name} asks for registration ({licence.registration}); register and list {licence.id} under registrations"
        yield Lack("conditional", "registration_missing", text)
    elif all(faults):
        yield next(fault for fault in faults if fault)


def _registration_fault(given: str | Registration, licence: License, as_of: date) -> Lack | None:
    if isinstance(given, Registration) and given.date > as_of:
        text = f"the registration for {licence.name} is dated {given.date}, which lies ahead; correct its date, or wait for it"
        return Lack("conditional", "registration_ahead", text)
    if isinstance(given, str) and licence.registration_proof:
        text = (
            f"{licence.name} asks for what registration gives ({licence.registration}); list {licence.id} with its date and proof"
        )
        return Lack("conditional", "registration_unproven", text)
    return None


def _territory(licence: License, publisher: Publisher) -> Iterator[Lack]:
    still = reached(licence.territory_excluded, publisher.territories, publisher.geofence)
    if still:
        excluded = ", ".join(licence.territory_excluded)
        text = (
            f"{licence.name} grants nothing in {excluded}; the endpoint is offered in {written(still)}: "
            "shut them out by an enforced geofence and leave them out of territories"
        )
        yield Lack("block", "territory_excluded", text)


def _filters(licence: License, publisher: Publisher) -> Iterator[Lack]:
    if licence.filters and not publisher.content_filters:
        yield Lack("block", "filters_required", f"{licence.name} asks for content filters; set content_filters: true")


def _weights(licence: License, use: str, publisher: Publisher) -> Iterator[Lack]:
    same = is_licence(publisher.adapter_license, licence)
    if licence.public_weights and use == "host_paid_inference" and not (publisher.publish_weights and same):
        text = f"{licence.name} asks to offer the adapter itself; set publish_weights: true and adapter_license: {licence.id}"
        yield Lack("conditional", "weights_not_public", text)
    if "SHARE_ALIKE" not in licence.duties or use != "distribute_adapter" or same:
        return
    if publisher.adapter_license is not None:
        text = f"{licence.name} asks for the same licence on the adapter, which carries {publisher.adapter_license}"
        yield Lack("block", "share_alike_broken", f"{text}; set adapter_license: {licence.id}")
    elif publisher.publish_weights:
        text = f"{licence.name} asks for the same licence on the adapter, which names none; set adapter_license: {licence.id}"
        yield Lack("conditional", "share_alike_open", text)
