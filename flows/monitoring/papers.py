"""Until when what stands behind a release holds: its certificate, its waivers, what is known of its licences."""

import json
import os
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flows.home import home
from flows.licensing.license_files import LAST
from flows.licensing.recheck import verdict_kept
from flows.monitoring.look import Papers

if TYPE_CHECKING:
    from flows.job import Job


def papers_of(release: Mapping[str, Any], job: "Job | None") -> Papers:
    """What the files here say; nobody is asked. The licence check itself is license-report's, once a day."""
    from licenses.ages import ends
    from licenses.catalogue import load

    review = release["evidence"].get("review") or {}
    checked = checked_last(release["app"], release["target"])
    verdict = kept_verdict(checked.get("hash") or review.get("accepted") or release["verdict_hash"])
    waivers = [date.fromisoformat(one["expires"]) for one in verdict.get("waivers", ()) if one["counted"]]
    day = checked.get("as_of") or verdict.get("as_of") or str(release["created_at"])[:10]
    return Papers(
        certificate=certificate_end(job),
        waiver=min(waivers, default=None),
        facts=ends(verdict, load()) if verdict else None,
        checked=date.fromisoformat(day),
        verdict=checked.get("verdict") or verdict.get("verdict"),
        review=next(iter(review.get("changes", ())), "its verdict changed") if review.get("needed") else None,
    )


def checked_last(app: str, target: str) -> dict[str, Any]:
    """The row of the last license-report; empty where there was none."""
    file = home() / LAST
    rows = json.loads(file.read_text())["releases"] if file.is_file() else []
    return next((row for row in rows if (row["app"], row["target"]) == (app, target)), {})


def kept_verdict(hash: str) -> dict[str, Any]:
    """The verdict with this hash, empty where it is not kept here."""
    path = verdict_kept(hash)
    verdict: dict[str, Any] = json.loads(path.read_text()) if path else {}
    return verdict


def certificate_end(job: "Job | None") -> date | Literal["development", "none"] | None:
    """When the certificate that marks pictures expires: the platform shows no secret, so the copy here is read.

    LORASMITH_C2PA_CERTIFICATE is the chain as PEM, as the secret of the same name; else HOME/keys/c2pa-chain.pem.
    """
    if job is None:
        return None
    if job.serving.marking == "off":
        return "none"
    if job.serving.certificate == "development":
        return "development"
    chain = chain_of(os.environ.get("LORASMITH_C2PA_CERTIFICATE", ""), home() / "keys" / "c2pa-chain.pem")
    return chain_end(chain) if chain else None


def chain_of(variable: str, file: Path) -> bytes:
    """PEM, whose line ends may be spelled as a backslash and n."""
    if variable.strip():
        return variable.replace("\\n", "\n").encode()
    return file.read_bytes() if file.is_file() else b""


def chain_end(pem: bytes) -> date | None:
    """The day on which the first certificate of a chain expires; None for what is no chain."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        ends: list[datetime] = [one.not_valid_after_utc for one in load_pem_x509_certificates(pem)]
    except ValueError:
        return None
    return min(ends).date()
