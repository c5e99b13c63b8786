"""Who vouches for a package: Ed25519 over its hash and name, in a file beside its folder. Nothing else is a signature here.

The hash binds every file of the package, so what is signed is small. The file lies beside the folder, since identity leaves out
signatures: a package signed again, or by somebody else, is the same package.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serving.release.errors import BadSignature, Unsigned
from serving.release.package import SCHEMA, Package, load_package

SIGNATURE_SCHEMA: Final = "lorasmith/package-signature/1"
# The same keys sign waivers: a signature of one thing must never read as one of another.
CONTEXT: Final = b"lorasmith/package/1\n"
_FIELD: Final = 2**255 - 19
_TORSION: Final = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
_WEAK: Final = {0, 1, _FIELD - 1, _TORSION, _FIELD - _TORSION}  # y of the points of order 1, 2, 4 and 8 (RFC 8032, section 5.1)
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_BYTES: Final = re.compile(r"[A-Za-z0-9+/]{86}==")
_LIMIT: Final = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Signers:
    """Whose signatures count: 32-byte public keys by fingerprint, and what each is called in a message."""

    keys: Mapping[str, bytes]
    names: Mapping[str, str]


def sign(package: Package, private: bytes) -> str:
    """Write the signature of a private key (32 bytes) beside the package, in place of any other; the key's fingerprint."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(private)
    whose = fingerprint(key.public_key().public_bytes_raw())
    written = base64.b64encode(key.sign(statement(package))).decode()
    path = signature_file(package.folder)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps({"schema": SIGNATURE_SCHEMA, "key": whose, "signature": written}, indent=1) + "\n")
    os.replace(partial, path)
    return whose


def verified(folder: Path, signers: Signers) -> tuple[Package, str]:
    """The package, every file as it was packed and signed, and the signer's fingerprint.

    Raises Tampered (a file), Unsigned (no signature, or one of a key that does not count) and BadSignature (of another package).
    """
    package = load_package(folder)
    return package, verify(package, signers)


def verify(package: Package, signers: Signers) -> str:
    """Fingerprint of the counted key that signed exactly this package; Unsigned or BadSignature where none did."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    whose, raw = _read(package)
    public = signers.keys.get(whose)
    if public is None or fingerprint(public) != whose or _is_weak(public):
        raise Unsigned(
            f"package {package.name} is signed by key {whose}, which is not trusted here; compare this fingerprint with the one "
            "of who made the package and pin the key with `lorasmith keys trust`, or build the package here"
        )
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(raw, statement(package))
    except (InvalidSignature, ValueError):
        raise BadSignature(
            f"package {package.name}: {signature_file(package.folder)} is not what {signers.names.get(whose, whose)} signs "
            f"for package {package.hash[:12]}: it was changed after signing, or the signature is another package's; "
            f"remove {package.folder.parent} and build it anew"
        ) from None
    return whose


def statement(package: Package) -> bytes:
    """The bytes that are signed: what it is, whose name it deploys under, and the hash of all its files."""
    said = {"app": package.name, "hash": package.hash, "schema": SCHEMA}
    return CONTEXT + json.dumps(said, sort_keys=True, separators=(",", ":")).encode("ascii")


def signature_file(folder: Path) -> Path:
    """Beside the package, not in it."""
    return folder.with_name(f"{folder.name}.signature.json")


def fingerprint(public: bytes) -> str:
    """sha256 of the 32 bytes of a public key."""
    return hashlib.sha256(public).hexdigest()


def _read(package: Package) -> tuple[str, bytes]:
    """The fingerprint that a signature claims and its 64 bytes; one signature has one spelling."""
    path = signature_file(package.folder)
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(_LIMIT))
    except FileNotFoundError:
        raise Unsigned(
            f"package {package.name} is not signed ({path} is missing); `lorasmith package JOB` signs it where it was made"
        ) from None
    except (OSError, ValueError) as error:
        raise _unreadable(package, str(error)) from None
    found = _fields(said)
    if found is None:
        raise _unreadable(package, "it has not the one form that is known")
    return found


def _fields(said: Any) -> tuple[str, bytes] | None:
    if not isinstance(said, dict) or set(said) != {"schema", "key", "signature"} or said["schema"] != SIGNATURE_SCHEMA:
        return None
    key, written = str(said["key"]), str(said["signature"])
    if not _KEY.fullmatch(key) or not _BYTES.fullmatch(written):
        return None
    raw = base64.b64decode(written, validate=True)
    return (key, raw) if base64.b64encode(raw).decode() == written else None


def _unreadable(package: Package, why: str) -> BadSignature:
    return BadSignature(
        f"package {package.name}: {signature_file(package.folder)} can not be read as a signature ({why}); "
        f"remove {package.folder.parent} and build it anew"
    )


def _is_weak(public: bytes) -> bool:
    """A point of small order: anybody could sign for such a key without a private one."""
    return (int.from_bytes(public, "little") & (2**255 - 1)) % _FIELD in _WEAK
