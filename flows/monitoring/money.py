"""What a day of a release earned and cost. Pure: the platform's books where they tell, else an estimate that says so."""

from flows.monitoring.look import Basis, Money
from serving.release.platform import Books


def money_of(
    books: Books,
    *,
    earned: float | None,
    units: float | None,
    own_units: float | None,
    images: float | None,
    wanted_usd: float | None,
    busy_seconds: float | None,
    rate: float | None,
    share: float | None,
    sold: bool,
) -> Money:
    """Money of a day in US dollars.

    earned: what the platform's ledger says that others paid, None where it shows none, as fal does. own_units: of `units`,
    those of our own calls. wanted_usd: the listing's price of a unit. busy_seconds: of its requests, with their waits. rate: of
    its machine, a second. share: what the platform keeps. sold: whether callers pay for it; a private app earns nothing.
    """
    by_ledger: tuple[float | None, Basis | None] = (earned if sold else 0.0, "platform")
    revenue, revenue_by = _estimated(books, units, own_units, wanted_usd) if sold and earned is None else by_ledger
    cost, cost_by = _cost(books, busy_seconds, rate)
    kept = None if revenue is None else revenue * (1 - (share or 0.0))
    margin = (kept - cost) / images if images and kept is not None and cost is not None else None
    return Money(revenue=revenue, revenue_by=revenue_by, cost=cost, cost_by=cost_by, share=share, margin=margin)


def _estimated(
    books: Books, units: float | None, own_units: float | None, wanted_usd: float | None
) -> tuple[float | None, Basis | None]:
    """Units that others called for, times the price of now: the platform's where it has one, else the listing's."""
    if units is None:
        return None, None
    bought = max(0.0, units - max(books.own_units or 0.0, own_units or 0.0))
    price = books.price_usd if books.price_usd is not None and books.unit != "second" else wanted_usd
    if price is None:
        return (None, None) if bought else (0.0, "estimate")
    return bought * price, "estimate"


def _cost(books: Books, busy_seconds: float | None, rate: float | None) -> tuple[float | None, Basis | None]:
    """What the platform charges for machines, else seconds of requests at the machine's rate: idle runners are not in it."""
    if books.machine_usd is not None:
        return books.machine_usd, "platform"
    if busy_seconds is None or rate is None:
        return None, None
    return busy_seconds * rate, "estimate"
