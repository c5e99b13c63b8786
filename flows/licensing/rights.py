"""The licence verdict of a job: asked before anything else, before Prefect is imported, before a second of GPU is spent."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import keys
from flows.datasets import stated
from flows.errors import LicenceBlocked
from flows.home import home
from flows.job import Job
from flows.patience import patiently, require_asked
from flows.store import Artefact, make

if TYPE_CHECKING:
    from licenses.adapter import Adapter
    from licenses.publisher import Publisher
    from licenses.waivers import Trust

ALLOWED = ("allow", "duties")
EVIDENCE = "evidence"


def verdict_of(job: Job, *, at_head: bool = False, keep: bool = True) -> dict[str, Any]:
    """The LicenseVerdict JSON of the job's base, its parts and its dataset for this publisher; a folder is called by its name.

    `at_head` asks about what the Hub holds now, whatever commit the job names; without `keep` nothing is written.
    """
    from licenses.check import check
    from licenses.publisher import load_publisher

    publisher = load_publisher(job.publisher)
    with stated(job.dataset.path) as dataset:
        verdict = check(
            job.base.ref if job.base.folder else job.base.repo,
            revision=None if at_head else job.base.pinned,
            components=job.base.components,
            dataset=dataset,
            adapter=adapter_of(job),
            publisher=publisher,
            keep=home() / EVIDENCE if keep else None,
            trust=trust_for(publisher),
        ).as_json()
    return verdict | {"base": job.base.folder.name if job.base.folder else job.base.repo}


def answered_verdict_of(job: Job) -> dict[str, Any]:
    """The same, asked again for a while where the Hub does not answer; HubFailed (exit code 5) where it never does."""

    def ask() -> dict[str, Any]:
        verdict = verdict_of(job)
        require_asked(verdict)
        return verdict

    return patiently(ask)


def trust_for(publisher: "Publisher") -> "Trust | None":
    """Whose waivers count here; the keys are looked at only where there are waivers."""
    return keys.trust(home()) if publisher.waivers else None


def adapter_of(job: Job) -> "Adapter | None":
    """The job's adapter from elsewhere as the licence check takes it: its header is evidence."""
    if job.adapter is None:
        return None
    from licenses.adapter import Adapter
    from training.metadata import metadata_of

    path = job.adapter.file
    return Adapter(path=path, license=job.adapter.license, metadata=metadata_of(path))


def is_allowed(verdict: Mapping[str, Any]) -> bool:
    """Both uses that a paid endpoint needs are allowed, with or without duties."""
    return all(verdict["uses"][use]["verdict"] in ALLOWED for use in ("train_adapter", "host_paid_inference"))


def keep_report(verdict: Mapping[str, Any]) -> Artefact:
    """verdict.json, report.md and report.html in a folder named by what the verdict says; also for a block."""
    from licenses import report

    def write(folder: Path) -> None:
        (folder / "verdict.json").write_text(json.dumps(verdict, indent=2, ensure_ascii=False) + "\n")
        (folder / "report.md").write_text(report.markdown(verdict))
        (folder / "report.html").write_text(report.html(verdict))
        keep_evidence(verdict, folder / EVIDENCE)

    return make(home(), "verdict", {"hash": verdict["hash"], "as_of": verdict["as_of"]}, write)


def keep_evidence(verdict: Mapping[str, Any], folder: Path) -> None:
    """The raw bytes that the verdict rests on, each under its sha256, and which asset each is of; out of the pool of all checks."""
    folder.mkdir()
    for sha256 in sorted({row["sha256"] for row in verdict.get("evidence", ())}):
        found = home() / EVIDENCE / sha256
        if found.is_file():
            shutil.copyfile(found, folder / sha256)
    (folder / "index.json").write_text(json.dumps({"files": verdict.get("evidence", [])}, indent=1, ensure_ascii=False) + "\n")


def evidence_of(sha256: str) -> bytes | None:
    """The bytes of a file that a check has read, out of the pool of all checks; None where they are not there."""
    found = home() / EVIDENCE / sha256
    return found.read_bytes() if found.is_file() else None


def require_allowed(verdict: Mapping[str, Any]) -> None:
    """LicenceBlocked with the clause, and what base to use instead."""
    if not is_allowed(verdict):
        from licenses import report

        raise LicenceBlocked(report.one_line(verdict))
