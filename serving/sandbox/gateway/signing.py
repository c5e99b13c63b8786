"""How a receiver knows that a webhook comes from here: Ed25519, with the public key where fal publishes its own."""

import base64
import hashlib
import os
import time
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Signer:
    """One key, made on the first use, in a file that only this user can read."""

    def __init__(self, path: Path) -> None:
        self._key = _load(path) if path.exists() else _make(path)
        self._public = self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The JSON Web Key Set of /.well-known/jwks.json."""
        name = hashlib.sha256(self._public).hexdigest()[:16]
        x = base64.urlsafe_b64encode(self._public).decode().rstrip("=")
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": name, "x": x}]}

    def headers(self, *, request_id: str, user_id: str, body: bytes) -> dict[str, str]:
        """The four headers of a delivery; the signature covers request, user, Unix second and the body's SHA-256, line by line."""
        timestamp = str(int(time.time()))
        message = "\n".join((request_id, user_id, timestamp, hashlib.sha256(body).hexdigest()))
        return {
            "x-fal-webhook-request-id": request_id,
            "x-fal-webhook-user-id": user_id,
            "x-fal-webhook-timestamp": timestamp,
            "x-fal-webhook-signature": self._key.sign(message.encode()).hex(),
        }


def _load(path: Path) -> Ed25519PrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def _make(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    temporary = path.with_name(path.name + ".tmp")
    temporary.touch(mode=0o600)
    temporary.write_bytes(text)
    os.replace(temporary, path)
    return key
