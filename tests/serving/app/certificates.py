"""Publishers' certificates of every kind, good and bad, from an authority of the tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import (
    AuthorityKeyIdentifier,
    BasicConstraints,
    Certificate,
    CertificateBuilder,
    ExtendedKeyUsage,
    KeyUsage,
    Name,
    NameAttribute,
    SubjectKeyIdentifier,
    random_serial_number,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KINDS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
}
PUBLISHER = "Studio One"


class Authority:
    """Issues certificates for signing."""

    def __init__(self, *, ends: int = 3650) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = "Example Authority"
        self.certificate = _certificate(name, self.key, name, self.key, authority=True, begins=-3650, ends=ends)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(self, key: Any, *, begins: int = -1, ends: int = 30, usage: Any = ExtendedKeyUsageOID.EMAIL_PROTECTION) -> str:
        """The chain as PEM; `begins` and `ends` in days from now."""
        leaf = _certificate(PUBLISHER, key, "Example Authority", self.key, authority=False, begins=begins, ends=ends, usage=usage)
        return leaf.public_bytes(Encoding.PEM).decode() + self.pem


def pem_of(key: Any, *, password: bytes | None = None) -> str:
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    encoded: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)
    return encoded.decode()


def _certificate(
    subject: str,
    key: Any,
    issuer: str,
    signing: Any,
    *,
    authority: bool,
    begins: int = -1,
    ends: int = 30,
    usage: Any = ExtendedKeyUsageOID.EMAIL_PROTECTION,
) -> Certificate:
    now = datetime.now(UTC)
    may = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )
    builder = (
        CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(random_serial_number())
        .not_valid_before(now + timedelta(days=begins))
        .not_valid_after(now + timedelta(days=ends))
        .add_extension(BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **may), critical=True)
        .add_extension(SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    return builder.sign(signing, hashes.SHA256())


def _name(organisation: str) -> Name:
    return Name(
        [NameAttribute(NameOID.ORGANIZATION_NAME, organisation), NameAttribute(NameOID.COMMON_NAME, f"{organisation} signing")]
    )
