"""`lorasmith verify` and `lorasmith keys c2pa`: the free detector at home, and the way to a publisher's certificate."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import load_pem_x509_csr
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from flows.c2pa_key import request_certificate
from flows.cli.main import app
from flows.cli.marks import MOST_BYTES
from flows.errors import BadKey, JobError
from serving.app.marking import Marker
from serving.app.marking.certificate import CERTIFICATE_VARIABLE, KEY_VARIABLE
from serving.app.settings import Marking
from tests.serving.app.certificates import KINDS, PUBLISHER, Authority, pem_of
from tests.serving.app.photographs import photograph

ROOT = Path(__file__).resolve().parents[2]
HASH = "5eedf00d" * 8
AUTHORITY = Authority()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("LORASMITH_HOME", str(place))
    return place


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that an app with a publisher's certificate delivered."""
    key = KINDS["es256"]()
    package: Any = SimpleNamespace(hash=HASH, settings=SimpleNamespace(name="tiny", marking=Marking(certificate="secret")))
    marker = Marker(package, {CERTIFICATE_VARIABLE: AUTHORITY.issue(key), KEY_VARIABLE: pem_of(key)})
    file = tmp_path_factory.mktemp("marked") / "cat.jpg"
    file.write_bytes(marker.file(photograph("chelsea.png"), "jpeg"))
    return file


def ran(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception:
        raise result.exception
    return result.stdout


def test_a_marked_picture_is_told_in_words(marked: Path) -> None:
    first, signed, seen, noted = ran("verify", marked).splitlines()
    assert first == f"{marked}: a mark says that software generated it"
    assert f"valid: trainedAlgorithmicMedia, by {PUBLISHER} with a certificate" in signed
    assert "not judged" in signed
    assert HASH in signed
    assert "found" in seen
    assert HASH[:8] in seen
    assert "trainedAlgorithmicMedia" in noted


@pytest.mark.parametrize(
    ("anchors", "says"), [(AUTHORITY, "trusted by the given authorities"), (Authority(), "NOT of the given authorities")]
)
def test_authorities_decide_whom_to_trust(marked: Path, tmp_path: Path, anchors: Authority, says: str) -> None:
    (tmp_path / "anchors.pem").write_text(f"# whom we trust\n{anchors.pem}")
    assert says in ran("verify", marked, "--anchors", tmp_path / "anchors.pem")


def test_a_changed_picture_is_called_so(marked: Path, tmp_path: Path) -> None:
    data = bytearray(marked.read_bytes())
    data[data.index(b"\xff\xda") + 2000] ^= 1
    (tmp_path / "changed.jpg").write_bytes(data)
    assert "NOT VALID" in ran("verify", tmp_path / "changed.jpg")


def test_json_is_one_object_a_file(marked: Path, tmp_path: Path) -> None:
    photograph("coffee.png").save(tmp_path / "plain.png")
    first, second = json.loads(ran("verify", "--json", marked, tmp_path / "plain.png"))
    assert (first["file"], first["generated"], second["generated"]) == (str(marked), True, False)
    assert set(first) == {"file", "generated", "c2pa", "watermark", "iptc"}


def test_no_mark_is_no_proof(tmp_path: Path) -> None:
    photograph("coffee.png").save(tmp_path / "plain.webp")
    assert "does not prove" in ran("verify", tmp_path / "plain.webp")


@pytest.mark.parametrize("name", ["absent.jpg", "text.jpg", "."])
def test_what_is_no_picture_is_bad_input(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(JobError) as refused:
        ran("verify", tmp_path / name)
    assert str(tmp_path / name) in str(refused.value)
    assert refused.value.exit_code == 2


def test_authorities_that_are_none_are_bad_input(marked: Path) -> None:
    with pytest.raises(JobError, match="holds no PEM of certificates"):
        ran("verify", marked, "--anchors", marked)


def test_the_detector_needs_no_app(marked: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from flows.cli.marks import verify; "
        "verify([Path(sys.argv[1])], None, False); print(sorted({'fal', 'torch', 'prefect'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(marked)], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_key_and_a_request_are_made_and_the_key_is_not_shown(home: Path) -> None:
    said = ran("keys", "c2pa", "--name", "Studio One", "--country", "de")
    key, request = home / "keys" / "c2pa-key.pem", home / "keys" / "c2pa-request.pem"
    assert (key.stat().st_mode & 0o777, (home / "keys").stat().st_mode & 0o777) == (0o600, 0o700)
    signed = load_pem_x509_csr(request.read_bytes())
    assert signed.is_signature_valid
    assert signed.subject.rfc4514_string() == "CN=Studio One,O=Studio One,C=DE"
    assert public(signed) == public(load_pem_private_key(key.read_bytes(), None))
    for name in (str(request), CERTIFICATE_VARIABLE, KEY_VARIABLE, "--not-exposed-by-default"):
        assert name in said
    assert "PRIVATE" not in said
    assert not {line for line in key.read_text().splitlines() if line in said}


def test_asked_again_the_key_is_kept_and_the_request_is_new(home: Path) -> None:
    first = request_certificate(home, "Studio One")
    before = first.key.read_bytes()
    second = request_certificate(home, "Studio Two")
    assert (first.new, second.new, second.key.read_bytes()) == (True, False, before)
    subject = load_pem_x509_csr(second.request.read_bytes()).subject
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "Studio Two"


def test_only_plain_files_of_a_pictures_size_are_read(tmp_path: Path) -> None:
    pipe, huge = tmp_path / "pipe", tmp_path / "huge.jpg"
    os.mkfifo(pipe)
    with huge.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    for place, says in ((pipe, "is no plain file"), (Path("/dev/zero"), "is no plain file"), (huge, "is larger than 64 MiB")):
        with pytest.raises(JobError, match=says):
            ran("verify", place)


def test_the_request_gets_a_certificate_that_signs(home: Path) -> None:
    made = request_certificate(home, PUBLISHER)
    key = load_pem_private_key(made.key.read_bytes(), None)
    package: Any = SimpleNamespace(hash=HASH, settings=SimpleNamespace(name="tiny", marking=Marking(certificate="secret")))
    environ = {CERTIFICATE_VARIABLE: AUTHORITY.issue(key), KEY_VARIABLE: made.key.read_text()}
    assert f"the certificate of {PUBLISHER}" in Marker(package, environ).statement


@pytest.mark.parametrize(
    ("name", "country", "says"),
    [("", None, "name needs"), ("x" * 65, None, "name needs"), ("a\nb", None, "name needs"), ("Studio", "Germany", "two letters")],
)
def test_names_that_do_not_fit_are_refused(home: Path, name: str, country: str | None, says: str) -> None:
    with pytest.raises(BadKey, match=says):
        request_certificate(home, name, country)
    assert not (home / "keys").exists()


def test_a_key_that_others_can_read_is_refused(home: Path) -> None:
    request_certificate(home, "Studio").key.chmod(0o644)
    with pytest.raises(BadKey, match="open to other users"):
        request_certificate(home, "Studio")


def test_a_key_of_another_kind_is_refused(home: Path) -> None:
    made = request_certificate(home, "Studio")
    made.key.write_text(pem_of(KINDS["ed25519"]()))
    with pytest.raises(BadKey, match="another kind of key"):
        request_certificate(home, "Studio")


def public(holder: Any) -> bytes:
    encoded: bytes = holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded
