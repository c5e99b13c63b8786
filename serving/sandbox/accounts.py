"""Accounts and keys: the sandbox knows only keys that it issued, and compares them in constant time."""

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

OWNER = "sandbox-owner"
CALLER = "sandbox-caller"


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Somebody who can deploy and call."""

    nickname: str

    @property
    def user_id(self) -> str:
        return f"sandbox|{self.nickname}"

    @property
    def caller_id(self) -> str:
        """What an app is told about its caller: stable, and not the name."""
        return hashlib.sha256(self.user_id.encode()).hexdigest()[:32]


class Keyring:
    """The issued keys, held in one file that only this user can read."""

    def __init__(self, path: Path) -> None:
        self._keys: dict[str, tuple[bytes, str]] = {}
        for nickname, key in read_keys(path).items():
            key_id, secret = key.split(":", 1)
            self._keys[key_id] = (_digest(secret), nickname)

    def account_of(self, key_id: str, secret: str) -> Account | None:
        """The account behind a key, or None; takes as long for an unknown id as for a wrong secret."""
        digest, nickname = self._keys.get(key_id, (b"\0" * 32, ""))
        if not hmac.compare_digest(digest, _digest(secret)):
            return None
        return Account(nickname=nickname)

    def account_of_header(self, header: str) -> Account | None:
        """The account behind an `Authorization: Key id:secret` header."""
        scheme, _, token = header.strip().partition(" ")
        key_id, separator, secret = token.strip().partition(":")
        if scheme.lower() != "key" or not separator:
            return None
        return self.account_of(key_id, secret)


def ensure_keys(path: Path) -> dict[str, str]:
    """Nickname -> `id:secret` of the accounts, issued on the first call."""
    keys = read_keys(path)
    missing = [nickname for nickname in (OWNER, CALLER) if nickname not in keys]
    if missing:
        keys |= {nickname: f"sandbox-{secrets.token_hex(8)}:{secrets.token_hex(24)}" for nickname in missing}
        temporary = path.with_name(path.name + ".tmp")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(keys, indent=1))
        os.replace(temporary, path)
    return keys


def read_keys(path: Path) -> dict[str, str]:
    """Nickname -> `id:secret`; empty where none were issued yet."""
    if not path.exists():
        return {}
    keys: dict[str, str] = json.loads(path.read_text())
    return keys


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
