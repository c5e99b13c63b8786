"""Waivers for tests: a key pair that is always the same, and a waiver that counts until a test takes something from it."""

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from licenses.publisher import Publisher, Waiver
from licenses.signature import fingerprint, signed
from licenses.waivers import Trust, Weighed, weighed

ADA, EVE = bytes(range(32)), bytes(range(1, 33))
DAY = date(2026, 11, 22)
EVIDENCE = b"From: licensing@example.org\n\nYes, you may host it for money.\n"
COMMIT, TEXT = "1f" * 20, "ab" * 32
FIELDS: dict[str, Any] = {
    "repo": "owner/base",
    "revision": COMMIT,
    "text_sha256": TEXT,
    "use": "host_paid_inference",
    "publisher": "Studio",
    "by": "Ada",
    "reason": "the author agreed by mail",
    "evidence": "mail.eml",
    "evidence_sha256": hashlib.sha256(EVIDENCE).hexdigest(),
    "signed": date(2026, 11, 1),
    "expires": date(2027, 10, 1),
}
STUDIO = Publisher(name="Studio")


def public_of(private: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def trusting(*privates: bytes, name: str = "Ada") -> Trust:
    keys = {fingerprint(public_of(private)): public_of(private) for private in privates}
    return Trust(keys=keys, names=dict.fromkeys(keys, name))


def made(private: bytes = ADA, **changes: Any) -> Waiver:
    """A signed waiver; a change to None leaves the field out."""
    fields = {key: value for key, value in (FIELDS | changes).items() if value is not None}
    return signed(Waiver.model_validate(fields), private)


def plain(waiver: Waiver) -> dict[str, Any]:
    return {key: value for key, value in waiver.model_dump().items() if value is not None}


def filed(folder: Path, waiver: Waiver | dict[str, Any] | str | bytes, evidence: bytes | None = EVIDENCE) -> Path:
    """waiver.yaml in a folder, with its evidence beside it."""
    content = plain(waiver) if isinstance(waiver, Waiver) else waiver
    raw = yaml.safe_dump(content) if isinstance(content, dict) else content
    (folder / "waiver.yaml").write_bytes(raw.encode() if isinstance(raw, str) else raw)
    if evidence is not None:
        (folder / "mail.eml").write_bytes(evidence)
    return folder / "waiver.yaml"


def judged(given: Path | Waiver, *, trust: Trust | None = None, publisher: Publisher = STUDIO, as_of: date = DAY) -> Weighed:
    """What one waiver comes to, by its file or inline; Ada is trusted unless something else is given."""
    listed = publisher.model_copy(update={"waivers": (str(given) if isinstance(given, Path) else given,)})
    (one,) = weighed(listed, trust=trust or trusting(ADA), as_of=as_of)
    return one
