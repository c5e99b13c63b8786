"""What is packaged here is signed here, and only what its inputs still make is signed again."""

import os
import shutil
from pathlib import Path

import pytest

from flows import keys
from flows.signing import sign_package, signers
from flows.store import Artefact, is_sound, make, seal
from serving.release.errors import BadSignature, Tampered, Unsigned
from serving.release.package import Package, _seal
from serving.release.signature import fingerprint, signature_file, verified


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    return tmp_path


def build(out: Path) -> None:
    (out / "content.txt").write_text("an app")
    _seal("toy", out)


def require_signed(folder: Path) -> Package:
    """As the deploy does it."""
    package, _ = verified(folder, signers())
    return package


def packaged(home: Path) -> Artefact:
    """As the packaging step does it."""
    package = make(home, "package", {"content": "an app"}, build)
    sign_package(package, build)
    return package


def changed(package: Artefact) -> None:
    """By somebody who may write the store: the file, package.json and the store's own seal all fit."""
    (package.path / "content.txt").write_text("another app")
    (package.path / "package.json").unlink()
    _seal("toy", package.path)
    seal(package.path.parent, {"content": "an app"})
    assert is_sound(package.path.parent)


def retired(home: Path) -> None:
    """The own key is moved away, and the next run makes another."""
    os.replace(home / keys.FOLDER / keys.PRIVATE, home / keys.FOLDER / "private.old")


def test_the_first_package_makes_the_key_and_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = packaged(home)
    own = keys.public_half(keys.private_key(keys.own_key(home)))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "key" in line]
    assert line.startswith("  no key to sign packages with: made one")
    assert fingerprint(own)[:16] in line
    assert (home / keys.FOLDER / keys.PRIVATE).stat().st_mode & 0o777 == 0o600
    assert require_signed(package.path).name == "toy"
    assert [path.name for path in package.path.iterdir()] == ["content.txt", "package.json"]
    assert is_sound(package.path.parent)


def test_a_signed_package_is_found_and_nothing_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = signature_file(packaged(home).path).stat().st_mtime_ns
    capsys.readouterr()
    again = packaged(home)
    assert again.found
    assert signature_file(again.path).stat().st_mtime_ns == before
    assert capsys.readouterr().err == ""


def test_an_untouched_package_from_before_signing_is_signed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    signature_file(packaged(home).path).unlink()
    package = packaged(home)
    assert "signed again, after it was built anew and found untouched: package toy is not signed" in capsys.readouterr().err
    assert require_signed(package.path).name == "toy"
    assert [path.name for path in package.path.parent.parent.iterdir() if path.name.startswith(".rebuilt")] == []


def test_an_untouched_package_of_a_retired_key_is_signed_with_the_new_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = packaged(home)
    retired(home)
    with pytest.raises(Unsigned, match="is signed by key"):
        require_signed(package.path)
    packaged(home)
    assert "signed again" in capsys.readouterr().err
    assert require_signed(package.path).name == "toy"


def test_a_changed_package_is_refused_with_its_signature_and_without_it(home: Path) -> None:
    package = packaged(home)
    changed(package)
    for step in (lambda: packaged(home), lambda: require_signed(package.path)):
        with pytest.raises(BadSignature, match="it was changed after signing"):
            step()
    signature_file(package.path).unlink()
    with pytest.raises(Tampered, match=r"unsigned, and not what its inputs make .* somebody changed it"):
        packaged(home)
    assert not signature_file(package.path).exists()
    with pytest.raises(Unsigned, match="is not signed"):
        require_signed(package.path)
    shutil.rmtree(package.path.parent)  # as the message says
    packaged(home)
    assert require_signed(package.path).name == "toy"


def test_a_pinned_key_may_have_signed_and_a_distrusted_one_not(home: Path) -> None:
    """Packaged on one machine, deployed from another that shares the store and pins the first one's key."""
    from datetime import date

    package = packaged(home)
    theirs = keys.public_half(keys.private_key(keys.own_key(home)))
    retired(home)
    assert signers().keys == {}
    keys.pin(home, theirs, "Ada", date(2026, 1, 1))
    assert require_signed(package.path).name == "toy"
    keys.unpin(home, "Ada")
    with pytest.raises(Unsigned):
        require_signed(package.path)
