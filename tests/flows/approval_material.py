"""A publish without a model: made-up evaluation and verdict, a package of one letter, and a platform of one file."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

from flows import gating
from flows.approvals import asking
from flows.job import Job
from flows.job_file import parse_job
from flows.licensing import rights
from flows.store import Artefact, make
from flows.targets import registry_url
from serving.release.deploy import publish_package
from serving.release.package import _seal
from serving.release.registry import Registry
from tests.failpoints.kept_platform import KeptPlatform
from tests.failpoints.scenarios import SMOKE
from tests.flows.test_job import SMALL
from tests.training.test_gate import GOOD

UNSURE = GOOD | {"champion": GOOD["champion"] | {"difference": -0.02, "bootstrap": {"low": -1.0, "high": 0.01}}}
BARRED = {
    "code": "non_commercial",
    "node": "owner/base",
    "text": "its licence bars paid hosting",
    "quote": "for commercial use",
    "file": "LICENSE",
    "sha256": "0" * 64,
    "confidence": "exact",
}


class Sandbox(KeptPlatform):
    name = "sandbox"


def toy_job(policy: dict[str, Any] | None = None, app: str = "toy", **changes: Any) -> Job:
    return parse_job(SMALL | {"name": app, "serving": {"app": app}, "approvals": policy or {}} | changes, source="test")


def licences_of(home: Path, said: str = "duties") -> Artefact:
    """A verdict that says this of every use."""
    uses = {
        use: {"verdict": said, "reasons": [BARRED] if said == "block" else [], "duties": []}
        for use in ("train_adapter", "host_paid_inference")
    }
    verdict = {
        "verdict": said,
        "hash": said,
        "as_of": "2026-01-01",
        "base": "owner/base",
        "nodes": [],
        "alternatives": [],
        "uses": uses,
    }
    return make(home, "verdict", {"said": said}, lambda out: (out / "verdict.json").write_text(json.dumps(verdict)))


def bundle_of(home: Path, evaluation: dict[str, Any]) -> Artefact:
    return make(home, "bundle", {"of": evaluation}, lambda out: (out / "evaluation.json").write_text(json.dumps(evaluation)))


def package_of(home: Path, app: str, content: str) -> Artefact:
    def build(out: Path) -> None:
        (out / "content.txt").write_text(content)
        _seal(app, out)

    return make(home, "package", {"app": app, "content": content}, build)


def publish_toy(home: Path, job: Job, *, content: str = "b", evaluation: dict[str, Any] = GOOD, said: str = "duties") -> str | None:
    """From the licences to a live release with the steps that decide; the approval that let it go on."""
    licences = licences_of(home, said)
    rights.require_allowed(json.loads((licences.path / "verdict.json").read_text()))
    bundle = bundle_of(home, evaluation)
    decision = gating.require_accepted(job.gate, evaluation, asks=job.approvals.gate_review)
    packed = package_of(home, job.serving.app, content)
    approval = asking.require_approval(job, packed, decision, bundle, licences, "sandbox", job.listing.price_usd)
    with closing(Registry(registry_url())) as registry:
        platform = Sandbox(home / "platform.json")
        publish_package(
            packed.path, platform=platform, registry=registry, verdict_hash="v", smoke=SMOKE, progress=lambda line: None
        )
    return approval


def deployed(home: Path, app: str = "toy") -> list[str]:
    """The places on the platform that deploys of an app went to, in order."""
    return [place for name, place, _ in Sandbox(home / "platform.json").deploys if name == app]
