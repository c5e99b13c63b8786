"""A package is deployed as it was packed and signed, or not at all."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from licenses import signature as waiver_signature
from serving.release.deploy import publish_package
from serving.release.errors import BadSignature, PackageError, Tampered, Unsigned
from serving.release.package import _seal, load_package
from serving.release.registry import Registry
from serving.release.signature import CONTEXT, Signers, fingerprint, sign, signature_file, statement, verified, verify
from serving.release.smoke import SmokePlan
from tests.serving.release.conftest import MakePackage
from tests.serving.release.memory_platform import MemoryPlatform

OURS, OTHERS = bytes(range(32)), bytes(range(32, 64))
PLAN: dict[str, Any] = {
    "verdict_hash": "v",
    "smoke": SmokePlan(arguments=[{"prompt": "a red fox", "seed": 1}]),
    "progress": lambda line: None,
}


def public(private: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def trusting(*privates: bytes) -> Signers:
    keys = {fingerprint(public(private)): public(private) for private in privates}
    return Signers(keys=keys, names=dict.fromkeys(keys, "Ada"))


@pytest.fixture
def package(make_package: MakePackage) -> Path:
    folder = make_package("toy")
    sign(load_package(folder), OURS)
    return folder


def changed_file(folder: Path) -> None:
    (folder / "content.txt").write_text("something else")


def added_file(folder: Path) -> None:
    (folder / "extra.py").write_text("print('hello')")


def resealed(folder: Path) -> None:
    """What somebody who can write the folder would do: change a file and write package.json anew."""
    changed_file(folder)
    (folder / "package.json").unlink()
    _seal("toy", folder)


def renamed(folder: Path) -> None:
    record = json.loads((folder / "package.json").read_text())
    (folder / "package.json").write_text(json.dumps(record | {"name": "somebody-elses-app"}))


def of_another_schema(folder: Path) -> None:
    record = json.loads((folder / "package.json").read_text())
    (folder / "package.json").write_text(json.dumps(record | {"schema": "lorasmith/app-package/2"}))


def of_another_package(folder: Path) -> None:
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    resealed(other)
    sign(load_package(other), OURS)
    shutil.copyfile(signature_file(other), signature_file(folder))


def claimed_by_us(folder: Path) -> None:
    """A signature of another key under the fingerprint of ours."""
    sign(load_package(folder), OTHERS)
    said = json.loads(signature_file(folder).read_text())
    signature_file(folder).write_text(json.dumps(said | {"key": fingerprint(public(OURS))}))


def of_a_waiver(folder: Path) -> None:
    """The same key signs waivers; the words before what is signed keep the two apart."""
    said = json.loads(signature_file(folder).read_text())
    raw = Ed25519PrivateKey.from_private_bytes(OURS).sign(
        statement(load_package(folder)).replace(CONTEXT, waiver_signature.CONTEXT)
    )
    signature_file(folder).write_text(json.dumps(said | {"signature": base64.b64encode(raw).decode()}))


def spelled_otherwise(folder: Path) -> None:
    """Base64 leaves four bits over: another last letter is the same 64 bytes, and another file."""
    said = json.loads(signature_file(folder).read_text())
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    text = said["signature"]
    other = letters[letters.index(text[-3]) ^ 1]
    assert base64.b64decode(text[:-3] + other + "==") == base64.b64decode(text)
    signature_file(folder).write_text(json.dumps(said | {"signature": text[:-3] + other + "=="}))


def no_json(folder: Path) -> None:
    signature_file(folder).write_text("signed, Ada")


def with_a_field_more(folder: Path) -> None:
    said = json.loads(signature_file(folder).read_text())
    signature_file(folder).write_text(json.dumps(said | {"note": "fine"}))


def unsigned(folder: Path) -> None:
    signature_file(folder).unlink()


def by_another_key(folder: Path) -> None:
    sign(load_package(folder), OTHERS)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (changed_file, Tampered, "content.txt was changed after packing"),
        (added_file, Tampered, "extra.py was added after packing"),
        (resealed, BadSignature, "is not what Ada signs for package .* build it anew"),
        (renamed, BadSignature, "package somebody-elses-app: .* is not what Ada signs"),
        (of_another_schema, PackageError, "a package of another kind"),
        (of_another_package, BadSignature, "or the signature is another package's"),
        (claimed_by_us, BadSignature, "is not what Ada signs"),
        (of_a_waiver, BadSignature, "is not what Ada signs"),
        (spelled_otherwise, BadSignature, "it has not the one form that is known"),
        (no_json, BadSignature, "can not be read as a signature"),
        (with_a_field_more, BadSignature, "it has not the one form that is known"),
        (unsigned, Unsigned, "is not signed .*; `lorasmith package JOB` signs it where it was made"),
        (by_another_key, Unsigned, "is signed by key [0-9a-f]{64}, which is not trusted here; .*`lorasmith keys trust`"),
    ],
)
def test_what_is_not_as_it_was_signed_is_refused_in_one_line(
    package: Path, change: Callable[[Path], None], kind: type[PackageError], message: str
) -> None:
    change(package)
    with pytest.raises(kind, match=message) as refused:
        verified(package, trusting(OURS))
    assert type(refused.value) is kind
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


def test_a_signed_package_is_what_it_was_before(make_package: MakePackage) -> None:
    """Identity leaves out signatures: hash and files are the same, signed by one, by another, or by nobody."""
    folder = make_package("toy")
    before = load_package(folder), sorted(folder.rglob("*"))
    for private in (OURS, OTHERS):
        assert sign(load_package(folder), private) == fingerprint(public(private))
        assert (load_package(folder), sorted(folder.rglob("*"))) == before
        assert verified(folder, trusting(private)) == (before[0], fingerprint(public(private)))
    first = signature_file(folder).read_bytes()
    sign(load_package(folder), OTHERS)
    assert signature_file(folder).read_bytes() == first
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_any_key_that_counts_may_have_signed(package: Path) -> None:
    sign(load_package(package), OTHERS)
    assert verify(load_package(package), trusting(OURS, OTHERS)) == fingerprint(public(OTHERS))


def test_a_key_of_small_order_counts_for_nobody(package: Path) -> None:
    """For such a key everybody could sign: the all-zero point and signature verify with many libraries."""
    weak = bytes(32)
    said = json.loads(signature_file(package).read_text())
    forged = base64.b64encode(bytes(64)).decode()
    signature_file(package).write_text(json.dumps(said | {"key": fingerprint(weak), "signature": forged}))
    with pytest.raises(Unsigned):
        verified(package, Signers(keys={fingerprint(weak): weak}, names={}))


def test_a_key_under_the_fingerprint_of_another_counts_for_nobody(package: Path) -> None:
    sign(load_package(package), OTHERS)
    with pytest.raises(Unsigned):
        verified(package, Signers(keys={fingerprint(public(OTHERS)): public(OURS)}, names={}))


def test_a_deploy_takes_a_signed_package_only(package: Path, registry: Registry) -> None:
    platform = MemoryPlatform()
    with pytest.raises(Unsigned):
        publish_package(package, platform=platform, registry=registry, signers=trusting(OTHERS), **PLAN)
    assert (platform.calls, registry.releases()) == (0, [])
    assert publish_package(package, platform=platform, registry=registry, signers=trusting(OURS), **PLAN)["state"] == "live"


def test_a_package_that_is_changed_after_its_candidate_never_reaches_main(package: Path, registry: Registry) -> None:
    platform = MemoryPlatform()

    def change(number: int, verb: str, when: str) -> None:
        if verb == "call" and "main" not in [place for _, place, _ in platform.deploys]:
            (package / "content.txt").write_text("something else")

    platform.on_call = change
    with pytest.raises(Tampered, match=r"content\.txt was changed"):
        publish_package(package, platform=platform, registry=registry, signers=trusting(OURS), **PLAN)
    assert [place for _, place, _ in platform.deploys] == ["candidate"]
    assert platform.alias("toy", None) is None
