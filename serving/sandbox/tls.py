"""The sandbox's certificate authority: one that can vouch for no host that has a name."""

import ipaddress
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK = ipaddress.IPv4Address("127.0.0.1")
Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def prepare_tls(folder: Path) -> ssl.SSLContext:
    """Server context for 127.0.0.1, signed by the authority in `folder`, which is made on the first call.

    Beside it lies bundle.pem: certifi's roots plus ours, never ours alone, so that real hosts stay reachable.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _load_authority(folder) or _make_authority(folder)
    certificate, key = _issue_leaf(authority)
    _write(folder / "leaf.pem", _pem(certificate) + _key_pem(key))
    _write(folder / "bundle.pem", Path(certifi.where()).read_bytes() + b"\n" + _pem(authority[0]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / "leaf.pem")
    # Ours is the order of preference: only a client that offers h2 alone (gRPC) gets it.
    context.set_alpn_protocols(["http/1.1", "h2"])
    return context


def _load_authority(folder: Path) -> Pair | None:
    path = folder / "ca-key.pem"
    if not path.exists() or not (folder / "ca.pem").exists():
        return None
    try:
        certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except ValueError:  # damaged: nobody can trust it any more
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.not_valid_after_utc < datetime.now(UTC) + timedelta(days=30):
        return None
    return certificate, key


def _make_authority(folder: Path) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("lorasmith sandbox, for 127.0.0.1 only")
    # gRPC's TLS knows no constraints on addresses, so the rule is: no host that has a name.
    no_named_host = x509.NameConstraints(permitted_subtrees=None, excluded_subtrees=[x509.DNSName("")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key.public_key(), days=3650)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(no_named_host, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(folder / "ca-key.pem", _key_pem(key))
    _write(folder / "ca.pem", _pem(certificate))
    return certificate, key


def _issue_leaf(authority: Pair) -> Pair:
    certificate, authority_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = (
        _builder(_name("lorasmith sandbox"), certificate.subject, key.public_key(), days=90)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(LOOPBACK)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return leaf, key


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, *, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.touch(mode=0o600)
    temporary.write_bytes(content)
    os.replace(temporary, path)
