"""Before anything costs money: what the job needs against what is here and on the platform; and what to do when fal says no."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import signing
from flows.errors import NotReady
from flows.home import home
from flows.licensing import rights
from flows.money.deploy_cost import deploy_cost
from flows.progress import say
from flows.settings import app_settings
from flows.targets import Target, open_platform, registry_url

if TYPE_CHECKING:
    from flows.job import Job
    from serving.release.errors import SharedRefused
    from serving.release.platform import Platform
    from serving.release.preflight import Finding, Wanted
    from serving.release.registry import Registry

FRESH = timedelta(days=1)  # a verdict that is older is asked for again: a training may lie between check and deploy
OUTBOX = "outbox"


@contextmanager
def passed(job: "Job", package: Path, verdict: Mapping[str, Any], registry: "Registry", platform: "Platform") -> Iterator[None]:
    """Let a deploy begin once nothing speaks against it; where fal refuses shared mode, write the mail to send.

    Raises NotReady for what was found, PlatformError where the platform could not be asked.
    """
    from serving.release.errors import SharedRefused

    verdict = fresh(job, verdict)
    require_ready(job, package, verdict, registry, platform)
    try:
        yield
    except SharedRefused as error:
        mail = write_mail(job, verdict, platform.whoami()["nickname"], error)
        raise SharedRefused(f"{error} (the mail is written: {mail})", tail=error.tail) from None


def require_ready(job: "Job", package: Path, verdict: Mapping[str, Any], registry: "Registry", platform: "Platform") -> None:
    """NotReady with the first of the findings that stop a deploy; warnings are said, what is unknown is counted."""
    from serving.release.preflight import examine, failures, gather

    known = known_revisions(registry, job.serving.app, platform.name)
    findings = examine(wanted_of(job, package, verdict), gather(platform, known=known, now=time.time()))
    for warning in (finding for finding in findings if finding.state == "warning"):
        say(f"  {line_of(warning)}")
    if failed := failures(findings):
        more = f" (and {len(failed) - 1} more: `lorasmith preflight` lists all)" if len(failed) > 1 else ""
        raise NotReady(f"not deployed: {line_of(failed[0])}{more}", failed[0].exit_code)
    states = [finding.state for finding in findings]
    say(f"✓ preflight   {states.count('passed')} checks passed, {states.count('unknown')} things fal does not tell beforehand")


def findings_of(job: "Job", target: Target) -> list["Finding"]:
    """What `lorasmith preflight` shows: as above, with the newest package of the app that is here, if there is one."""
    from serving.release.errors import PlatformError
    from serving.release.preflight import examine, gather
    from serving.release.registry import Registry

    wanted = wanted_of(job, newest_package(job.serving.app), rights.verdict_of(job))
    try:
        with closing(Registry(registry_url())) as registry, open_platform(target) as platform:
            known = known_revisions(registry, job.serving.app, target)
            return examine(wanted, gather(platform, known=known, now=time.time()))
    except PlatformError as error:
        return examine(wanted, error)


def probed(target: Target) -> list["Finding"]:
    """What a tiny app on the platform shows; one probe at a time."""
    from serving.release.lease import deploy_lease
    from serving.release.probe import APP, probe
    from serving.release.registry import Registry

    with (
        closing(Registry(registry_url())) as registry,
        deploy_lease(registry, target=target, app=APP),
        open_platform(target) as platform,
    ):
        return probe(platform, progress=lambda line: say(f"  {line}"))


def merged(findings: list["Finding"], tried: list["Finding"]) -> list["Finding"]:
    """What was tried takes the place of what was unknown."""
    better = {finding.check for finding in tried}
    return [finding for finding in findings if finding.check not in better] + tried


def wanted_of(job: "Job", package: Path | None, verdict: Mapping[str, Any]) -> "Wanted":
    from serving.release.preflight import Wanted, secrets_named

    return Wanted(
        app=job.serving.app,
        machine_type=job.serving.machine_type,
        secrets=secrets_named(package) if package else secrets_before(job),
        package=package,
        verdict=verdict,
        signers=signing.signers(),
        cost=deploy_cost(job),
        budget=job.budget_usd,
    )


def secrets_before(job: "Job") -> tuple[str, ...]:
    """Names of the secrets that the app will read, as far as the job alone tells; a Hub token for a gated base comes to them."""
    from serving.release.app_toml import C2PA_SECRETS

    marking = app_settings(job).marking
    return C2PA_SECRETS if marking.enabled and marking.certificate == "secret" else ()


def newest_package(app: str) -> Path | None:
    """The package of this app that was made last here."""
    made = []
    for record in (home() / "store" / "package").glob("*/content/package.json"):
        if json.loads(record.read_text(encoding="utf-8")).get("name") == app:
            made.append((record.stat().st_mtime_ns, record.parent))
    return max(made)[1] if made else None


def known_revisions(registry: "Registry", app: str, target: str) -> frozenset[str]:
    """Every revision that a release of this app ever had on this target."""
    rows = registry.releases(app=app, target=target)
    return frozenset(str(row[name]) for row in rows for name in ("revision", "candidate_revision") if row[name])


def fresh(job: "Job", verdict: Mapping[str, Any]) -> Mapping[str, Any]:
    """The verdict, asked for again where it is older than FRESH."""
    return verdict if date.today() - date.fromisoformat(verdict["as_of"]) <= FRESH else rights.verdict_of(job)


def write_mail(job: "Job", verdict: Mapping[str, Any], account: str, refused: "SharedRefused") -> Path:
    """The request for shared mode, as a draft in LORASMITH_HOME/outbox; the same request is the same file."""
    from serving.release.refusals import SHARED_BY_HAND

    said = " ".join(str(refused).split()).removesuffix(f"; {SHARED_BY_HAND}")  # which is for the author, not for fal
    mail = access_mail(job, verdict, account, said)
    folder = home() / OUTBOX
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"shared-mode-{job.serving.app}.eml"
    partial = path.with_suffix(f".{os.getpid()}.part")
    partial.write_bytes(mail)
    os.replace(partial, path)
    return path


def access_mail(job: "Job", verdict: Mapping[str, Any], account: str, refusal: str | None = None) -> bytes:
    """The mail that asks for serverless access and shared mode, after fal refused it or before a deploy was tried."""
    from serving.release.enablement import enablement_mail

    return enablement_mail(
        account=account,
        app=job.serving.app,
        machine=job.serving.machine_type,
        unit=job.serving.billing_unit,
        verdict=verdict,
        sender=job.listing.sender,
        recipient=job.listing.recipient,
        refusal=refusal,
    )


def line_of(finding: "Finding") -> str:
    return f"{finding.check}: {finding.got}" + (f"; {finding.do}" if finding.do else "")
