"""Accounts and keys: the sandbox knows only keys that it issued, and compares them in constant time."""

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .errors import NotAllowed, NotFound, SandboxError

OWNER = "sandbox-owner"
CALLER = "sandbox-caller"
# What a key of each preset may, after the words by which the SDK describes them; fal's own lists are not published.
RIGHTS: Mapping[str, frozenset[str]] = {
    "FULL": frozenset({"deploy", "call", "read", "billing", "keys", "runners"}),
    "API": frozenset({"call"}),
    "DEPLOY": frozenset({"deploy", "read"}),
    "READONLY": frozenset({"read"}),
    "BILLING": frozenset({"billing"}),
    "COMPUTE": frozenset({"read", "runners"}),
    "SERVERLESS": frozenset({"deploy", "call", "read", "runners"}),
    "AGENT": frozenset(),  # there are no agents here
}
SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, owner TEXT, digest BLOB, preset TEXT, description TEXT, created_at REAL)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Somebody who can deploy and call; `preset` is that of the key that was shown, and no part of who it is."""

    nickname: str
    preset: str = field(default="FULL", compare=False)

    @property
    def user_id(self) -> str:
        return f"sandbox|{self.nickname}"

    @property
    def caller_id(self) -> str:
        """What an app is told about its caller: stable, and not the name."""
        return hashlib.sha256(self.user_id.encode()).hexdigest()[:32]

    def may(self, right: str) -> bool:
        """Whether the key allows "deploy", "call", "read", "billing", "keys" or "runners"."""
        return right in RIGHTS[self.preset]

    def check(self, right: str) -> None:
        """NotAllowed, with the presets that would do, where the key does not allow it."""
        if not self.may(right):
            enough = ", ".join(preset for preset, rights in RIGHTS.items() if right in rights)
            raise NotAllowed(f"a key of preset {self.preset} lacks the right '{right}'; use one of: {enough}")


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedKey:
    """What can be told about a key without its secret."""

    id: str
    preset: str
    description: str
    created_at: float


class Keyring:
    """The two keys that the sandbox was born with, and those that their owners issued since, by their hashes."""

    def __init__(self, path: Path, db: sqlite3.Connection | None = None) -> None:
        self._db = db
        self._keys: dict[str, tuple[bytes, Account]] = {}
        self._born: dict[str, IssuedKey] = {}
        for nickname, key in read_keys(path).items():
            key_id, secret = key.split(":", 1)
            self._keys[key_id] = (_digest(secret), Account(nickname=nickname))
            self._born[key_id] = IssuedKey(id=key_id, preset="FULL", description="sandbox", created_at=path.stat().st_mtime)
        if db is not None:
            db.executescript(SCHEMA)
            for row in db.execute("SELECT id, digest, owner, preset FROM keys"):
                self._keys[row[0]] = (row[1], Account(nickname=row[2], preset=row[3]))

    def account_of(self, key_id: str, secret: str) -> Account | None:
        """The account behind a key, or None; takes as long for an unknown id as for a wrong secret."""
        digest, account = self._keys.get(key_id, (b"\0" * 32, None))
        return account if hmac.compare_digest(digest, _digest(secret)) else None

    def account_of_header(self, header: str) -> Account | None:
        """The account behind an `Authorization: Key id:secret` header."""
        scheme, _, token = header.strip().partition(" ")
        key_id, separator, secret = token.strip().partition(":")
        if scheme.lower() != "key" or not separator:
            return None
        return self.account_of(key_id, secret)

    def issue(self, owner: str, *, preset: str, description: str) -> tuple[str, str]:
        """Id and secret of a new key; the secret is not kept. It counts at once, everywhere, and until it is revoked."""
        assert self._db is not None
        if preset not in RIGHTS:
            raise NotAllowed(f"key preset '{preset}' is not one of {', '.join(RIGHTS)}")
        key_id, secret = f"sandbox-{secrets.token_hex(8)}", secrets.token_hex(24)
        row = (key_id, owner, _digest(secret), preset, description, time.time())
        self._db.execute("INSERT INTO keys VALUES (?,?,?,?,?,?)", row)
        self._keys[key_id] = (_digest(secret), Account(nickname=owner, preset=preset))
        return key_id, secret

    def issued(self, owner: str) -> list[IssuedKey]:
        """Keys of one account, oldest first."""
        assert self._db is not None
        born = [key for key_id, key in self._born.items() if self._keys[key_id][1].nickname == owner]
        columns = "id, preset, description, created_at"
        rows = self._db.execute(f"SELECT {columns} FROM keys WHERE owner = ? ORDER BY rowid", (owner,))
        return born + [IssuedKey(id=row[0], preset=row[1], description=row[2], created_at=row[3]) for row in rows]

    def revoke(self, owner: str, key_id: str) -> None:
        """From now on the key is as unknown as any other."""
        assert self._db is not None
        if key_id not in {key.id for key in self.issued(owner)}:
            raise NotFound(f"key '{key_id}' not found")
        if key_id in self._born:
            raise NotAllowed(f"key '{key_id}' belongs to the sandbox itself and ends with it; revoke one that was created")
        self._db.execute("DELETE FROM keys WHERE id = ?", (key_id,))
        del self._keys[key_id]


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
    try:
        keys: dict[str, str] = json.loads(path.read_text())
    except ValueError as error:
        raise SandboxError(f"{path} is damaged ({error}); remove it, and the next start issues new keys") from error
    return keys


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
