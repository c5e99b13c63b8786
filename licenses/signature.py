"""Who signed a waiver: Ed25519 over one canonical form of its fields. Nothing else is a signature here."""

import base64
import hashlib
import json
import re
from pathlib import PurePosixPath

from licenses.publisher import Waiver

CONTEXT = b"lorasmith/waiver/1\n"  # the same keys sign packages: a signature of one thing must never read as one of another
FIELD = 2**255 - 19
TORSION = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
WEAK = {0, 1, FIELD - 1, TORSION, FIELD - TORSION}  # y of the points of order 1, 2, 4 and 8 (RFC 8032, section 5.1)
FORM = re.compile(r"ed25519:([0-9a-f]{64}):([A-Za-z0-9+/]{86}==)")


def fingerprint(public: bytes) -> str:
    """sha256 of the 32 bytes of a public key."""
    return hashlib.sha256(public).hexdigest()


def is_weak(public: bytes) -> bool:
    """A point of small order: anybody could sign for such a key without a private one."""
    return (int.from_bytes(public, "little") & (2**255 - 1)) % FIELD in WEAK


def statement(waiver: Waiver) -> bytes:
    """The bytes that are signed: every field that is set but the signature, as ASCII JSON with sorted keys.

    Of `evidence` the name of the file: folders differ between computers, and its content is bound by evidence_sha256.
    """
    fields = waiver.model_dump(mode="json", exclude={"signature"}, exclude_none=True)
    fields["evidence"] = PurePosixPath(waiver.evidence).name
    return CONTEXT + json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")


def signed(waiver: Waiver, private: bytes) -> Waiver:
    """The waiver with the signature of a private key (its 32 bytes)."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(private)
    written = base64.b64encode(key.sign(statement(waiver))).decode()
    return waiver.model_copy(update={"signature": f"ed25519:{fingerprint(key.public_key().public_bytes_raw())}:{written}"})


def signer(waiver: Waiver) -> str | None:
    """Fingerprint of the key that a signature claims; None where it has not the one form that is known."""
    found = FORM.fullmatch(waiver.signature or "")
    return found[1] if found else None


def is_genuine(waiver: Waiver, public: bytes) -> bool:
    """The signature was made with the private half of this key over exactly these fields."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    found = FORM.fullmatch(waiver.signature or "")
    if found is None or found[1] != fingerprint(public) or is_weak(public):
        return False
    raw = base64.b64decode(found[2], validate=True)
    if base64.b64encode(raw).decode() != found[2]:  # one signature has one spelling
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(raw, statement(waiver))
    except (InvalidSignature, ValueError):
        return False
    return True
