"""Marks on files: all layers in each format, signed by whom the statement says, and found by anybody who looks."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from PIL import Image

from serving.app.errors import BadPicture, MarkingError, SettingsError
from serving.app.marking import Marker, found_marks, manifest, marker, marker_for, metadata
from serving.app.marking.certificate import CERTIFICATE_VARIABLE, KEY_VARIABLE, for_development, publishers
from serving.app.marking.manifest import GENERATED
from serving.app.pictures import OutputFormat, encode
from serving.app.settings import Installed, Marking
from tests.serving.app.certificates import KINDS, PUBLISHER, Authority, pem_of
from tests.serving.app.photographs import jpeg, photograph

FORMATS: tuple[OutputFormat, ...] = ("jpeg", "png", "webp")
AUTHORITY = Authority()


def with_marking(package: Installed, **fields: Any) -> Installed:
    return replace(package, settings=package.settings.model_copy(update={"marking": Marking(**fields)}))


@pytest.fixture(scope="session")
def development(package: Installed) -> Marker:
    return Marker(with_marking(package, publisher=PUBLISHER), {})


def environ(key: Any, **certificate: Any) -> dict[str, str]:
    return {CERTIFICATE_VARIABLE: AUTHORITY.issue(key, **certificate), KEY_VARIABLE: pem_of(key)}


def file_of(picture: Any, name: str, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, name, **options)
    return file.getvalue()


def without(chunk: bytes, data: bytes) -> bytes:
    """A PNG less one of its chunks."""
    start = data.index(chunk) - 4
    return data[:start] + data[start + 12 + int.from_bytes(data[start : start + 4], "big") :]


@pytest.mark.parametrize("output_format", FORMATS)
def test_every_layer_is_in_every_format(development: Marker, package: Installed, output_format: OutputFormat) -> None:
    picture = photograph("astronaut.png")
    data = development.file(picture, output_format)
    found = found_marks(data)
    assert found["generated"] is True
    signed = {"valid": True, "trusted": None, "certificate": "development", "signer": PUBLISHER, "source_type": GENERATED}
    assert found["c2pa"] == {"present": True, **signed, "package": package.hash, "problems": []}
    assert (found["watermark"]["present"], found["watermark"]["package"]) == (True, package.hash[:8])
    assert found["iptc"] == {"present": True, "source_type": GENERATED}
    opened = Image.open(BytesIO(data))
    assert (opened.format, opened.size) == (output_format.upper(), picture.size)


@pytest.mark.parametrize("output_format", FORMATS)
def test_marks_are_small_and_hold_nothing_else(development: Marker, output_format: OutputFormat) -> None:
    """No thumbnail, no camera data, and nothing of a request: a marker is not given any."""
    data = development.file(photograph("coffee.png"), output_format)
    plain = encode(photograph("coffee.png"), output_format)
    assert 0 < len(data) - len(plain) < len(plain) // 4 + 8_000
    assert b"thumbnail" not in data
    assert "exif" not in Image.open(BytesIO(data)).info


def test_the_same_picture_has_the_same_pixels_in_a_new_file(development: Marker) -> None:
    first, second = (development.file(photograph("chelsea.png"), "png") for _ in range(2))
    assert np.array_equal(np.asarray(Image.open(BytesIO(first))), np.asarray(Image.open(BytesIO(second))))
    assert first != second  # C2PA names each file anew


def test_the_watermark_is_left_when_metadata_is_gone(development: Marker, package: Installed) -> None:
    picture = jpeg(80)(Image.open(BytesIO(development.file(photograph("chelsea.png", 1024), "webp"))).resize((512, 512)))
    found = found_marks(file_of(picture, "jpeg", quality=80))
    assert found["generated"] is True
    assert (found["c2pa"]["present"], found["iptc"]["present"]) == (False, False)
    assert found["watermark"]["package"] == package.hash[:8]


@pytest.mark.parametrize("output_format", FORMATS)
def test_a_changed_file_is_not_valid(development: Marker, output_format: OutputFormat) -> None:
    data = bytearray(development.file(photograph("chelsea.png"), output_format))
    data[data.index({"jpeg": b"\xff\xda", "png": b"IDAT", "webp": b"VP8 "}[output_format]) + 2000] ^= 1
    try:
        found = found_marks(bytes(data))
    except BadPicture:  # PNG notices by itself
        assert output_format == "png"
        return
    assert (found["c2pa"]["present"], found["c2pa"]["valid"]) == (True, False)
    assert "assertion.dataHash.mismatch" in found["c2pa"]["problems"]


def test_a_signature_moved_to_another_picture_is_not_valid(development: Marker) -> None:
    data = development.file(photograph("chelsea.png"), "jpeg")
    other = encode(photograph("rocket.jpg"), "jpeg")
    start = data.index(b"\xff\xeb")
    length = int.from_bytes(data[start + 2 : start + 4], "big") + 2
    found = found_marks(other[:2] + data[start : start + length] + other[2:])
    assert (found["c2pa"]["present"], found["c2pa"]["valid"], found["generated"]) == (True, False, False)


def test_a_manifest_that_names_no_claim_of_its_own_is_broken_and_no_error(development: Marker) -> None:
    """The library reads such a store and then misses what must be in it."""
    data = bytearray(development.file(photograph("chelsea.png"), "jpeg"))
    at = data.index(b"c2pa.assertions/c2pa.actions")
    data[at + 4] = ord("/")  # not the name by which the assertion is stored
    found = found_marks(bytes(data))["c2pa"]
    assert (found["present"], found["valid"], len(found["problems"])) == (True, False, 1)


def test_of_what_a_manifest_says_no_more_is_repeated_than_an_answer_holds() -> None:
    signer = manifest.ManifestSigner(for_development(PUBLISHER), title="t", package="a" * 10_000)
    signer.definition["assertions"][0]["data"]["actions"][0]["digitalSourceType"] = "h" * 100_000
    read = manifest.read(signer.signed(encode(Image.new("RGB", (16, 16)), "png"), "png"), "png")
    assert read is not None
    assert (read.valid, read.source_type, read.package) == (True, "h" * 200, "a" * 200)


SAYS = "Iptc4xmpExt:DigitalSourceType"


@pytest.mark.parametrize(
    ("xmp", "expected"),
    [
        (f"<{SAYS}>{GENERATED}</{SAYS}>", GENERATED),
        (f"<{SAYS}>\n  {GENERATED}\n </{SAYS}>", GENERATED),
        (f'<a {SAYS} = "{GENERATED}"/>', GENERATED),
        (f"<{SAYS}>   </{SAYS}>", None),
        (f"<{SAYS}>" + "a" * 201 + f"</{SAYS}>", None),
        (f"<{SAYS}>" + " " * 60_000 + f"</{SAYS}", None),  # hours, where blanks may be counted to the group or beside it
        ((f"<{SAYS}>" + " " * 199) * 250, None),
        ((f"{SAYS}=" + " " * 20_000) * 3, None),
        (" " * 65_536 + f"<{SAYS}>{GENERATED}</{SAYS}>", None),  # so far nobody looks
    ],
)
@pytest.mark.parametrize("output_format", ["png", "webp"])
def test_the_plain_note_is_found_and_hostile_ones_cost_no_time(output_format: OutputFormat, xmp: str, expected: str | None) -> None:
    data = encode(Image.new("RGB", (16, 16)), output_format, xmp=xmp.encode())
    assert metadata.source_type(Image.open(BytesIO(data))) == expected


def test_a_plain_picture_has_no_marks() -> None:
    found = found_marks(encode(photograph("coffee.png"), "jpeg"))
    assert found["generated"] is False
    assert [found[layer]["present"] for layer in ("c2pa", "watermark", "iptc")] == [False, False, False]
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "unsupported_image_format"),
        (b"GIF89a", "unsupported_image_format"),
        (b"\xff\xd8\xff\xe0 no more", "unsupported_image_format"),
        (file_of(Image.new("RGB", (9, 9)), "gif"), "unsupported_image_format"),
        (file_of(Image.effect_noise((99, 99), 9), "png")[:2000], "image_load_error"),
        (file_of(Image.new("1", (10_000, 6_000)), "png"), "image_too_large"),
        (without(b"PLTE", file_of(Image.new("P", (9, 9)), "png", transparency=3)), "image_load_error"),
    ],
    ids=["empty", "start of a GIF", "start of a JPEG", "GIF", "half a PNG", "large", "palette is gone"],
)
def test_what_is_no_picture_is_refused(data: bytes, kind: str) -> None:
    with pytest.raises(BadPicture) as refused:
        found_marks(data)
    assert refused.value.type == kind


def test_off_means_no_marker(package: Installed) -> None:
    assert marker_for(with_marking(package, enabled=False), {}) is None


def test_a_development_certificate_is_called_so(development: Marker) -> None:
    assert "development certificate" in development.statement
    assert "nobody vouches for" in development.statement


@pytest.mark.parametrize("kind", KINDS)
def test_the_publishers_certificate_signs(package: Installed, kind: str) -> None:
    marker = marker_for(with_marking(package, certificate="secret"), environ(KINDS[kind]()))
    assert marker is not None
    assert f"certificate of {PUBLISHER}" in marker.statement
    data = marker.file(photograph("chelsea.png"), "jpeg")
    found = [found_marks(data, anchors=anchors)["c2pa"] for anchors in (None, AUTHORITY.pem, Authority().pem)]
    assert [(one["valid"], one["trusted"], one["certificate"], one["signer"]) for one in found] == [
        (True, None, "other", PUBLISHER),
        (True, True, "other", PUBLISHER),
        (True, False, "other", PUBLISHER),
    ]


def test_line_ends_of_a_secret_may_be_spelled_out() -> None:
    spelled = {name: pem.replace("\n", "\\n") for name, pem in environ(KINDS["es256"]()).items()}
    assert publishers(spelled).signer == PUBLISHER


def _short_authority(key: Any) -> dict[str, str]:
    return {CERTIFICATE_VARIABLE: Authority(ends=-1).issue(key)}


def _wrong() -> dict[str, tuple[Callable[[], dict[str, str]], str]]:
    key = KINDS["es256"]()
    good = environ(key)
    small = rsa.generate_private_key(65537, 1024)
    return {
        "no certificate": (lambda: {KEY_VARIABLE: pem_of(key)}, "LORASMITH_C2PA_CERTIFICATE is not set"),
        "no key": (lambda: {CERTIFICATE_VARIABLE: good[CERTIFICATE_VARIABLE]}, "LORASMITH_C2PA_KEY is not set"),
        "empty": (lambda: {CERTIFICATE_VARIABLE: "  ", KEY_VARIABLE: ""}, "is not set"),
        "no PEM": (lambda: good | {CERTIFICATE_VARIABLE: "chain.pem"}, "is no PEM of certificates"),
        "half a PEM": (lambda: good | {CERTIFICATE_VARIABLE: good[CERTIFICATE_VARIABLE][:300]}, "is no PEM of certificates"),
        "no key PEM": (lambda: good | {KEY_VARIABLE: "hunter2"}, "is no plain PEM of a private key"),
        "password": (lambda: good | {KEY_VARIABLE: pem_of(key, password=b"hunter2")}, "without a password"),
        "another key": (lambda: good | {KEY_VARIABLE: pem_of(KINDS["es256"]())}, "is not the key of the first certificate"),
        "wrong order": (lambda: good | {CERTIFICATE_VARIABLE: AUTHORITY.pem + good[CERTIFICATE_VARIABLE]}, "the signer's first"),
        "expired authority": (lambda: environ(key) | _short_authority(key), "expired at"),
        "expired": (lambda: environ(key, begins=-30, ends=-1), "expired at"),
        "not yet": (lambda: environ(key, begins=1), "is valid only from"),
        "curve": (lambda: environ(ec.generate_private_key(ec.SECP256K1())), "kind of key that C2PA does not sign with"),
        "RSA 1024": (lambda: environ(small), "kind of key that C2PA does not sign with"),
        "DSA": (lambda: environ(dsa.generate_private_key(2048)), "kind of key that C2PA does not sign with"),
        "for servers": (lambda: environ(key, usage=ExtendedKeyUsageOID.SERVER_AUTH), "is it one for C2PA signing?"),
    }


WRONG = _wrong()


@pytest.mark.parametrize("what", WRONG)
def test_a_certificate_that_can_not_sign_stops_setup_in_one_line(package: Installed, what: str) -> None:
    given, said = WRONG[what]
    with pytest.raises(SettingsError) as refused:
        marker_for(with_marking(package, certificate="secret"), given())
    message = str(refused.value)
    assert said in message
    assert "\n" not in message
    assert "PRIVATE KEY" not in message
    assert "hunter2" not in message


def test_a_credential_does_not_show_its_key() -> None:
    credential = publishers(environ(KINDS["es256"]()))
    assert "PRIVATE" not in repr(credential)
    assert str(credential.key) not in f"{credential}"


@pytest.mark.parametrize("layer", ["marked", "ManifestSigner.signed"])
def test_a_mark_that_fails_is_a_marking_error(development: Marker, monkeypatch: pytest.MonkeyPatch, layer: str) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no")

    owner, _, name = layer.rpartition(".")
    monkeypatch.setattr(getattr(marker, owner) if owner else marker, name, fails)
    with pytest.raises(MarkingError, match="RuntimeError"):
        development.file(photograph("chelsea.png"), "jpeg")


def test_nothing_is_signed_with_a_certificate_that_expires_while_the_runner_lives(
    package: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasting = Marker(with_marking(package, certificate="secret"), environ(KINDS["es256"](), ends=30))
    monkeypatch.setattr(manifest, "datetime", SimpleNamespace(now=lambda zone: datetime.now(zone) + timedelta(days=31)))
    with pytest.raises(MarkingError) as refused:
        lasting.file(photograph("chelsea.png"), "jpeg")
    assert "expired at" in str(refused.value.__cause__)


def test_a_failing_encoder_is_not_a_marking_error(development: Marker) -> None:
    with pytest.raises(KeyError):
        development.file(photograph("chelsea.png"), "tiff")  # type: ignore[arg-type]
