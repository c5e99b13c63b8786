"""What a price is reckoned from: seconds by the forecast, fal's rate, the app's scaling, and the traffic that the job expects."""

import math
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from flows.job import Job
from flows.money.sizing import gpu_of, needs_of

if TYPE_CHECKING:
    from serving.listing.model import ListingTexts
    from serving.listing.reckoning import Basis

START, LOADED_A_SECOND = 60.0, 1e9  # seconds of a start beside the weights, and bytes of those a second: assumed
MEGAPIXEL = 1024 * 1024
RATES_READ = "2026-09-01"  # training/facts/gpus.yaml: the month is known, not the day


def texts_of(job: Job) -> "ListingTexts":
    """The author's words among the job's listing fields."""
    from serving.listing.model import ListingTexts

    return ListingTexts(**{field.name: getattr(job.listing, field.name) for field in fields(ListingTexts)})


def basis_of(job: Job, settings: dict[str, Any]) -> "Basis | None":
    """The basis of a unit's price from the job and its package's settings; None where no GPU time or no rate is known."""
    from serving.listing.economics import Machine, Scaling, Terms, Work
    from serving.listing.reckoning import Basis

    needs = needs_of(job)
    gpu = gpu_of(job.serving.machine_type) if needs else None
    if needs is None or needs.seconds is None or gpu is None or gpu.usd_per_second is None:
        return None
    lowest, listed = gpu.usd_per_second
    rate, source = (listed, "fal's list rate") if listed else (lowest, "fal's lowest rate; the list rate is not known")
    expected, setup = job.listing, START + needs.weights / LOADED_A_SECOND
    work = Work(seconds=needs.seconds, source="forecast", setup=setup, images_per_request=expected.images_per_request)
    scale = job.serving
    most = scale.max_concurrency or 2
    return Basis(
        family=settings["family"],
        work=work,
        machine=Machine(name=gpu.name, usd_per_second=rate * scale.num_gpus, source=source, as_of=RATES_READ),
        scaling=Scaling(keep_alive=scale.keep_alive, least=scale.min_concurrency, most=max(most, scale.min_concurrency, 1)),
        terms=Terms(
            platform_share=expected.platform_share or 0.0,
            margin=expected.margin,
            traffic=dict(zip(("low", "mid", "high"), expected.traffic, strict=True)),
        ),
        images=images_of_a_unit(job),
        assumed=assumptions(job, work, rate * scale.num_gpus, source),
    )


def earned_of(app: str, target: str, share: float | None) -> dict[str, Any] | None:
    """What a unit of the app cost by the monitor's last look that knew it, with the live price; None without such a look."""
    from flows.monitoring.history import rows
    from serving.listing.profit import measured_of

    for row in reversed([row for row in rows() if (row["app"], row["target"]) == (app, target)]):
        money, units, day = row["money"], row["day"]["units"], row["at"][:10]
        found = measured_of(money["cost"], units, f"the monitor’s day up to {day}, cost by {money['cost_by']}")
        if found:
            return {**asdict(found), "live_usd": row["price"]["live"], "share": share}
    return None


def images_of_a_unit(job: Job) -> float:
    """How many images of the largest area a billable unit is."""
    if job.serving.billing_unit == "megapixel":
        return 1 / math.ceil(job.serving.max_area / MEGAPIXEL)
    return job.listing.images_per_request if job.serving.billing_unit == "request" else 1.0


def assumptions(job: Job, work: "Any", rate: float, source: str) -> tuple[str, ...]:
    """What the sum rests on and nobody has measured yet, a sentence each."""
    low, high = work.seconds
    share = job.listing.platform_share
    kept = (
        "fal's share of the price is not public and is counted as none" if share is None else f"fal keeps {share:.0%} of the price"
    )
    return (
        f"Drawing an image takes {low:.2g} to {high:.2g} seconds on {job.serving.machine_type}, by forecast; nothing was measured.",
        f"A second costs ${rate:.6f} ({source}, as of {RATES_READ[:7]}).",
        f"A start takes {work.setup:.0f} s: a minute, and the weights at a gigabyte a second.",
        f"Requests ask for {job.listing.images_per_request:g} images on average and are drawn one at a time.",
        f"The owner pays for starts and idle runners too, which is to be asked; {kept}.",
        f"Traffic of {', '.join(f'{volume:,.0f}' for volume in job.listing.traffic)} requests a day is the author's expectation.",
    )
