"""A server that the tests let downloads take for one on the internet: real TLS on loopback, names and addresses made up."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serving.app.requests.downloads import Internet

NAMES = ("pictures.example.com", "other.example.com", "xn--bcher-kva.example.com")
LOOPBACK = "127.0.0.1"
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class PublicServer:
    """What was asked of the server, and the internet in which it is the only one."""

    port: int
    names: dict[str, Sequence[str]]
    seconds: float
    heads: list[str] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)

    def url(self, path: str = "/", *, name: str = NAMES[0]) -> str:
        return f"https://{name}:{self.port}{path}"

    @property
    def internet(self) -> Internet:
        """Loopback is allowed, and nothing else is: what a test wants refused gets an address of its own."""
        return Internet(resolve=self._resolve, allows=LOOPBACK.__eq__, port=self.port, trust=_contexts()[1], seconds=self.seconds)

    async def _resolve(self, host: str) -> Sequence[str]:
        self.looked_up.append(host)
        if host not in self.names:
            raise OSError(f"no such host: {host}")
        return self.names[host]


@asynccontextmanager
async def public_server(
    answers: Mapping[str, bytes | Answer], *, names: Mapping[str, Sequence[str]] | None = None, seconds: float = 10
) -> AsyncIterator[PublicServer]:
    """Serve a body, or whatever an answer writes, for each path; each of NAMES is known and leads here."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            known.heads.append(head)
            answer = answers[head.split()[1]]
            await (answer(writer) if callable(answer) else body(answer)(writer))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the download had enough
        finally:
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, ssl=_contexts()[0])
    port = server.sockets[0].getsockname()[1]
    known = PublicServer(port=port, names=dict(names or {name: [LOOPBACK] for name in NAMES}), seconds=seconds)
    try:
        yield known
    finally:
        server.close()
        await server.wait_closed()


def body(data: bytes, *, status: str = "200 OK", headers: str = "") -> Answer:
    """A whole answer with its length."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(data)}\r\n{headers}\r\n".encode() + data)

    return answer


def redirect(location: str, *, status: str = "302 Found") -> Answer:
    return body(b"", status=status, headers=f"location: {location}\r\n")


@cache
def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's context, with a certificate for NAMES, and that of a client who trusts its authority."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("tests", authority_key, "tests", authority_key, x509.BasicConstraints(ca=True, path_length=0))
    names = x509.SubjectAlternativeName([*map(x509.DNSName, NAMES), x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
    leaf = _certificate(NAMES[0], key, "tests", authority_key, x509.BasicConstraints(ca=False, path_length=None), names)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ) + leaf.public_bytes(serialization.Encoding.PEM)
        (Path(folder) / "leaf.pem").write_bytes(pem)
        server.load_cert_chain(Path(folder) / "leaf.pem")
    client = ssl.create_default_context(cadata=authority.public_bytes(serialization.Encoding.PEM).decode())
    return server, client


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *extensions: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(issuer_key, hashes.SHA256())
