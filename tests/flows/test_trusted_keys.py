"""Whose signatures count: nobody's until somebody pins a key, in a list that is read strictly and named by no job."""

from datetime import date
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ed25519

from flows import keys
from flows.errors import BadKey
from licenses.signature import fingerprint
from tests.licenses.signing import ADA, EVE, public_of

DAY = date(2026, 11, 22)
ADAS = keys.written(public_of(ADA))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home"
    place.mkdir(mode=0o700)
    return place


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("rights", [0o620, 0o602, 0o666])
def test_a_list_of_trusted_keys_that_others_can_write_is_refused(home: Path, rights: int) -> None:
    keys.pin(home, public_of(ADA), "Ada", DAY)
    (home / "keys" / "trusted.yaml").chmod(rights)
    with pytest.raises(BadKey, match="open to other users") as refused:
        keys.trust(home)
    assert "\n" not in str(refused.value)


def pem(key: object, password: bytes | None = None) -> bytes:
    cipher = form.BestAvailableEncryption(password) if password else form.NoEncryption()
    made: bytes = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, cipher)  # type: ignore[attr-defined]
    return made


def test_an_own_key_is_not_trusted_by_itself(home: Path) -> None:
    keys.make_key(home)
    assert keys.trust(home).keys == {}


def test_a_pinned_key_is_trusted_until_it_is_not(home: Path) -> None:
    row = keys.pin(home, public_of(ADA), "Ada", DAY)
    assert keys.pin(home, public_of(ADA), "Ada", date(2027, 1, 1)) == row
    keys.pin(home, public_of(EVE), "Eve", DAY)
    trust = keys.trust(home)
    assert trust.keys == {fingerprint(public): public for public in (public_of(ADA), public_of(EVE))}
    assert trust.names[row.fingerprint] == "Ada"
    assert mode(home / "keys" / "trusted.yaml") == 0o600
    keys.unpin(home, row.fingerprint)
    assert [one.name for one in keys.approvers(home)] == ["Eve"]
    keys.unpin(home, "Eve")
    assert keys.trust(home).keys == {}


def test_a_pinned_key_does_not_change_its_name_by_being_pinned_again(home: Path) -> None:
    keys.pin(home, public_of(ADA), "Ada", DAY)
    with pytest.raises(BadKey, match="trusted as 'Ada'"):
        keys.pin(home, public_of(ADA), "Mallory", DAY)


def test_distrust_names_one_key(home: Path) -> None:
    keys.pin(home, public_of(ADA), "Ada", DAY)
    keys.pin(home, public_of(EVE), "Ada", DAY)
    for who in ("Ada", "Bob", "", fingerprint(public_of(ADA))[:16]):
        with pytest.raises(BadKey, match="trusted keys"):
            keys.unpin(home, who)
    assert len(keys.approvers(home)) == 2


@pytest.mark.parametrize("name", ["", " Ada", "Ada ", "   ", "A" * 201])
def test_an_approver_has_a_plain_name(home: Path, name: str) -> None:
    with pytest.raises(BadKey, match="name"):
        keys.pin(home, public_of(ADA), name, DAY)


def row(**changes: str) -> dict[str, str]:
    return {"name": "Ada", "fingerprint": fingerprint(public_of(ADA)), "public": ADAS, "since": "2026-11-22"} | changes


@pytest.mark.parametrize(
    "content",
    [
        {"approvers": [row(public=keys.written(public_of(EVE)))]},
        {"approvers": [row(fingerprint=fingerprint(public_of(EVE)))]},
        {"approvers": [row(), row(name="Eve")]},
        {"approvers": [row(public=f"{ADAS} ")]},
        {"approvers": [row(public="ed25519:AAAA")]},
        {"approvers": [row(public=keys.written(bytes(32)), fingerprint=fingerprint(bytes(32)))]},
        {"approvers": [row(trusts="everybody")]},
        {"approvers": [{"name": "Ada"}]},
        {"approvers": ["Ada"]},
        {"approvers": row()},
        {"approvers": [], "include": "/tmp/more.yaml"},
        {},
        [],
        "approvers: []\napprovers: []\n",
        "approvers: &a [*a]\n",
        "\ud800".encode("utf-8", "surrogatepass"),
        "approvers:\n" + " - {}\n" * 20_000,
    ],
)
def test_a_list_of_trusted_keys_that_does_not_hold_trusts_nobody(home: Path, content: object) -> None:
    (home / "keys").mkdir(mode=0o700)
    raw = content if isinstance(content, bytes) else str(content) if isinstance(content, str) else yaml.safe_dump(content)
    (home / "keys" / "trusted.yaml").write_bytes(raw.encode() if isinstance(raw, str) else raw)
    with pytest.raises(BadKey, match=r"trusted\.yaml") as refused:
        keys.trust(home)
    assert "\n" not in str(refused.value)


def test_a_public_key_is_read_as_a_word_or_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "ada.pub").write_text(f"fingerprint: {fingerprint(public_of(ADA))}\npublic: {ADAS}\n")
    assert keys.public_in(ADAS) == keys.public_in(str(tmp_path / "ada.pub")) == public_of(ADA)


@pytest.mark.parametrize(
    "content",
    [
        "",
        f"{ADAS}\n{keys.written(public_of(EVE))}\n",
        pem(ed25519.Ed25519PrivateKey.from_private_bytes(ADA)).decode() + ADAS,
        ADAS[:-3],
        ADAS[:-2] + chr(ord(ADAS[-2]) + 1) + "=",
        f"{ADAS}AAAA",
    ],
)
def test_a_file_without_exactly_one_public_key_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "ada.pub").write_text(content)
    with pytest.raises(BadKey):
        keys.public_in(str(tmp_path / "ada.pub"))


@pytest.mark.parametrize("given", ["nowhere.pub", "", ".", "x\0y", "ed25519:", "a" * 5000])
def test_what_is_neither_a_key_nor_a_file_is_refused_in_one_line(given: str) -> None:
    with pytest.raises(BadKey) as refused:
        keys.public_in(given)
    assert "\n" not in str(refused.value)
