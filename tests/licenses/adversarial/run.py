"""Puts a case on disk and on the loopback Hub, and asks for the verdict."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from licenses.adapter import Adapter
from licenses.catalogue import PAID_USES
from licenses.check import check
from licenses.errors import LicensesError
from licenses.publisher import load_publisher
from licenses.verdict import ALLOWED, LicenseVerdict
from tests.licenses.adversarial.case import LINKS_ITSELF, LINKS_NOWHERE, PIPE, Adapted, Case, Files, Folder, Signed
from tests.licenses.adversarial.hub import CaseHub
from tests.licenses.signing import filed, made


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The uses that pass, the reason codes of those that do not, and the verdict where there was one."""

    passing: frozenset[str]
    codes: frozenset[str]
    duties: frozenset[str]
    verdict: LicenseVerdict | None


def run(case: Case, place: Path, hub: CaseHub) -> Outcome:
    """The outcome of a case; HF_ENDPOINT has to name `hub`, and licenses.check.load the catalogue of the cases."""
    for repo, wanted in case.repos.items():
        hub.put(repo, wanted)
    try:
        verdict = check(
            _written(case.base, place / "base"),
            revision=case.revision,
            components={role: _written(one, place / role) for role, one in case.components.items()},
            dataset=None if case.dataset is None else _written(case.dataset, place / "dataset"),
            adapter=_adapter(case.adapter, place / "adapter") if case.adapter else None,
            publisher=load_publisher(_publisher(case, place / "waivers")),
            as_of=case.as_of,
            trust=case.trust,
        )
    except LicensesError:
        return Outcome(passing=frozenset(), codes=frozenset({"refused"}), duties=frozenset(), verdict=None)
    paid = {use: verdict.uses[use] for use in PAID_USES}
    passing = frozenset(use for use, one in paid.items() if one.verdict in ALLOWED)
    codes = frozenset(reason.code for use, one in paid.items() if use not in passing for reason in one.reasons)
    return Outcome(passing=passing, codes=codes, duties=frozenset(paid["host_paid_inference"].duties), verdict=verdict)


def fault_of(case: Case, outcome: Outcome) -> str:
    """What is wrong with an outcome, in one line; empty where it is as the case says."""
    if case.allowed:
        if outcome.passing != frozenset(PAID_USES):
            return f"wrong block: {_reasons(outcome)}"
        lacking = case.duties - outcome.duties
        return f"duties forgotten: {', '.join(sorted(lacking))}" if lacking else ""
    through = sorted(set(case.barred) & outcome.passing)
    if through:
        return f"WRONG ALLOW of {' and '.join(through)}; expected one of {', '.join(sorted(case.codes))}"
    if not case.codes & outcome.codes:
        return f"blocked for another reason: expected one of {', '.join(sorted(case.codes))}; got {_reasons(outcome)}"
    return ""


def _reasons(outcome: Outcome) -> str:
    if outcome.verdict is None:
        return "refused"
    found = {
        (one.code, one.node, one.text)
        for use in PAID_USES
        for one in outcome.verdict.uses[use].reasons
        if one.code in outcome.codes
    }
    return "; ".join(f"{code} at {node}: {text[:160]}" for code, node, text in sorted(found))


def _written(asset: str | Folder, place: Path) -> str:
    if isinstance(asset, str):
        return asset
    _write(asset.files, place / asset.name)
    return str(place / asset.name / asset.file)


def _write(files: Files | Mapping[str, str | bytes], place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if content == LINKS_NOWHERE:
            os.symlink(place / "gone", target)
        elif content == LINKS_ITSELF:
            os.symlink(target, target)
        elif content == PIPE:
            os.mkfifo(target)
        else:
            target.write_bytes(content.encode() if isinstance(content, str) else content)


def _publisher(case: Case, place: Path) -> Mapping[str, Any]:
    """The profile, with the waivers of the case in files of their own."""
    if not case.waivers:
        return case.publisher
    paths = [_signed(one, place / str(number)) for number, one in enumerate(case.waivers)]
    return {"name": "Studio", "waivers": paths} | dict(case.publisher)


def _signed(one: Signed, place: Path) -> str:
    place.mkdir(parents=True)
    waiver = made(one.key, **one.fields)
    return str(filed(place, waiver.model_copy(update=dict(one.forged)), one.evidence))


def _adapter(adapted: Adapted, place: Path) -> Adapter:
    _write(adapted.files, place)
    return Adapter(path=place / "style.safetensors", license=adapted.license, metadata=adapted.header)
