"""The Ed25519 keys in LORASMITH_HOME/keys: the own one, and trusted.yaml with those that count. No job names this place."""

import base64
import os
import re
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flows.errors import BadKey
from flows.store import locked

if TYPE_CHECKING:
    from licenses.waivers import Trust

FOLDER, PRIVATE, TRUSTED = "keys", "private.pem", "trusted.yaml"
PUBLIC = re.compile(r"ed25519:([A-Za-z0-9+/]{43}=)(?![A-Za-z0-9+/=])")
LIMIT = 64 << 10
OTHERS_WRITE, OTHERS_TOUCH = 0o022, 0o077
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")]


class Approver(BaseModel):
    """One row of trusted.yaml: whose key it is, and since when it counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    fingerprint: str
    public: str
    since: date


def make_key(home: Path) -> bytes:
    """A new key pair in a folder of its owner alone; the public half. BadKey where there is one: no key is ever overwritten."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    keep_private(home, PRIVATE, key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
    return key.public_key().public_bytes_raw()


def keep_private(home: Path, name: str, pem: bytes) -> None:
    """A private key as a new file of its owner alone in LORASMITH_HOME/keys; BadKey where there is one."""
    (home / FOLDER).mkdir(mode=0o700, exist_ok=True)
    place = _guarded_folder(home, OTHERS_TOUCH)
    path, part = place / name, place / f".{name}.part"
    with locked(place / ".lock"):
        part.unlink(missing_ok=True)  # of a run that was killed
        if os.path.lexists(path):
            raise BadKey(f"{path} is there and no key is overwritten; keep it, or move it away yourself")
        _write(part, pem)
        os.link(part, path)  # unlike a rename it never replaces
        part.unlink()


def kept_private(home: Path, name: str) -> bytes | None:
    """The PEM of a private key in LORASMITH_HOME/keys that its owner alone can read; None where there is none."""
    if not os.path.lexists(home / FOLDER / name):
        return None
    return _guarded_bytes(_guarded_folder(home, OTHERS_TOUCH) / name, OTHERS_TOUCH, "chmod 600")


def own_key(home: Path) -> Path:
    """Where the private key of this home lies; BadKey where its folder is open to others."""
    return _guarded_folder(home, OTHERS_WRITE) / PRIVATE


def private_key(path: Path) -> bytes:
    """The 32 bytes of a private key that its owner alone can read; BadKey says what is wrong with it."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if not os.path.lexists(path):
        raise BadKey(f"{path}: no such key; `lorasmith keys init` makes one")
    try:
        key = load_pem_private_key(_guarded_bytes(path, OTHERS_TOUCH, "chmod 600"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if isinstance(error, BadKey):
            raise
        raise BadKey(f"{path} is no plain PEM of a private key; give the one that `lorasmith keys init` made") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey(f"{path} holds another kind of key; give an Ed25519 one, such as `lorasmith keys init` makes")
    return key.private_bytes_raw()


def public_half(private: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def written(public: bytes) -> str:
    """A public key as one word: ed25519:BASE64."""
    return f"ed25519:{base64.b64encode(public).decode()}"


def public_in(given: str) -> bytes:
    """The public key in ed25519:BASE64, or in a file that holds exactly one."""
    text = given
    if not PUBLIC.fullmatch(given):
        try:
            text = Path(given).read_bytes()[:LIMIT].decode("ascii", "replace")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not a path"
            raise BadKey(
                f"{given[:80]!r} is neither ed25519:BASE64 nor a file ({why}); give what `lorasmith keys show` prints"
            ) from None
    if "PRIVATE KEY" in text:
        raise BadKey(
            f"{given[:80]} holds a PRIVATE key; it must not leave its owner: ask for what `lorasmith keys show` prints there"
        )
    found = set(PUBLIC.findall(text))
    if len(found) != 1:
        raise BadKey(f"{given[:80]} holds {len(found)} public keys; give one, as `lorasmith keys show` prints it")
    return _decoded(found.pop())


def pin(home: Path, public: bytes, name: str, since: date) -> Approver:
    """Trust a key as the one of an approver from now on; the row that is there already where it is the same."""
    from licenses.signature import fingerprint

    (home / FOLDER).mkdir(mode=0o700, exist_ok=True)
    place = _guarded_folder(home, OTHERS_WRITE)
    with locked(place / ".lock"):
        rows = approvers(home)
        row = _row({"name": name, "fingerprint": fingerprint(public), "public": written(public), "since": since})
        before = next((one for one in rows if one.fingerprint == row.fingerprint), None)
        if before is None:
            _keep(place, (*rows, row))
        elif before.name != name:
            raise BadKey(f"this key is trusted as {before.name!r} since {before.since}; `lorasmith keys distrust` it first")
    return before or row


def unpin(home: Path, who: str) -> Approver:
    """Trust a key no longer, named by its fingerprint or by its approver where that has one only."""
    place = _guarded_folder(home, OTHERS_WRITE)
    with locked(place / ".lock"):
        rows = approvers(home)
        found = [row for row in rows if who in (row.fingerprint, row.name)]
        if len(found) != 1:
            raise BadKey(f"{who[:80]!r} names {len(found)} trusted keys; give one fingerprint of `lorasmith keys trusted`")
        _keep(place, [row for row in rows if row != found[0]])
    return found[0]


def approvers(home: Path) -> tuple[Approver, ...]:
    """The rows of trusted.yaml; none where there is no such file, BadKey where others could have written it."""
    from licenses.card import read_mapping
    from licenses.errors import SourceFailure

    if not os.path.lexists(home / FOLDER):
        return ()
    path = _guarded_folder(home, OTHERS_WRITE) / TRUSTED
    if not os.path.lexists(path):
        return ()
    try:
        fields = read_mapping(_guarded_bytes(path, OTHERS_WRITE, "chmod go-w").decode("utf-8"), TRUSTED)
    except (SourceFailure, UnicodeDecodeError) as error:
        raise BadKey(f"{path}: {error}; mend it, or remove it and pin the keys again with `lorasmith keys trust`") from None
    rows = fields.get("approvers")
    if set(fields) != {"approvers"} or not isinstance(rows, list):
        raise BadKey(f"{path} has to hold a list of approvers and nothing else; remove it and pin the keys again")
    read = tuple(_row(one) for one in rows)
    if len({row.fingerprint for row in read}) != len(read):
        raise BadKey(f"{path} names a key twice; keep one row for each key")
    return read


def trust(home: Path) -> "Trust":
    """Whose signatures count here: the pinned keys, and never the own one by itself."""
    from licenses.waivers import Trust

    rows = approvers(home)
    return Trust(
        keys={row.fingerprint: _decoded(row.public.partition(":")[2]) for row in rows},
        names={row.fingerprint: row.name for row in rows},
    )


def _row(fields: object) -> Approver:
    from licenses.signature import fingerprint, is_weak

    try:
        row = Approver.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadKey(f"{TRUSTED}: {'.'.join(map(str, first['loc'])) or 'a row'}: {first['msg']}; mend it") from None
    found = PUBLIC.fullmatch(row.public)
    public = _decoded(found[1]) if found else b""
    if fingerprint(public) != row.fingerprint or is_weak(public):
        raise BadKey(f"{TRUSTED}: the public key of {row.name!r} is not the one of its fingerprint, or is none; pin it again")
    return row


def _decoded(text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise BadKey("the public key is not spelled as `lorasmith keys show` prints it; copy it again")
    return raw


def _keep(place: Path, rows: Sequence[Approver]) -> None:
    import yaml

    said = {"approvers": [row.model_dump() for row in rows]}
    part = place / f".{TRUSTED}.part"
    part.unlink(missing_ok=True)
    _write(part, yaml.safe_dump(said, sort_keys=False).encode())
    os.replace(part, place / TRUSTED)


def _write(path: Path, content: bytes) -> None:
    """A new file of its owner alone, on the disk when this returns."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(handle)


def _guarded_folder(home: Path, loose: int) -> Path:
    """LORASMITH_HOME/keys, a folder and no link, of this user, without the rights in `loose`."""
    place = home / FOLDER
    with suppress(FileNotFoundError):
        _refuse_loose(place, place.lstat(), stat.S_ISDIR, loose, "chmod 700")
        return place
    raise BadKey(f"{place}: no such folder; `lorasmith keys init` makes it")


def _guarded_bytes(path: Path, loose: int, mend: str) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BadKey(f"{path} can not be read ({error.strerror}); it has to be a plain file and no link") from None
    try:
        _refuse_loose(path, os.fstat(handle), stat.S_ISREG, loose, mend)
        with open(handle, "rb", closefd=False) as file:
            raw = file.read(LIMIT + 1)
    finally:
        os.close(handle)
    if len(raw) > LIMIT:
        raise BadKey(f"{path} is larger than {LIMIT} bytes; it is not what lorasmith wrote there")
    return raw


def _refuse_loose(path: Path, found: os.stat_result, is_kind: Callable[[int], bool], loose: int, mend: str) -> None:
    if not is_kind(found.st_mode):
        raise BadKey(
            f"{path} is a link, or not what it should be; put a plain {'folder' if is_kind is stat.S_ISDIR else 'file'} there"
        )
    if found.st_uid not in (os.geteuid(), 0):
        raise BadKey(f"{path} belongs to user {found.st_uid}; keys have to belong to the one who runs this: chown it")
    if found.st_mode & loose:
        raise BadKey(f"{path} is open to other users (mode {stat.S_IMODE(found.st_mode):04o}); {mend} {path}")
