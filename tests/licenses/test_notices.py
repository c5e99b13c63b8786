"""What ships: the bytes that were found, and a refusal where a text is owed and absent."""

import copy
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from licenses import notices, report
from licenses.check import check
from licenses.errors import NoticesRefused
from licenses.fulfilment import fulfilled
from licenses.verdict import identity
from tests.licenses.conftest import APACHE, ROOT, FolderOf
from tests.licenses.loopback_hub import LoopbackHub
from tests.licenses.test_folder import GOOD, card
from tests.licenses.test_identify import MIT_BODY

HOSTILE = "<script>alert(1)</script> [x](javascript:y) | `z`"


@pytest.fixture
def verdict(folder: FolderOf) -> dict[str, Any]:
    pictures = folder({"dataset.yaml": "license: mit\nsource: Fluent emoji"})
    return check(folder({**GOOD, "NOTICE": "Noto\r\n"}), dataset=pictures).as_json()


def test_the_bytes_of_the_folder_are_shipped(verdict: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    papers = [
        "ATTRIBUTION.md",
        "LICENSES/apache-2.0.notice.txt",
        "LICENSES/apache-2.0.txt",
        "MODIFICATIONS.md",
        "NOTICE",
        "duties.json",
    ]
    assert notices.write(verdict, out) == papers
    assert (out / "LICENSES/apache-2.0.txt").read_bytes() == APACHE.encode()
    assert (out / "LICENSES/apache-2.0.notice.txt").read_bytes() == b"Noto\r\n"
    notice = (out / "NOTICE").read_text()
    assert "modifies" in notice
    assert "LoRA adapter" in notice
    assert "Fluent emoji" in notice
    assert notice.endswith("Notices of " + verdict["nodes"][0]["id"] + ", as found there:\n\nNoto\n")
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == papers


def test_a_second_write_changes_nothing(verdict: dict[str, Any], tmp_path: Path) -> None:
    notices.write(verdict, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    notices.write(verdict, tmp_path / "out")
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}


def test_two_copyright_holders_in_one_folder_are_both_shipped(folder: FolderOf) -> None:
    texts = {"LICENSE": "Copyright (c) 2024 Ann\n" + MIT_BODY, "LICENSE.txt": "Copyright (c) 2023 Bob\n" + MIT_BODY}
    said = check(folder({**GOOD, **texts, "README.md": card("license: mit")})).as_json()
    assert {one["text"].splitlines()[0] for one in said["notices"]} == {"Copyright (c) 2024 Ann", "Copyright (c) 2023 Bob"}
    (kept,) = [row for row in said["owed"] if row["duty"] == "KEEP_NOTICES"]
    assert set(kept["files"]) == {"NOTICE", "LICENSES/mit.txt", "LICENSES/mit.2.txt"}


def test_two_texts_of_one_licence_are_both_shipped(hub: LoopbackHub) -> None:
    hub.add("a/child", {"LICENSE": "Copyright (c) 2024 Ann\n" + MIT_BODY, "README.md": card("license: mit\nbase_model: a/root")})
    hub.add("a/root", {"LICENSE": "Copyright (c) 2023 Bob\n" + MIT_BODY, "README.md": card("license: mit")})
    said = check("a/child").as_json()
    assert [one["file"] for one in said["notices"]] == ["LICENSES/mit.2.txt", "LICENSES/mit.txt"]
    assert {one["text"].splitlines()[0] for one in said["notices"]} == {"Copyright (c) 2024 Ann", "Copyright (c) 2023 Bob"}


@pytest.mark.parametrize("damage", ["no notices", "empty text", "other text", "blocked", "outside"])
def test_a_verdict_that_was_changed_or_bars_the_use_writes_nothing(verdict: dict[str, Any], tmp_path: Path, damage: str) -> None:
    said = copy.deepcopy(verdict)
    if damage == "no notices":
        said["notices"] = []
    elif damage == "empty text":
        said["notices"][1]["text"] = " \n"
    elif damage == "other text":
        said["notices"][1]["text"] += "x"
    elif damage == "blocked":
        said["verdict"] = "block"
    else:
        said["notices"].append(
            {"file": "LICENSES/../../evil.txt", "text": "x", "kind": "license", "nodes": [], "origin": "upstream"}
        )
        said["hash"] = identity(said)
    with pytest.raises(NoticesRefused) as refused:
        notices.write(said, tmp_path / "out")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file", ["LICENSES/apache-2.0.txt", "NOTICE", "MODIFICATIONS.md", "ATTRIBUTION.md"])
def test_a_paper_that_is_gone_or_another_leaves_its_duty_open(verdict: dict[str, Any], tmp_path: Path, file: str) -> None:
    notices.write(verdict, tmp_path / "out")
    assert fulfilled(verdict, tmp_path / "out") == []
    for content in (None, " \n", "something else\n"):
        (tmp_path / "out" / file).unlink() if content is None else (tmp_path / "out" / file).write_text(content)
        lacks = fulfilled(verdict, tmp_path / "out")
        assert lacks
        assert all(file in one["open"] for one in lacks)


def test_the_verdict_has_the_fields_of_the_contract(verdict: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "docs/schemas/license-verdict.schema.json").read_text())
    jsonschema.validate(verdict, schema, cls=jsonschema.Draft202012Validator)
    assert set(verdict) == set(schema["properties"])
    assert set(verdict["uses"]) == {"train_adapter", "host_paid_inference", "distribute_adapter", "sell_outputs"}
    for said in verdict["uses"].values():
        assert set(said) == {"verdict", "reasons", "duties"}
        assert said["verdict"] in ("allow", "duties", "conditional", "block")
        for reason in said["reasons"]:
            assert set(reason) == {"code", "node", "text", "quote", "file", "sha256", "confidence", "known_text"}
    for node in verdict["nodes"]:
        assert set(node) >= {"id", "role", "revision", "license", "identified_by", "text_sha256"}
    assert verdict["hash"] == identity(verdict)


def test_one_line_says_clause_and_what_to_use_instead(no_network: None) -> None:
    line = report.one_line(check("black-forest-labs/FLUX.1-dev", as_of="2026-11-22").as_json())
    assert "\n" not in line
    assert line.startswith("base 'black-forest-labs/FLUX.1-dev' may not be used here: FLUX.1 [dev] Non-Commercial License")
    assert "section 1.c" in line
    assert "for commercial use" in line
    assert "FLUX.2-klein-base-4B" in line


def test_reports_hold_the_verdict_and_no_foreign_markup(folder: FolderOf, no_network: None) -> None:
    files = {**GOOD, "README.md": card(f"license: {HOSTILE!r}", f"{HOSTILE} is not for commercial use.")}
    said = check(folder(files)).as_json()
    page, text = report.html(said), report.markdown(said)
    assert "<script" not in page
    assert "<script" not in text
    assert "http://" not in page.replace(APACHE, "")
    assert "https://" not in page.replace(APACHE, "")
    assert all(said["hash"] in one and "Not legal advice" in one for one in (page, text))
    assert all(not line.startswith("|") or line.replace("\\|", "").count("|") in (4, 7) for line in text.splitlines())
    HTMLParser().feed(page)


def test_a_report_of_what_passes_lists_duties_and_texts(verdict: dict[str, Any]) -> None:
    page, text = report.html(verdict), report.markdown(verdict)
    for one in (page, text):
        assert "LICENSE_COPY" in one
        assert "may be used here" in one
    assert "LICENSES/apache-2.0.txt" in page
