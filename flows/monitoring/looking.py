"""Look at a live release: the platform is asked for its requests, runners and books, and files here for price and papers."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flows.home import home
from flows.listing_folder import desk
from flows.listing_marks import marks_of
from flows.money.price_basis import images_of_a_unit
from flows.money.sizing import gpu_of
from flows.monitoring.golden import drawn_again
from flows.monitoring.look import Answers, Day, Look, Price, percentile
from flows.monitoring.money import money_of
from flows.monitoring.papers import papers_of
from flows.monitoring.thresholds import Thresholds
from flows.own_calls import AskedPlatform, own_requests
from flows.targets import job_of
from serving.release.errors import PlatformError, PlatformTimeout, PlatformUnreachable, WrongKey
from serving.release.platform import Books, Platform, Seen

if TYPE_CHECKING:
    from flows.job import Job

DAY = 86_400.0


def job_kept(release: Mapping[str, Any]) -> "Job | None":
    """The job of a release, None where it is not stored here; one that can not be read any more is a JobError all the same."""
    from flows.targets import job_file

    return job_of(release) if job_file(release["app"], release["target"]).is_file() else None


def limits_of(job: "Job | None") -> Thresholds:
    return job.monitor if job else Thresholds()


def looked(release: Mapping[str, Any], platform: AskedPlatform, *, job: "Job | None", now: datetime, drawn_today: int = 0) -> Look:
    """Everything that the monitor knows of a release at this moment. PlatformError where the platform can not be asked.

    drawn_today: golden prompts that were drawn again since midnight (UTC); more are drawn until the job's `monitor.golden_a_day`.
    """
    app, limits = release["app"], limits_of(job)
    seen = requests_of(platform, app, now.timestamp() - DAY)
    own = own_requests(platform, app, now - timedelta(seconds=DAY)) if seen else frozenset()
    runners = sum(one.runners for one in platform.revisions(app, None))
    alias, books = platform.alias(app, None), platform.books(app, None, now.timestamp() - DAY)
    look = replace(
        begun(release, job, now),
        runners=runners,
        day=day_of(seen, own, books, images_of_a_unit(job) if job else 1.0),
        window=window_of(seen, own, now.timestamp(), limits.window_minutes),
    )
    price = price_of(app, release["target"], job, books)
    look = replace(
        look,
        price=price,
        money=money_of(
            books,
            earned=earned(release["target"], app, now.timestamp() - DAY, own),
            units=look.day.units,
            own_units=look.day.own_units,
            images=look.day.images,
            wanted_usd=price.wanted if price.wanted is not None else price.recommended,
            busy_seconds=None if seen is None else sum(one.seconds for one in seen),
            rate=rate_of(job),
            share=job.listing.platform_share if job else None,
            sold=alias is not None and alias.auth_mode == "shared",
        ),
    )
    if runners or limits.wake:
        look = with_health(look, release, platform)
    if alias is None or alias.revision != release["revision"]:
        look = replace(look, serves=f"revision {alias.revision}" if alias else "nothing", health=look.health or 200)
    due = max(0, limits.golden_a_day - drawn_today)
    if due and job:
        drawn = drawn_again(
            release, platform, number=due, likeness_db=job.rollout.likeness_db, rate=rate_of(job), day=now.astimezone(UTC).date()
        )
        look = replace(look, golden=drawn)
    return look


def begun(release: Mapping[str, Any], job: "Job | None", now: datetime, *, fault: str | None = None) -> Look:
    """What is known of a release without asking the platform; `fault` is why it could not be asked."""
    return Look(
        app=release["app"],
        target=release["target"],
        revision=str(release["revision"]),
        endpoint=release["urls"].get("run", ""),
        at=now,
        fault=fault,
        probation=(release["evidence"].get("probation") or {}).get("state"),
        papers=papers_of(release, job),
        **marked_last(release["target"], release["app"]),
    )


def requests_of(platform: Platform, app: str, since: float) -> Sequence[Seen] | None:
    """The platform's record of requests; None where it does not show it."""
    try:
        return platform.requests(app, None, since)
    except (PlatformTimeout, PlatformUnreachable, WrongKey):
        raise
    except PlatformError:
        return None


def day_of(seen: Sequence[Seen] | None, own: Collection[str], books: Books, images_of_unit: float) -> Day:
    if seen is None:
        return Day(cold_starts=books.cold_starts)
    others = [one for one in seen if one.request_id not in own]
    units = sum(one.units or 0.0 for one in seen)
    return Day(
        requests=len(others),
        refused=sum(400 <= one.status < 500 for one in others),
        failed=sum(one.status >= 500 for one in others),
        own=len(seen) - len(others),
        units=units,
        own_units=sum(one.units or 0.0 for one in seen if one.request_id in own),
        images=units * images_of_unit,
        cold_starts=books.cold_starts,
    )


def window_of(seen: Sequence[Seen] | None, own: Collection[str], now: float, minutes: float) -> Answers | None:
    """Of others' requests: ours come after a deploy, alone, and wait for runners that no customer waits for."""
    if seen is None:
        return None
    recent = [one for one in seen if one.request_id not in own and one.ended_at >= now - minutes * 60]
    seconds = sorted(one.seconds for one in recent if 200 <= one.status < 300)
    failed = sum(one.status >= 500 for one in recent)
    p50, p95 = percentile(seconds, 50), percentile(seconds, 95)
    return Answers(minutes=minutes, requests=len(recent), failed=failed, p50=p50, p95=p95)


def with_health(look: Look, release: Mapping[str, Any], platform: Platform) -> Look:
    answer = platform.call(look.app, {}, path="health", key="owner")
    package = answer.body.get("package") if answer.status == 200 else release["package"]
    other = None if package == release["package"] else f"package {package}"
    return replace(look, health=answer.status, seconds=round(answer.seconds, 3), serves=other)


def price_of(app: str, target: str, job: "Job | None", books: Books) -> Price:
    """Live price and the listing's sum behind it; a price by the second is a machine's, so none was set."""
    unit = job.serving.billing_unit if job else "image"
    live = books.price_usd if books.unit not in (None, "second") else None
    file = desk(home(), target, app) / "listing.json"
    pricing = json.loads(file.read_text(encoding="utf-8"))["pricing"] if file.is_file() else {}
    reckoning = pricing.get("reckoning") or {}
    return Price(
        unit=unit,
        live=live,
        wanted=pricing.get("unit_price_usd"),
        recommended=(reckoning.get("recommended") or {}).get("value"),
        floor=(reckoning.get("floor") or {}).get("value"),
    )


def earned(target: str, app: str, since: float, own: Collection[str] = ()) -> float | None:
    """What others paid since a moment by the sandbox's ledger, None where a price was not known; fal shows nobody its own."""
    if target != "sandbox":
        return None
    from serving.sandbox import control

    rows = [
        row for row in control.ledger(home()) if row["app"] == app and row["environment"] == "main" and row["ended_at"] >= since
    ]
    costs = [row["cost_nano"] for row in rows if row["payer"] not in (None, row["owner"]) and row["request_id"] not in own]
    return None if not costs or None in costs else sum(costs) / 1e9


def marked_last(target: str, app: str) -> dict[str, Any]:
    """How far the author's listing is, by the last mark that was made by hand; empty where there is none."""
    mine = next((one for one in marks_of(home()) if (one.target, one.app) == (target, app) and one.at), None)
    return {"listing": (mine.state, datetime.fromisoformat(mine.at).date()), "stale": mine.stale} if mine and mine.at else {}


def rate_of(job: "Job | None") -> float | None:
    """US dollars a second of the job's machine: fal's list rate, else its lowest; None where neither is known."""
    gpu = gpu_of(job.serving.machine_type) if job and job.serving.machine_type.startswith("GPU") else None
    if job is None or gpu is None or gpu.usd_per_second is None:
        return None
    lowest, listed = gpu.usd_per_second
    return (listed or lowest) * job.serving.num_gpus
