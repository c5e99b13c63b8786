"""The certificate that signs the metadata: the publisher's from the environment, or one that is made for development."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, Name

CERTIFICATE_VARIABLE, KEY_VARIABLE = "LORASMITH_C2PA_CERTIFICATE", "LORASMITH_C2PA_KEY"
DEVELOPMENT = "lorasmith development certificate"  # its common name: how verifiers tell it from others

_DEVELOPMENT_LASTS = timedelta(days=3650)  # a signature without a timestamp is good for as long as its certificate
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_SMALLEST_RSA = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """What signs: C2PA's name of the algorithm, the chain as PEM with the signer's certificate first, and its key as PEM."""

    algorithm: str
    chain: bytes
    key: bytes
    signer: str
    ends: datetime
    development: bool

    def __repr__(self) -> str:
        return f"Credential(signer={self.signer!r}, algorithm={self.algorithm!r}, development={self.development})"  # never the key


def publishers(environ: Mapping[str, str]) -> Credential:
    """The publisher's certificate and key. SettingsError says in a line what is missing or does not fit."""
    chain = _chain(_variable(environ, CERTIFICATE_VARIABLE))
    key = _key(_variable(environ, KEY_VARIABLE))
    moment, begins, ends = datetime.now(UTC), max(one.not_valid_before_utc for one in chain), _end(chain)
    if moment < begins:
        raise SettingsError(f"{CERTIFICATE_VARIABLE} is valid only from {begins:%Y-%m-%d %H:%M} UTC: wait for it")
    if moment > ends:
        raise SettingsError(f"{CERTIFICATE_VARIABLE} expired at {ends:%Y-%m-%d %H:%M} UTC: renew it")
    if _public(key.public_key()) != _public(chain[0].public_key()):
        raise SettingsError(
            f"{KEY_VARIABLE} is not the key of the first certificate in {CERTIFICATE_VARIABLE}: give the pair, the signer's first"
        )
    return _credential(chain, key, development=False)


def for_development(publisher: str | None) -> Credential:
    """A certificate of an authority of its own, both made here; the keys are nowhere but in memory."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509 import AuthorityKeyIdentifier, ExtendedKeyUsage, SubjectKeyIdentifier
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate(
        _name("lorasmith development authority", publisher),
        _name("lorasmith development authority", publisher),
        authority_key,
        authority_key,
        [SubjectKeyIdentifier.from_public_key(authority_key.public_key())],
        authority=True,
    )
    leaf = _certificate(
        _name(DEVELOPMENT, publisher),
        authority.subject,
        key,
        authority_key,
        [
            ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]),  # one of those that C2PA takes for signing
            AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
        ],
        authority=False,
    )
    return _credential([leaf, authority], key, development=True)


def algorithm_of(key: Any) -> str:
    """C2PA's name of the algorithm for this kind of key. SettingsError where C2PA has none."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _SMALLEST_RSA:
        return "ps256"
    raise SettingsError(f"{KEY_VARIABLE} holds a kind of key that C2PA does not sign with: use P-256, Ed25519 or RSA of 2048 bits")


def _variable(environ: Mapping[str, str], name: str) -> bytes:
    """PEM, whose line ends may be spelled as a backslash and n."""
    value = environ.get(name, "").replace("\\n", "\n").strip()
    if not value:
        raise SettingsError(
            f"{name} is not set, and settings.json has marking.certificate 'secret': set the secret, or use 'development'"
        )
    return value.encode()


def _chain(pem: bytes) -> "list[Certificate]":
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(pem)
    except ValueError:
        raise SettingsError(f"{CERTIFICATE_VARIABLE} is no PEM of certificates: give the chain as the authority sent it") from None


def _key(pem: bytes) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SettingsError(f"{KEY_VARIABLE} is no plain PEM of a private key: give it without a password") from None


def _credential(chain: "list[Certificate]", key: Any, *, development: bool) -> Credential:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Credential(
        algorithm=algorithm_of(key),
        chain=b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        signer=_signer(chain[0]),
        ends=_end(chain),
        development=development,
    )


def _end(chain: "list[Certificate]") -> datetime:
    """When the first of them expires, and with it all signatures."""
    return min(certificate.not_valid_after_utc for certificate in chain)


def _signer(leaf: "Certificate") -> str:
    """Organisation or common name, in one line."""
    from cryptography.x509.oid import NameOID

    for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        if found := leaf.subject.get_attributes_for_oid(kind):
            return re.sub(r"\s+", " ", str(found[0].value))
    return "an unnamed signer"


def _public(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _name(common: str, organisation: str | None) -> "Name":
    from cryptography.x509 import Name, NameAttribute
    from cryptography.x509.oid import NameOID

    who = [NameAttribute(NameOID.ORGANIZATION_NAME, organisation[:64])] if organisation else []
    return Name([*who, NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: "Name", issuer: "Name", key: Any, signing: Any, extensions: list[Any], *, authority: bool
) -> "Certificate":
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import BasicConstraints, CertificateBuilder, ExtendedKeyUsage, KeyUsage, random_serial_number

    now = datetime.now(UTC)
    usage = KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _DEVELOPMENT_LASTS)
        .add_extension(BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(usage, critical=True)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, ExtendedKeyUsage))
    return builder.sign(signing, SHA256())
