"""One look at a live release, as data: what was asked of whom is in flows/monitoring/looking.py."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

Basis = Literal["platform", "estimate"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """How requests of others ended in a window; seconds are percentiles of those that were answered with 2xx, wait included."""

    minutes: float
    requests: int
    failed: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """What the last 24 hours came to. None: the platform does not tell. refused: 4xx, failed: 5xx, of others' requests.

    own: requests of ours, which are in none of these three. units: of all requests, `own_units` of ours; images: of `units`.
    """

    requests: int | None = None
    refused: int | None = None
    failed: int | None = None
    own: int | None = None
    units: float | None = None
    own_units: float | None = None
    images: float | None = None
    cold_starts: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Money:
    """US dollars of the last 24 hours, each with what it rests on: the platform's record, or an estimate; None is unknown.

    revenue: gross, what callers other than us paid. share: what the platform keeps of it, None where that is not agreed.
    """

    revenue: float | None = None
    revenue_by: Basis | None = None
    cost: float | None = None
    cost_by: Basis | None = None
    share: float | None = None
    margin: float | None = None  # an image


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """Of one billable unit. live: what the platform asks; wanted: what the listing says; floor and recommended: its reckoning's."""

    unit: str
    live: float | None = None
    wanted: float | None = None
    recommended: float | None = None
    floor: float | None = None

    @property
    def now(self) -> float | None:
        return self.live if self.live is not None else self.wanted


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """Golden prompts drawn again today. drop: the largest loss of PSNR against the release's own record, in dB.

    usd: what the machine's seconds cost by its rate, None where that is not known.
    """

    asked: int
    compared: int
    drop: float | None
    worst: float | None
    units: int
    seconds: float
    usd: float | None
    fault: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Papers:
    """Until when what stands behind a release holds. certificate: "development", a day, or None where it is not known here.

    checked: day of the last licence check. review: why a person has to read the licences, None where nobody has to.
    """

    certificate: date | Literal["development", "none"] | None = None
    waiver: date | None = None
    facts: date | None = None
    checked: date | None = None
    verdict: str | None = None
    review: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A live release at a moment. health: status of /health; None where no runner is up and none was woken.

    listing: (mark, day) that the author made last; stale: of another package than the page's. fault: why the platform could not be
    asked.
    """

    app: str
    target: str
    revision: str
    endpoint: str
    at: datetime
    fault: str | None = None
    health: int | None = None
    serves: str | None = None
    seconds: float | None = None
    runners: int | None = None
    probation: str | None = None
    window: Answers | None = None
    day: Day = Day()
    money: Money = Money()
    price: Price = Price(unit="image")
    listing: tuple[str, date] | None = None
    stale: bool = False
    golden: Drawn | None = None
    papers: Papers = Papers()

    @property
    def today(self) -> date:
        return self.at.astimezone(UTC).date()


def percentile(values: Sequence[float], rank: int) -> float | None:
    """Between the two nearest values; None of nothing."""
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=100, method="inclusive")[rank - 1]
