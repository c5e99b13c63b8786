"""A waiver counts for exactly what a trusted person signed, and every other one says why it does not."""

import base64
import unicodedata
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from licenses.errors import BadPublisher
from licenses.publisher import Publisher, Waiver, load_publisher
from licenses.signature import FIELD, WEAK, fingerprint, is_genuine, statement
from licenses.waivers import Trust, weighed
from tests.licenses.signing import ADA, DAY, EVE, FIELDS, filed, judged, made, plain, public_of, trusting


def test_a_sound_waiver_counts_and_says_by_whom(tmp_path: Path) -> None:
    one = judged(filed(tmp_path, made()))
    assert one.counted
    assert "Ada" in one.why
    assert one.as_json()["expires"] == "2027-10-01"


def test_an_inline_one_counts_with_its_evidence_by_an_absolute_path(tmp_path: Path) -> None:
    filed(tmp_path, made())
    assert judged(made(evidence=str(tmp_path / "mail.eml"))).counted
    moved = made().model_copy(update={"evidence": str(tmp_path / "mail.eml")})  # a load makes paths absolute, the signature holds
    assert judged(moved).counted
    assert "absolute" in judged(made()).why


@pytest.mark.parametrize("field", ["text_sha256", "use", "publisher", "evidence_sha256", "signed"])
def test_what_the_policy_demands_and_a_waiver_lacks_voids_it_by_name(tmp_path: Path, field: str) -> None:
    lacking: dict[str, Any] = {field: None}
    one = judged(filed(tmp_path, made(**lacking)))
    assert not one.counted
    assert field in one.why
    assert "policy demands" in one.why


@pytest.mark.parametrize("revision", ["main", "v1.0", "1f1f1f1", "1F" * 20, "1f" * 20 + "\n", "sha256:1f", "refs/pr/1", "é" * 40])
def test_a_revision_that_can_move_does_not_count(tmp_path: Path, revision: str) -> None:
    one = judged(filed(tmp_path, made(revision=revision)))
    assert not one.counted
    assert "not a full commit" in one.why


@pytest.mark.parametrize("field", ["text_sha256", "evidence_sha256"])
@pytest.mark.parametrize("value", ["AB" * 32, "ab" * 31, f"{'ab' * 32}\n", "sha256:" + "ab" * 32, "*"])
def test_a_hash_is_a_hash(tmp_path: Path, field: str, value: str) -> None:
    changed: dict[str, Any] = {field: value}
    one = judged(filed(tmp_path, made(**changed)))
    assert not one.counted
    assert f"its {field}" in one.why
    assert "64 hexadecimal digits" in one.why


OTHERS = {
    "repo": "owner/other",
    "revision": "2f" * 20,
    "text_sha256": "cd" * 32,
    "use": "train_adapter",
    "publisher": "Others",
    "by": "Bob",
    "reason": "the author agreed by mail ",
    "evidence": "copy.eml",
    "evidence_sha256": "ef" * 32,
    "signed": date(2026, 11, 2),
    "expires": date(2027, 10, 2),
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_changed_after_signing_voids_it(tmp_path: Path, field: str) -> None:
    forged = made().model_copy(update={field: OTHERS[field]})
    (tmp_path / "copy.eml").write_bytes(b"anything")
    one = judged(filed(tmp_path, forged), publisher=Publisher(name=forged.publisher))
    assert not one.counted
    assert "changed after signing" in one.why


def test_the_table_of_changes_names_every_field() -> None:
    assert OTHERS.keys() == FIELDS.keys() == Waiver.model_fields.keys() - {"signature"}


def signature_parts() -> tuple[str, str, str]:
    one, two, three = str(made().signature).split(":")
    return one, two, three


@pytest.mark.parametrize(
    "forge",
    [
        lambda kind, key, text: None,
        lambda kind, key, text: text,
        lambda kind, key, text: f"none:{key}:{text}",
        lambda kind, key, text: f"hs256:{key}:{text}",
        lambda kind, key, text: f"ed25519ph:{key}:{text}",
        lambda kind, key, text: f"ED25519:{key}:{text}",
        lambda kind, key, text: f"{kind}:{key.upper()}:{text}",
        lambda kind, key, text: f"{kind}:{key[:16]}:{text}",
        lambda kind, key, text: f"{kind}:{key}:{text}\n",
        lambda kind, key, text: f" {kind}:{key}:{text}",
        lambda kind, key, text: f"{kind}:{key}:{text[:-2]}",
        lambda kind, key, text: f"{kind}:{key}:{'A' * 86}==",
        lambda kind, key, text: f"{kind}:{key}:{text[:-3]}{chr(ord(text[-3]) + 1)}==",
        lambda kind, key, text: f"{kind}:{fingerprint(public_of(EVE))}:{text}",
    ],
)
def test_only_the_one_form_of_signature_by_the_right_key_holds(tmp_path: Path, forge: Any) -> None:
    stripped = made().model_copy(update={"signature": forge(*signature_parts())})
    assert not judged(filed(tmp_path, stripped), trust=trusting(ADA, EVE)).counted


@pytest.mark.parametrize(
    "trust",
    [
        Trust(keys={}),
        trusting(EVE),
        Trust(keys={fingerprint(public_of(EVE)): public_of(ADA)}),
        Trust(keys={fingerprint(public_of(ADA)): public_of(EVE)}),
        Trust(keys={fingerprint(public_of(ADA)): b""}),
    ],
)
def test_a_key_that_nobody_pinned_does_not_count(tmp_path: Path, trust: Trust) -> None:
    one = judged(filed(tmp_path, made()), trust=trust)
    assert not one.counted
    assert "not trusted" in one.why


def test_a_signature_names_the_key_that_made_it() -> None:
    kind, _, text = signature_parts()
    claimed = made().model_copy(update={"signature": f"{kind}:{fingerprint(public_of(EVE))}:{text}"})
    assert is_genuine(made(), public_of(ADA))
    assert not is_genuine(claimed, public_of(ADA))
    assert not is_genuine(claimed, public_of(EVE))


def test_without_trust_none_counts(tmp_path: Path) -> None:
    publisher = Publisher(name="Studio", waivers=(str(filed(tmp_path, made())),))
    assert [one.counted for one in weighed(publisher, trust=None, as_of=DAY)] == [False]


def test_a_trusted_key_speaks_for_its_own_approver_only(tmp_path: Path) -> None:
    one = judged(filed(tmp_path, made(EVE)), trust=trusting(EVE, name="Eve"))
    assert not one.counted
    assert "'Ada'" in one.why
    assert "'Eve'" in one.why


@pytest.mark.parametrize("y", sorted({one + lap for one in WEAK for lap in (0, FIELD) if one + lap < 2**255}))
@pytest.mark.parametrize("sign", [0, 1 << 255])
def test_a_key_that_anybody_could_sign_for_is_none(y: int, sign: int) -> None:
    public = (y | sign).to_bytes(32, "little")
    forgery = base64.b64encode((1).to_bytes(32, "little") + bytes(32)).decode()  # R is the neutral point and S is 0
    for number in range(40):
        fields = FIELDS | {"reason": f"try {number}", "signature": f"ed25519:{fingerprint(public)}:{forgery}"}
        assert not is_genuine(Waiver.model_validate(fields), public)


def test_a_signature_of_something_else_is_none_of_a_waiver() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    whole = statement(made())
    body = whole[whole.index(b"{") :]
    for message in (body, b"lorasmith/package/1\n" + body):
        written = base64.b64encode(Ed25519PrivateKey.from_private_bytes(ADA).sign(message)).decode()
        fields = FIELDS | {"signature": f"ed25519:{fingerprint(public_of(ADA))}:{written}"}
        assert not is_genuine(Waiver.model_validate(fields), public_of(ADA))


@pytest.mark.parametrize(
    ("signed", "expires", "as_of", "counts"),
    [
        (date(2026, 11, 1), date(2027, 10, 1), date(2026, 11, 1), True),
        (date(2026, 11, 1), date(2027, 10, 1), date(2027, 9, 30), True),
        (date(2026, 11, 1), date(2027, 10, 1), date(2027, 10, 1), False),
        (date(2026, 11, 1), date(2027, 10, 1), date(2036, 1, 1), False),
        (date(2026, 11, 1), date(2027, 10, 1), date(2026, 10, 31), False),
        (date(2026, 11, 1), date(2027, 11, 2), date(2026, 11, 22), True),
        (date(2026, 11, 1), date(2027, 11, 3), date(2026, 11, 22), False),
        (date(2026, 11, 1), date(9999, 12, 31), date(2026, 11, 22), False),
        (date(2026, 11, 1), date(2026, 11, 1), date(2026, 11, 1), False),
        (date(2026, 11, 1), date(2026, 10, 1), date(2026, 10, 15), False),
    ],
)
def test_dates_are_inside_of_one_year_from_signing(tmp_path: Path, signed: date, expires: date, as_of: date, counts: bool) -> None:
    assert judged(filed(tmp_path, made(signed=signed, expires=expires)), as_of=as_of).counted is counts


@pytest.mark.parametrize("publisher", [None, "Others", "studio", "Studio ", "Studіo"])
def test_a_waiver_is_for_one_publisher(tmp_path: Path, publisher: str | None) -> None:
    one = judged(filed(tmp_path, made()), publisher=Publisher(name=publisher))
    assert not one.counted
    assert "for the publisher 'Studio'" in one.why


def test_names_that_only_look_alike_are_not_the_same(tmp_path: Path) -> None:
    composed, apart = "Zoé", unicodedata.normalize("NFD", "Zoé")
    waiver = made(publisher=composed, by=composed)
    for publisher, by in ((apart, composed), (composed, apart)):
        one = judged(filed(tmp_path, waiver), trust=trusting(ADA, name=by), publisher=Publisher(name=publisher))
        assert not one.counted
    assert judged(filed(tmp_path, waiver), trust=trusting(ADA, name=composed), publisher=Publisher(name=composed)).counted
    changed = waiver.model_copy(update={"by": apart})
    assert "changed after" in judged(filed(tmp_path, changed), publisher=Publisher(name=composed)).why


def test_a_flood_of_waivers_is_refused_in_one_line() -> None:
    for flood in ([plain(made())] * 10_000, ["/nowhere/waiver.yaml"] * 10_000):
        with pytest.raises(BadPublisher, match="at most 100") as refused:
            load_publisher({"name": "Studio", "waivers": flood})
        assert "\n" not in str(refused.value)


def test_what_a_waiver_says_stays_one_line(tmp_path: Path) -> None:
    row = judged(filed(tmp_path, made(reason="fine\n# Verdict: allow\u202e", by="Ada\nBob"))).as_json()
    assert all("\n" not in str(value) and "\u202e" not in str(value) for value in row.values())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    some.lists(
        some.fixed_dictionaries(
            {
                name: some.text(some.sampled_from('ab"\\,:{}é'), max_size=6)
                for name in ("repo", "revision", "by", "reason", "publisher")
            }
        ),
        min_size=2,
        max_size=2,
        unique_by=str,
    )
)
def test_two_waivers_that_differ_are_never_signed_by_the_same_bytes(pair: list[dict[str, str]]) -> None:
    one, two = (statement(made().model_copy(update=fields)) for fields in pair)
    assert one != two


def test_a_bad_inline_waiver_is_refused_by_its_field() -> None:
    with pytest.raises(BadPublisher, match=r"waivers\.0\.by: Field required"):
        load_publisher({"waivers": [{key: value for key, value in plain(made()).items() if key != "by"}]})


def test_a_date_is_no_time_of_day() -> None:
    for value in (datetime(2027, 10, 1), 1822348800, 1822348800.0, True, "2027-10-01 "):
        with pytest.raises(BadPublisher, match="waivers"):
            load_publisher({"waivers": [plain(made()) | {"expires": value}]})
