"""A waiver and its evidence are plain files that read one way only, and lead nowhere else."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from tests.licenses.signing import EVE, filed, judged, made, plain


def evidence_gone(folder: Path) -> None:
    (folder / "mail.eml").unlink()


def evidence_empty(folder: Path) -> None:
    (folder / "mail.eml").write_bytes(b" \n")


def evidence_changed(folder: Path) -> None:
    (folder / "mail.eml").write_bytes(b"No.\n")


def evidence_a_link(folder: Path) -> None:
    (folder / "mail.eml").rename(folder / "other.eml")
    (folder / "mail.eml").symlink_to("other.eml")


def evidence_a_folder(folder: Path) -> None:
    (folder / "mail.eml").unlink()
    (folder / "mail.eml").mkdir()


def evidence_a_pipe(folder: Path) -> None:
    (folder / "mail.eml").unlink()
    os.mkfifo(folder / "mail.eml")


def evidence_huge(folder: Path) -> None:
    os.truncate(folder / "mail.eml", 65 << 20)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (evidence_gone, "can not be read"),
        (evidence_empty, "is empty"),
        (evidence_changed, "is not the file that was signed for"),
        (evidence_a_link, "link"),
        (evidence_a_folder, "not a plain file"),
        (evidence_a_pipe, "not a plain file"),
        (evidence_huge, "larger than"),
    ],
)
def test_evidence_is_a_plain_file_that_did_not_change(tmp_path: Path, spoil: Any, words: str) -> None:
    path = filed(tmp_path, made())
    spoil(tmp_path)
    one = judged(path)
    assert not one.counted
    assert "mail.eml" in one.why
    assert words in one.why
    inline = judged(made(evidence=str(tmp_path / "mail.eml")))
    assert not inline.counted


@pytest.mark.parametrize("evidence", ["../mail.eml", "linked/mail.eml", "sub/../mail.eml", "/etc/passwd", ".", "mail.eml\x00"])
def test_evidence_does_not_lead_out_of_the_folder_of_its_waiver(tmp_path: Path, evidence: str) -> None:
    inner = tmp_path / "inner"
    (inner / "sub").mkdir(parents=True)
    filed(tmp_path, made())
    (inner / "linked").symlink_to(tmp_path)
    one = judged(filed(inner, made(evidence=evidence)))
    assert not one.counted
    assert str(tmp_path) not in one.why


def test_evidence_in_a_folder_below_is_fine(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    filed(tmp_path / "letters", made())
    assert judged(filed(tmp_path, made(evidence="letters/mail.eml"), evidence=None)).counted


def test_no_file_is_opened_for_somebody_who_is_not_trusted(tmp_path: Path) -> None:
    one = judged(filed(tmp_path, made(EVE), evidence=None))
    assert "not trusted" in one.why
    assert "mail.eml" not in one.why


def text_of(**changes: str) -> str:
    """The YAML of a sound waiver, a field written another way."""
    fields = {key: f"'{value}'" for key, value in plain(made()).items()} | changes
    return "".join(f"{key}: {value}\n" for key, value in fields.items())


@pytest.mark.parametrize(
    "content",
    [
        text_of() + "repo: owner/other\n",
        text_of() + "Repo: owner/base\n",
        text_of() + "note: hello\n",
        text_of() + '"re\\u0070o": owner/base\n',
        text_of(by="yes"),
        text_of(by="!!str Ada"),
        text_of(by="&a Ada"),
        text_of(reason="1.0"),
        text_of(expires="20271001"),
        text_of(expires="1822348800"),
        text_of(expires="2027-10-01 00:00:00"),
        text_of(expires="'2027-10-01T00:00:00'"),
        text_of(expires="'20271001'"),
        text_of(expires="'٢٠٢٧-10-01'"),
        text_of(expires="2027-13-01"),
        text_of(signed="2026-11-01 10:00:00+02:00"),
        text_of(use="everything"),
        text_of(use="[host_paid_inference, train_adapter]"),
        text_of(repo="[owner/base]"),
        text_of(revision="1" * 40),
        text_of(revision="0x1f"),
        text_of(by='"\\ud800"'),
        text_of(reason=""),
        "---\n" + text_of() + "---\n" + text_of(),
        "[]",
        "",
        "x" * (70 << 10),
        text_of().encode("utf-16"),
        b"\xff\xfe",
    ],
)
def test_a_file_that_could_be_read_two_ways_is_not_read(tmp_path: Path, content: str | bytes) -> None:
    one = judged(filed(tmp_path, content))
    assert not one.counted
    assert one.waiver is None
    assert "\n" not in one.why
    assert one.as_json()["repo"] == ""


def test_other_spellings_of_the_same_values_hold(tmp_path: Path) -> None:
    assert judged(filed(tmp_path, text_of())).counted
    assert judged(filed(tmp_path, text_of(expires="2027-10-01", signed="2026-11-01"))).counted
    assert judged(filed(tmp_path, "\ufeff" + "".join(reversed(text_of().splitlines(keepends=True))))).counted


def test_a_waiver_is_a_plain_file_by_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = filed(tmp_path, made())
    (tmp_path / "link.yaml").symlink_to(path)
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    for name in ("link.yaml", "folder.yaml", "pipe.yaml", "missing.yaml", "waiver.yaml/x", "waiver\0.yaml"):
        assert not judged(tmp_path / name).counted, name
    monkeypatch.chdir(tmp_path)
    assert "absolute" in judged(Path("waiver.yaml")).why


def test_the_hash_of_the_evidence_is_over_its_bytes(tmp_path: Path) -> None:
    other = b"\xef\xbb\xbfYes\r\n"
    waiver = made(evidence_sha256=hashlib.sha256(other).hexdigest())
    assert judged(filed(tmp_path, waiver, evidence=other)).counted
    assert not judged(filed(tmp_path, waiver, evidence=b"Yes\n")).counted


def test_a_file_that_is_no_waiver_is_not_quoted(tmp_path: Path) -> None:
    secrets = [
        "token: hf_secret\n",
        "root:x:0:0\nhf_secret: [\n",
        "hf_secret-and-more: 1\n",
        "- hf_secret\n",
        "\thf_secret",
        "HF=hf_secret",
    ]
    for content in secrets:
        assert "hf_secret" not in judged(filed(tmp_path, content)).why
    assert "expire:" in judged(filed(tmp_path, text_of() + "expire: 2027-01-01\n")).why
    assert "line" in judged(filed(tmp_path, text_of() + "note: [\n")).why
