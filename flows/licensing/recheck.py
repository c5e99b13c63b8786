"""Is what is live still allowed, and is what is waited for still free? Asked again, and held against what was accepted."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flows.books.records import write_json
from flows.errors import JobError, LicenceBlocked
from flows.home import home
from flows.licensing import rights
from flows.store import Artefact
from flows.targets import Target, job_of, live_releases, registry_url

if TYPE_CHECKING:
    from serving.release.registry import Registry

LOST: dict[str, Any] = {
    "code": "verdict_changed",
    "level": "error",
    "text": "the verdict is another one, and the one that was accepted is not kept here; read the new report whole",
    "file": None,
    "removed": [],
    "added": [],
}


def release_again(release: Mapping[str, Any]) -> dict[str, Any]:
    """Today's verdict of a live release against the one accepted last; a change marks the release, which stops its retraining.

    {app, target, base, verdict, hash, state, changes, waits_for, as_of, report}; state: unchanged, unconfirmed or re-review. A mark
    stays until `accept`, also where the terms come back: `waits_for` says what it was made for.
    """
    review = release["evidence"].get("review", {})
    verdict = rights.verdict_of(job_of(release), at_head=True)
    row = _row(verdict, accepted=str(review.get("accepted") or release["verdict_hash"]))
    said = [change["text"] for change in row["changes"] if change["level"] in ("error", "warning")]
    marked = bool(review.get("needed"))
    if (row["state"] == "re-review" or (marked and row["state"] == "unchanged")) and review.get("verdict") != verdict["hash"]:
        since = review["as_of"] if marked else verdict["as_of"]
        review = review | {"needed": True, "verdict": verdict["hash"], "changes": said or review.get("changes", []), "as_of": since}
        with _registry() as registry:
            registry.advance(release["id"], "live", review=review)
    waits = bool(review.get("needed"))
    state = "re-review" if waits else row["state"]
    return {
        "app": release["app"],
        "target": release["target"],
        **row,
        "state": state,
        "waits_for": review["changes"] if waits else [],
    }


def base_again(base: str, publisher: Mapping[str, Any]) -> dict[str, Any]:
    """Today's verdict of a base that is waited for, against the one it had when it was first asked about or accepted last."""
    from licenses.check import check
    from licenses.publisher import load_publisher

    file = _watched(base)
    before = json.loads(file.read_text()) if file.is_file() else {}
    who = dict(publisher or before.get("publisher", {}))  # a scheduled check has none of its own
    profile = load_publisher(who)
    verdict = check(base, publisher=profile, trust=rights.trust_for(profile), keep=home() / rights.EVIDENCE).as_json()
    seen = before or {"base": base, "accepted": verdict["hash"]}
    row = _row(verdict, accepted=seen["accepted"])
    write_json(file, seen | {"latest": verdict["hash"], "publisher": who})
    waits = [change["text"] for change in row["changes"] if change["level"] in ("error", "warning")]
    return {"app": None, "target": None, **row, "waits_for": waits}


def accept(name: str, target: Target, *, by: str, reason: str) -> str:
    """A person has read what changed of an app's licences, or of a base that is waited for; returns the hash of what was read.

    The mark goes, and later checks compare with that verdict. JobError where nothing waits for a review, LicenceBlocked where the
    licences bar a live release now: that nobody can accept.
    """
    if not (by.strip() and reason.strip()):
        raise JobError(f"{name}: a review needs a name and a reason, got {by!r} and {reason!r}; write --by NAME --reason TEXT")
    if _watched(name).is_file():
        seen = json.loads(_watched(name).read_text())
        if seen["latest"] == seen["accepted"]:
            raise JobError(f"{name}: nothing of it waits for a review; lorasmith license drift --base {name} shows what does")
        write_json(_watched(name), {**seen, "accepted": seen["latest"], "by": by, "reason": reason})
        return str(seen["latest"])
    with _registry() as registry:
        release = registry.live(name, target)
        review = release["evidence"].get("review", {}) if release else {}
        if release is None or not review.get("needed"):
            raise JobError(f"{name} on {target}: nothing of it waits for a review; lorasmith license drift shows what does")
        kept = verdict_kept(review["verdict"])
        if kept is None or not rights.is_allowed(json.loads(kept.read_text())):
            text = f"{name} on {target}: its licences bar it now, which nobody can accept"
            raise LicenceBlocked(
                f"{text}; stop serving it (lorasmith retire {name} --target {target} --reason TEXT), or train on another base"
            )
        read = {"needed": False, "accepted": review["verdict"], "by": by, "reason": reason}
        registry.advance(release["id"], "live", review=review | read)
    return str(review["verdict"])


def require_reviewed(release: Mapping[str, Any]) -> None:
    """LicenceBlocked where the terms of a live release changed and nobody has read them yet."""
    review = release["evidence"].get("review", {})
    if review.get("needed"):
        first = next(iter(review.get("changes", ())), "its verdict changed")
        text = f"{release['app']} on {release['target']} waits for a review since {review['as_of']}: {first}"
        raise LicenceBlocked(f"{text}; read the report, then {ways_on(release['app'], release['target'])}")


def ways_on(app: str, target: str) -> str:
    """What a person can do once the report is read."""
    go_on, stop = f"lorasmith license reviewed {app} --by NAME --reason TEXT", f"lorasmith retire {app} --reason TEXT"
    return f"{go_on} --target {target}, or take it down: {stop} --target {target}"


def target_named(name: str | None) -> Target | None:
    """The platform that a person named, None for every one; JobError for another word."""
    if name not in (None, "sandbox", "fal"):
        raise JobError(f"--target {name!r}: write sandbox or fal")
    return cast("Target | None", name)


def every(target: Target | None, bases: Sequence[str], publisher: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(name, row or error) of every live release and of each base; one that fails keeps no other from its check."""
    asked = [(f"{one['app']} on {one['target']}", partial(release_again, one)) for one in live_releases(target)]
    asked += [(base, partial(base_again, base, publisher)) for base in bases]
    for name, ask in asked:
        try:
            yield name, ask()
        except ValueError as error:  # every error of this project is one
            yield name, error


def as_row(verdict: Mapping[str, Any], kept: Artefact, *, changes: list[dict[str, Any]], state: str) -> dict[str, Any]:
    return {
        "base": verdict["base"],
        "verdict": verdict["verdict"],
        "hash": verdict["hash"],
        "state": state,
        "changes": changes,
        "as_of": verdict["as_of"],
        "report": str(kept.path / "report.html"),
    }


def _row(verdict: dict[str, Any], *, accepted: str) -> dict[str, Any]:
    from licenses import drift

    before = verdict_kept(accepted)
    kept = rights.keep_report(verdict)
    if before is None:
        changes = [] if accepted == verdict["hash"] else [LOST | {"node": verdict["base"]}]
        state = "re-review" if changes else "unchanged"
    else:
        found = drift.compare(json.loads(before.read_text()), verdict, read=rights.evidence_of)
        changes, state = [one.as_json() for one in found], drift.state(found)
    return as_row(verdict, kept, changes=changes, state=state)


def verdict_kept(hash: str) -> Path | None:
    """verdict.json of the verdict with this hash, the earliest that is kept."""
    folders = sorted((home() / "store" / "verdict").glob("*/content/verdict.json"), key=lambda path: path.stat().st_mtime)
    return next((path for path in folders if json.loads(path.read_text())["hash"] == hash), None)


def watched_bases() -> list[str]:
    """Bases that were asked about before, by name; a folder that is gone has been given up."""
    kept = [json.loads(file.read_text())["base"] for file in (home() / "bases").glob("*.json")]
    return sorted(base for base in kept if not base.startswith(("/", ".")) or Path(base).exists())


def _watched(base: str) -> Path:
    folder = home() / "bases"
    folder.mkdir(exist_ok=True)
    return folder / f"{hashlib.sha256(base.encode()).hexdigest()[:16]}.json"


@contextmanager
def _registry() -> "Iterator[Registry]":
    from serving.release.registry import Registry

    with closing(Registry(registry_url())) as registry:
        yield registry
