"""What can be known before anything costs money, and what can not: findings, each with what was got and what to do.

Pure but for gather(), which asks the platform questions that cost nothing.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

from serving.release.errors import PackageError, ReleaseError
from serving.release.lint import lint
from serving.release.machines import AS_OF, FORMER_SOURCE, MACHINES, SOURCE, near
from serving.release.package import load_package
from serving.release.platform import Alias, Platform
from serving.release.signature import Signers, verify

State = Literal["passed", "failed", "warning", "unknown"]
CANDIDATE: Final = "candidate"
SKEW_WARNED, SKEW_REFUSED = 30.0, 300.0  # seconds; evidence of a deploy is compared with the platform's times
_LICENCE, _PLATFORM = 3, 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing looked at. unknown: the platform does not tell beforehand; `do` says where to look or whom to ask."""

    check: str
    state: State
    got: str
    do: str = ""
    exit_code: int = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is to be deployed. `verdict`: the licence verdict of now. `cost`: the forecast in USD, from and to, if it is known."""

    app: str
    machine_type: str
    secrets: Sequence[str]
    package: Path | None
    verdict: Mapping[str, Any]
    signers: Signers
    cost: tuple[float, float] | None = None
    budget: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """What the platform says of the account; `skew` is how far this machine's clock is ahead of the platform's, in seconds."""

    target: str
    account: str
    second_caller: bool
    apps: Mapping[str, Alias]
    candidates: Mapping[str, Alias]
    environments: Sequence[str]
    secrets: Mapping[str, Sequence[str]]
    skew: float | None
    known: frozenset[str] = field(default_factory=frozenset)  # revisions that the registry has of the app


def gather(platform: Platform, *, known: frozenset[str], now: float) -> Situation:
    """Ask what costs nothing; raises PlatformError, of which WrongKey and PlatformUnreachable are findings too."""
    account, moment, environments = platform.whoami()["nickname"], platform.clock(), platform.environments()
    there = CANDIDATE in environments
    return Situation(
        target=platform.name,
        account=account,
        second_caller=platform.second_caller,
        apps=platform.apps(None),
        candidates=platform.apps(CANDIDATE) if there else {},
        environments=environments,
        secrets={"main": platform.secrets(None), CANDIDATE: platform.secrets(CANDIDATE) if there else []},
        skew=None if moment is None else now - moment,
        known=known,
    )


def examine(wanted: Wanted, situation: Situation | ReleaseError) -> list[Finding]:
    """All findings, in the order in which a deploy would run into them; `situation` may be why the platform could not be asked."""
    findings = [*_machine(wanted), *_package(wanted), *_verdict(wanted), *_budget(wanted)]
    if isinstance(situation, ReleaseError):
        return [Finding(check="key", state="failed", got=str(situation), exit_code=situation.exit_code), *findings]
    about = [
        *_key(situation),
        *_clock(situation),
        *_environments(situation),
        *_secrets(wanted, situation),
        *_name(wanted, situation),
    ]
    return [*about, *findings, *_callers(situation), *_shared(situation), *_untold(wanted, situation)]


def failures(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.state == "failed"]


def secrets_named(package: Path) -> tuple[str, ...]:
    """Names of the account's secrets that the package's app gets."""
    ((_, app),) = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["fal"]["apps"].items()
    return tuple(app.get("secrets", ()))


def _key(situation: Situation) -> list[Finding]:
    return [
        Finding(check="key", state="passed", got=f"{situation.target} knows it as account {situation.account!r}"),
        Finding(
            check="rights",
            state="unknown",
            got="no key can be asked what it may do",
            do="deploying needs the preset DEPLOY or FULL: look at https://fal.ai/dashboard/keys, or try it with --probe",
        ),
    ]


def _clock(situation: Situation) -> list[Finding]:
    if situation.skew is None:
        return [Finding(check="clock", state="unknown", got="the platform's answers carry no date", do="let NTP set this clock")]
    off = abs(situation.skew)
    got = f"{off:.0f} s {'ahead of' if situation.skew > 0 else 'behind'} the platform's"
    state: State = "failed" if off > SKEW_REFUSED else "warning" if off > SKEW_WARNED else "passed"
    do = "set this machine's clock (NTP): requests and bills are matched by time" if state != "passed" else ""
    return [Finding(check="clock", state=state, got=got, do=do)]


def _environments(situation: Situation) -> list[Finding]:
    found = "there" if CANDIDATE in situation.environments else "not there yet: the deploy makes it"
    return [Finding(check="environments", state="passed", got=f"they can be listed; {CANDIDATE!r} is {found}")]


def _secrets(wanted: Wanted, situation: Situation) -> list[Finding]:
    """Both environments start a runner of the package, and each has secrets of its own."""
    missing = {place: [name for name in wanted.secrets if name not in have] for place, have in situation.secrets.items()}
    if not wanted.secrets:
        return [Finding(check="secrets", state="passed", got="the app reads none")]
    if not any(missing.values()):
        return [Finding(check="secrets", state="passed", got=f"set in main and {CANDIDATE}: {', '.join(wanted.secrets)}")]
    where = "; ".join(f"{place} lacks {', '.join(names)}" for place, names in missing.items() if names)
    first = [*missing["main"], *missing[CANDIDATE]][0]
    made = "" if CANDIDATE in situation.environments else f"fal environments create {CANDIDATE}, then "
    candidate = f"; there too: {made}fal secrets set --env {CANDIDATE} ..." if missing[CANDIDATE] else ""
    do = f"fal secrets set --not-exposed-by-default {first}=...{candidate}"
    return [Finding(check="secrets", state="failed", got=where, do=do)]


def _name(wanted: Wanted, situation: Situation) -> list[Finding]:
    found = situation.apps.get(wanted.app)
    if found is None:
        return [Finding(check="name", state="passed", got=f"{wanted.app!r} is free in main")]
    if found.revision in situation.known:
        return [Finding(check="name", state="passed", got=f"{wanted.app!r} is ours: the registry knows revision {found.revision}")]
    return [
        Finding(
            check="name",
            state="warning",
            got=f"{wanted.app!r} answers with revision {found.revision} ({found.auth_mode}), which this registry does not know",
            do="it is from another registry, or of somebody else in the account, and a deploy replaces it: "
            "choose another serving.app, or go on if it is yours",
        )
    ]


def _machine(wanted: Wanted) -> list[Finding]:
    name = wanted.machine_type
    machine = MACHINES.get(name)
    if machine is None:
        got = f"{name!r} is none that fal documents (as of {AS_OF}, {SOURCE})"
        return [Finding(check="machine", state="failed", got=got, do=f"serving.machine_type: try {', '.join(near(name))}")]
    if machine.former:
        got = f"{name} is on a former page of fal ({FORMER_SOURCE}) and not on the present one"
        return [Finding(check="machine", state="warning", got=got, do=f"choose one of {SOURCE}, or ask fal")]
    return [Finding(check="machine", state="passed", got=f"{name}, documented by fal as of {AS_OF}")]


def _package(wanted: Wanted) -> list[Finding]:
    if wanted.package is None:
        do = "`lorasmith package JOB` makes it; lint and signature are looked at then, and by every deploy"
        return [Finding(check="package", state="unknown", got=f"no package of {wanted.app!r} is here yet", do=do)]
    try:
        package = load_package(wanted.package)
        verify(package, wanted.signers)
    except PackageError as error:
        return [Finding(check="package", state="failed", got=str(error), exit_code=error.exit_code)]
    flaws = [
        Finding(check="lint", state="failed", got=flaw, do="change the job, then package again") for flaw in lint(wanted.package)
    ]
    signed = Finding(check="package", state="passed", got=f"{package.hash[:12]}, every file as it was packed and signed")
    clean = [] if flaws else [Finding(check="lint", state="passed", got="fal reads every setting of it")]
    return [signed, *flaws, *clean, *_client(wanted.package)]


def _client(package: Path) -> list[Finding]:
    """The SDK here is what the runner installs: the app was tested with that one."""
    ((_, app),) = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["fal"]["apps"].items()
    pinned = dict(line.split("==", 1) for line in app["requirements"] if "==" in line)
    here = metadata.version("fal")
    if pinned.get("fal") in (None, here):
        return [Finding(check="client", state="passed", got=f"fal {here}, as in the package")]
    got = f"fal {here} is installed here, the package asks for {pinned['fal']}"
    return [Finding(check="client", state="warning", got=got, do="package again, or install the version of requirements/")]


def _verdict(wanted: Wanted) -> list[Finding]:
    use = wanted.verdict.get("uses", {}).get("host_paid_inference", {})
    if use.get("verdict") not in ("allow", "duties"):
        reason = (use.get("reasons") or [{}])[0].get("text", "no reason given")
        do = "read the report: lorasmith license check"
        return [Finding(check="licences", state="failed", got=f"paid inference is barred: {reason}", do=do, exit_code=_LICENCE)]
    said = f"{use['verdict']}, as of {wanted.verdict.get('as_of', 'an unknown day')}"
    if wanted.package is None:
        return [Finding(check="licences", state="passed", got=said)]
    try:
        packed = json.loads((wanted.package / "verdict.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        got = f"verdict.json of the package can not be read ({error})"
        return [Finding(check="licences", state="failed", got=got, do="package again", exit_code=_LICENCE)]
    if packed.get("hash") != wanted.verdict.get("hash"):
        got = f"the package carries verdict {str(packed.get('hash'))[:12]}, today's is {str(wanted.verdict.get('hash'))[:12]}"
        do = "read what changed with `lorasmith license report`, then publish again: the papers in the package follow the verdict"
        return [Finding(check="licences", state="failed", got=got, do=do, exit_code=_LICENCE)]
    return [Finding(check="licences", state="passed", got=f"{said}, and the package carries this verdict")]


def _budget(wanted: Wanted) -> list[Finding]:
    if wanted.cost is None:
        do = "see https://fal.ai/pricing; budget_usd is not checked for this machine" if wanted.budget is not None else ""
        return [Finding(check="budget", state="unknown", got=f"no rate of {wanted.machine_type} is known here", do=do)]
    low, high = wanted.cost
    forecast = f"deploying and testing takes {low:.2f} to {high:.2f} USD of machine time by the forecast"
    if wanted.budget is None:
        return [Finding(check="budget", state="passed", got=f"{forecast}; the job sets no budget_usd")]
    got = f"{forecast}, budget_usd is {wanted.budget:.2f}"
    if low > wanted.budget:
        return [Finding(check="budget", state="failed", got=got, do="raise budget_usd, or choose a smaller machine")]
    if high > wanted.budget:
        return [Finding(check="budget", state="warning", got=got, do="a slow start may exceed it; nothing stops a runner midway")]
    return [Finding(check="budget", state="passed", got=got)]


def _callers(situation: Situation) -> list[Finding]:
    if situation.second_caller:
        return [Finding(check="second caller", state="passed", got="the smoke test calls with a key of another account")]
    do = "export LORASMITH_SMOKE_KEY, a key of another account"
    return [Finding(check="second caller", state="warning", got="the smoke test can call as the owner only", do=do)]


def _shared(situation: Situation) -> list[Finding]:
    shared = [name for name, found in {**situation.candidates, **situation.apps}.items() if found.auth_mode == "shared"]
    if shared:
        return [Finding(check="shared mode", state="passed", got=f"enabled: {shared[0]!r} runs in it")]
    got = f"no app of {situation.account!r} runs in it, and whether the account may can not be asked"
    do = "the first deploy finds out; where it is refused, the mail to send to fal is written then; --probe finds out now"
    return [Finding(check="shared mode", state="unknown", got=got, do=do)]


def _untold(wanted: Wanted, situation: Situation) -> list[Finding]:
    """What no question answers beforehand."""
    rows = [
        ("quota", "how many runners the account may have at once", "ask the fal team; their answer to the listing mail says it"),
        (
            "availability",
            f"whether a {wanted.machine_type} is free, and in which region",
            "https://status.fal.ai; a start waits for it",
        ),
        ("price", "what one unit will cost a caller", "the fal team sets it; the listing mail proposes it"),
    ]
    return [Finding(check=check, state="unknown", got=got, do=do) for check, got, do in rows]
