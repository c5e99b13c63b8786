"""The publisher's own key for signing pictures, and the request with which an authority makes a certificate for it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.errors import BadKey
from flows.keys import FOLDER, keep_private, kept_private

KEY, REQUEST = "c2pa-key.pem", "c2pa-request.pem"
LONGEST = 64  # characters of a name in a certificate


@dataclass(frozen=True, kw_only=True, slots=True)
class Requested:
    """Where key and request are, and whether the key is new."""

    key: Path
    request: Path
    new: bool


def request_certificate(home: Path, name: str, country: str | None = None) -> Requested:
    """A P-256 key, where there is none yet, and a certificate signing request for it in the publisher's name.

    country: two letters (ISO 3166). BadKey where the key that is there can not be used, or a name does not fit.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.x509 import CertificateSigningRequestBuilder

    subject = _subject(name, country)
    pem = kept_private(home, KEY)
    if new := pem is None:
        pem = _generated()
        keep_private(home, KEY, pem)
    request = CertificateSigningRequestBuilder().subject_name(subject).sign(_read(home / FOLDER / KEY, pem), hashes.SHA256())
    part = home / FOLDER / f".{REQUEST}.part"
    part.write_bytes(request.public_bytes(form.Encoding.PEM))
    os.replace(part, home / FOLDER / REQUEST)
    return Requested(key=home / FOLDER / KEY, request=home / FOLDER / REQUEST, new=new)


def _subject(name: str, country: str | None) -> Any:
    from cryptography.x509 import Name, NameAttribute
    from cryptography.x509.oid import NameOID

    if not 1 <= len(name.strip()) <= LONGEST or not name.isprintable():
        raise BadKey(f"the publisher's name needs 1 to {LONGEST} printable characters, got {name[:80]!r}; give it with --name")
    if country is not None and not (len(country) == 2 and country.isascii() and country.isalpha()):
        raise BadKey(f"a country is two letters such as DE, got {country[:80]!r}; give them with --country")
    where = [NameAttribute(NameOID.COUNTRY_NAME, country.upper())] if country else []
    return Name([*where, NameAttribute(NameOID.ORGANIZATION_NAME, name.strip()), NameAttribute(NameOID.COMMON_NAME, name.strip())])


def _generated() -> bytes:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())


def _read(path: Path, pem: bytes) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey(f"{path} is no plain PEM of a private key; move it away, and a new one is made") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadKey(f"{path} holds another kind of key than `lorasmith keys c2pa` makes; move it away, and a new one is made")
    return key
