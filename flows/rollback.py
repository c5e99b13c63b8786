"""The way back, by hand and by itself: asked for by a person, or brought about by a release on probation that fails its callers."""

from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Any

from flows.errors import JobError, LicenceBlocked
from flows.home import home
from flows.licensing import rights
from flows.listing_desk import outdated
from flows.listing_folder import desk
from flows.progress import say
from flows.targets import Target, job_released_with, open_platform, registry_url, restore_job
from serving.release.platform import Platform
from serving.release.probation import Watched, on_probation, watch
from serving.release.registry import Registry
from serving.release.rollback import destination, roll_back

WAIT_SECONDS = 300.0
NOT_ASKED = ("hub_offline", "hub_unreachable", "hub_tls_failed")


def planned(app: str, target: Target, to: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what is live, what would be live again). NoWayBack, NotPermitted or LicenceBlocked where that can not be."""
    with closing(Registry(registry_url())) as registry:
        live = registry.live(app, target)
        rows = registry.releases(app=app, target=target)
    if live is None:
        raise JobError(f"{app} on {target}: nothing of it is live; lorasmith status shows what there is")
    pending = live["evidence"].get("rollback")
    wanted = next(row for row in rows if row["id"] == pending["to"]) if pending else destination(rows, live, to)
    require_allowed(wanted)
    return live, wanted


def require_allowed(release: Mapping[str, Any]) -> None:
    """LicenceBlocked where today's verdict bars a release. Where nobody can be asked, the way back is not barred by that alone."""
    job = job_released_with(release)
    if job is None:
        say(f"release {release['id']}: its job is not kept here, so its licences are not asked again")
        return
    verdict = rights.verdict_of(job)
    if not rights.is_allowed(verdict) and only_unasked(verdict):
        say(f"release {release['id']}: the Hub does not answer, so its licences are those that it was released with")
        return
    try:
        rights.require_allowed(verdict)
    except LicenceBlocked as error:
        raise LicenceBlocked(f"release {release['id']} may not come back: {error}") from None


def only_unasked(verdict: Mapping[str, Any]) -> bool:
    """Whether nothing bars the uses but that the Hub could not be asked."""
    reasons = [reason for use in verdict["uses"].values() if use["verdict"] == "block" for reason in use["reasons"]]
    return bool(reasons) and all(reason["code"] in NOT_ASKED for reason in reasons)


def rolled_back(app: str, target: Target, *, to: str | None, reason: str, progress: Callable[[str], None] = say) -> dict[str, Any]:
    """The release that is live again; its job is the one that scheduled runs publish."""
    with closing(Registry(registry_url())) as registry, open_platform(target) as platform:
        row = roll_back(app, platform=platform, registry=registry, to=to, reason=reason, wait=WAIT_SECONDS, progress=progress)
    keep_in_step(row, progress)
    return row


def looked_at(release: Mapping[str, Any], *, platform: Platform, registry: Registry, progress: Callable[[str], None]) -> Watched:
    """One look at a release on probation, with what belongs to a rollback."""
    found = watch(dict(release), platform=platform, registry=registry, progress=progress)
    if found.state == "rolled back":
        keep_in_step(found.live, progress)
    return found


def each_on_probation(target: Target | None, progress: Callable[[str], None]) -> list[tuple[dict[str, Any], Callable[[], Watched]]]:
    """Live releases that are watched, each with a look at it."""

    def look(row: dict[str, Any]) -> Watched:
        with closing(Registry(registry_url())) as registry, open_platform(row["target"]) as platform:
            return looked_at(row, platform=platform, registry=registry, progress=progress)

    with closing(Registry(registry_url())) as registry:
        rows = [row for row in registry.releases(target=target) if on_probation(row)]
    return [(row, partial(look, row)) for row in rows]


def keep_in_step(row: Mapping[str, Any], progress: Callable[[str], None]) -> None:
    """The job of what is live again takes the place of the one that was rolled back; its page has to be drafted again."""
    if not restore_job(row):
        progress(
            f"the job of release {row['id']} is not kept here: until it is published from its job file, retraining uses the other"
        )
    place = desk(home(), row["target"], row["app"])
    if (place / "listing.json").is_file() and (said := outdated(place)):
        progress(f"{place}: {said}")
