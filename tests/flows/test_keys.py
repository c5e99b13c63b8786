"""Keys: made once, for their owner alone, and refused where anybody else could have touched them."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

from flows import keys
from flows.errors import BadKey
from tests.licenses.signing import ADA, EVE, public_of

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2026, 11, 22)
ADAS = keys.written(public_of(ADA))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home"
    place.mkdir(mode=0o700)
    return place


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_key_is_made_for_its_owner_alone_whatever_the_umask(home: Path) -> None:
    before = os.umask(0)
    try:
        public = keys.make_key(home)
    finally:
        os.umask(before)
    assert mode(home / "keys") == 0o700
    assert mode(keys.own_key(home)) == 0o600
    assert keys.public_half(keys.private_key(keys.own_key(home))) == public
    assert [path.name for path in (home / "keys").iterdir() if path.name != ".lock"] == ["private.pem"]


def test_a_key_that_is_there_is_never_overwritten(home: Path) -> None:
    keys.make_key(home)
    kept = keys.own_key(home).read_bytes()
    with pytest.raises(BadKey, match="no key is overwritten"):
        keys.make_key(home)
    assert keys.own_key(home).read_bytes() == kept


@pytest.mark.parametrize("there", ["file", "dangling link", "folder"])
def test_whatever_stands_in_its_place_stays(home: Path, there: str) -> None:
    (home / "keys").mkdir(mode=0o700)
    place = home / "keys" / "private.pem"
    if there == "file":
        place.touch()
    elif there == "folder":
        place.mkdir()
    else:
        place.symlink_to("nowhere")
    with pytest.raises(BadKey, match="no key is overwritten"):
        keys.make_key(home)
    assert not (home / "keys" / "nowhere").exists()


def test_a_key_that_somebody_puts_there_at_the_same_moment_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.make_key(home)
    kept = (home / "keys" / "private.pem").read_bytes()
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    with pytest.raises(FileExistsError):
        keys.make_key(home)
    assert (home / "keys" / "private.pem").read_bytes() == kept


KILLED = """
import os, sys
from datetime import date
from pathlib import Path
from flows import keys
from flows.errors import BadKey
root, what, done = Path(sys.argv[1]), sys.argv[2], 0
public = bytes.fromhex(sys.argv[3])
keys.make_key(Path(sys.argv[1]))  # what is imported late is imported now
act = {"init": keys.make_key, "trust": lambda home: keys.pin(home, public, "Ada", date(2026, 11, 22))}[what]
while not done:
    number = len(list(root.glob("home-*")))
    home = root / f"home-{number}"
    home.mkdir()
    child = os.fork()
    if not child:
        left = [number]
        def count(event, arguments):
            left[0] -= event.startswith(("os.", "open", "fcntl."))
            if left[0] < 0:
                os._exit(9)
        sys.addaudithook(count)
        act(home)
        os._exit(0)
    done = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    if what == "init":
        if os.path.lexists(home / "keys" / "private.pem"):
            keys.private_key(keys.own_key(home))
        else:
            keys.make_key(home)
    else:
        assert keys.approvers(home) in ((), (act(home),))
        assert [row.name for row in keys.approvers(home)] == ["Ada"]
    left = {path.name for path in (home / "keys").iterdir()} - {".lock"}
    assert left <= {"private.pem", ".private.pem.part", "trusted.yaml"}, left
    assert (home / "keys").stat().st_mode & 0o777 == 0o700
print(number)
"""


@pytest.mark.parametrize("what", ["init", "trust"])
def test_killed_at_any_call_it_leaves_nothing_half(tmp_path: Path, what: str) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), what, public_of(ADA).hex()]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) >= 5


def test_what_a_killed_run_left_is_cleared(home: Path) -> None:
    (home / "keys").mkdir(mode=0o700)
    (home / "keys" / ".private.pem.part").write_bytes(b"-----BEGIN PRIV")
    keys.make_key(home)
    assert keys.private_key(keys.own_key(home))
    assert not (home / "keys" / ".private.pem.part").exists()


def test_of_many_at_once_one_makes_the_key(home: Path) -> None:
    code = "import sys; from pathlib import Path; from flows import keys; print(keys.make_key(Path(sys.argv[1])).hex())"
    command = [sys.executable, "-c", code, str(home)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) for _ in range(4)]
    made = [out.strip() for one in running if (out := one.communicate(timeout=60)[0])]
    assert made == [keys.public_half(keys.private_key(keys.own_key(home))).hex()]


@pytest.mark.parametrize("rights", [0o640, 0o604, 0o660, 0o644, 0o620, 0o602])
def test_a_private_key_that_others_can_touch_is_refused(home: Path, rights: int) -> None:
    keys.make_key(home)
    keys.own_key(home).chmod(rights)
    with pytest.raises(BadKey, match="open to other users") as refused:
        keys.private_key(keys.own_key(home))
    assert "chmod 600" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("rights", [0o770, 0o707, 0o777, 0o720])
def test_a_folder_that_others_can_write_is_refused(home: Path, rights: int) -> None:
    keys.make_key(home)
    keys.pin(home, public_of(ADA), "Ada", DAY)
    (home / "keys").chmod(rights)
    uses: list[Callable[[], object]] = [
        lambda: keys.own_key(home),
        lambda: keys.trust(home),
        lambda: keys.pin(home, public_of(EVE), "Eve", DAY),
        lambda: keys.unpin(home, "Ada"),
        lambda: keys.make_key(home),
    ]
    for use in uses:
        with pytest.raises(BadKey, match="open to other users"):
            use()


def test_a_folder_that_others_can_read_takes_no_new_private_key(home: Path) -> None:
    (home / "keys").mkdir()
    (home / "keys").chmod(0o755)
    with pytest.raises(BadKey, match="chmod 700"):
        keys.make_key(home)


def test_what_belongs_to_somebody_else_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.make_key(home)
    keys.pin(home, public_of(ADA), "Ada", DAY)
    if os.geteuid() == 0:
        os.chown(home / "keys" / "trusted.yaml", 1234, 1234)
        os.chown(home / "keys" / "private.pem", 1234, 1234)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 1234)
    with pytest.raises(BadKey, match="belongs to user"):
        keys.trust(home)
    with pytest.raises(BadKey, match="belongs to user"):
        keys.private_key(home / "keys" / "private.pem")


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def a_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize("spoil", [linked, a_folder, a_pipe, a_dangling_link])
def test_a_key_file_is_a_plain_file(home: Path, spoil: Callable[[Path], None]) -> None:
    keys.make_key(home)
    keys.pin(home, public_of(ADA), "Ada", DAY)
    for name in ("private.pem", "trusted.yaml"):
        spoil(home / "keys" / name)
    with pytest.raises(BadKey, match=r"link|plain"):
        keys.private_key(home / "keys" / "private.pem")
    with pytest.raises(BadKey, match=r"link|plain"):
        keys.trust(home)


def test_the_folder_of_keys_is_no_link(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "job"
    elsewhere.mkdir()
    keys.pin(elsewhere, public_of(EVE), "Eve", DAY)
    (home / "keys").symlink_to(elsewhere / "keys")
    for use in (keys.trust, keys.make_key, keys.own_key):
        with pytest.raises(BadKey, match="is a link"):
            use(home)


def pem(key: object, password: bytes | None = None) -> bytes:
    cipher = form.BestAvailableEncryption(password) if password else form.NoEncryption()
    made: bytes = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, cipher)  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a key",
        pem(ed25519.Ed25519PrivateKey.from_private_bytes(ADA), b"secret"),
        pem(x25519.X25519PrivateKey.generate()),
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(ed25519.Ed25519PrivateKey.from_private_bytes(ADA))[:60],
        b"x" * (70 << 10),
    ],
)
def test_what_is_no_private_ed25519_key_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(BadKey, match=r"key\.pem") as refused:
        keys.private_key(path)
    assert "\n" not in str(refused.value)
