"""What an image costs to make under traffic, and what follows for its price. Pure; amounts in US dollars, times in seconds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from serving.listing.anchors import Band
from serving.listing.traffic import Day, Runners, simulate

VOLUMES = tuple(10 ** (power / 4) for power in range(21))  # requests a day, from 1 to 100,000
LONG_WAIT = 120.0  # seconds until a runner is free, beyond which callers give up


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """A rate, where it is from, and when it was read (ISO 8601; None: not known)."""

    name: str
    usd_per_second: float
    source: str
    as_of: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """GPU seconds of one image, from and to, with where they are from; `setup` is a start until the first image can be drawn."""

    seconds: tuple[float, float]
    source: str
    setup: float
    images_per_request: float = 1.0

    @property
    def middle(self) -> float:
        """The geometric middle of a range whose ends differ by a factor."""
        return math.sqrt(self.seconds[0] * self.seconds[1])


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    keep_alive: float
    least: int
    most: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What is not known or is the author's to decide; each default says so where it is shown."""

    platform_share: float = 0.0  # of the price that the platform keeps: not public, to be agreed
    margin: float = 0.3  # of the price, that shall be left over
    storage_usd_a_day: float = 0.0  # no price of storage is known
    traffic: dict[str, float] = field(default_factory=lambda: {"low": 20.0, "mid": 300.0, "high": 5000.0})  # requests a day


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """US dollars an image, and what of it drawing, starts, idle runners and storage take; with the day it was reckoned for."""

    drawing: float
    starting: float
    idling: float
    storage: float
    day: Day

    @property
    def usd(self) -> float:
        return self.drawing + self.starting + self.idling + self.storage


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """floor covers the cost at middle traffic, ceiling is the highest comparable price (None without any)."""

    floor: float
    recommended: float
    ceiling: float | None
    break_even: float | None
    costs: dict[str, Cost]
    warnings: tuple[str, ...]


def cost(
    requests_a_day: float, work: Work, machine: Machine, scaling: Scaling, terms: Terms, *, seconds: float | None = None
) -> Cost:
    """Cost of an image at a volume; `seconds` an image where not the middle of the range."""
    each = work.middle if seconds is None else seconds
    request = each * work.images_per_request
    runners = Runners(setup=work.setup, request=request, keep_alive=scaling.keep_alive, least=scaling.least, most=scaling.most)
    day = simulate(requests_a_day, runners)
    images = max(day.requests * work.images_per_request, 1e-9)
    rate = machine.usd_per_second / images
    return Cost(
        drawing=day.busy * rate,
        starting=day.setup * rate,
        idling=day.idle * rate,
        storage=terms.storage_usd_a_day / images,
        day=day,
    )


def advise(work: Work, machine: Machine, scaling: Scaling, terms: Terms, band: Band | None, *, images: float = 1.0) -> Advice:
    """A price of a unit of so many `images` that covers its cost at middle traffic with the margin wanted.

    Held within what comparable endpoints ask, but never below the floor: where they are cheaper than that, a warning says so.
    """
    costs = {name: cost(volume, work, machine, scaling, terms) for name, volume in terms.traffic.items()}
    kept = 1.0 - terms.platform_share
    floor = costs["mid"].usd / kept
    wanted = costs["mid"].usd / max(kept - terms.margin, 0.01)
    held = min(max(wanted, band.low), band.high) if band else wanted
    each = rounded_up(max(held, floor) * images) / images  # of an image
    return Advice(
        floor=rounded_up(floor * images),
        recommended=rounded_up(each * images),
        ceiling=band.highest * images if band else None,
        break_even=break_even(each, work, machine, scaling, terms),
        costs=costs,
        warnings=tuple(_warnings(each, band, costs, kept)),
    )


def break_even(price: float, work: Work, machine: Machine, scaling: Scaling, terms: Terms) -> float | None:
    """Requests a day from which on the price of an image covers the cost of an image; None where no volume of VOLUMES does."""
    earned = price * (1.0 - terms.platform_share)
    covered = [cost(volume, work, machine, scaling, terms).usd <= earned for volume in VOLUMES]
    first = next((number for number in range(len(VOLUMES)) if all(covered[number:])), None)
    return VOLUMES[first] if first is not None else None


def curve(work: Work, machine: Machine, scaling: Scaling, terms: Terms, *, seconds: float) -> list[tuple[float, float]]:
    """(requests a day, US dollars an image) over all VOLUMES."""
    return [(volume, cost(volume, work, machine, scaling, terms, seconds=seconds).usd) for volume in VOLUMES]


def rounded_up(amount: float) -> float:
    """Two significant digits, upwards: a price that covers a cost still does."""
    if amount <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(amount)) - 1)
    return round(math.ceil(round(amount / step, 9)) * step, 9)


def _warnings(price: float, band: Band | None, costs: dict[str, Cost], kept: float) -> Sequence[str]:
    said = []
    if band is None:
        said.append("No comparable endpoint is known: the price follows from the cost alone.")
    elif price > band.high:
        compared = f"three quarters of {band.note} (${band.high:g})"
        said.append(f"Costs more than {compared}: fewer steps or a shorter keep_alive lower the floor.")
    losing = [name for name, one in costs.items() if one.usd > price * kept]
    if losing:
        said.append(f"Loses money at {', '.join(losing)} traffic: idle runners and starts cost more than its images earn.")
    slow = [name for name, one in costs.items() if one.day.wait_p95 > LONG_WAIT]
    if slow:
        said.append(f"At {', '.join(slow)} traffic one caller in twenty waits longer than {LONG_WAIT:g} s: allow more runners.")
    return said
