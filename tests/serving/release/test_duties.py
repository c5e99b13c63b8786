"""The package step asks for every duty of the verdict, whatever wrote the papers, and says in one line which one is open."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from serving.release.duties import require_duties
from serving.release.errors import DutyOpen, PackageError
from serving.release.package import build_package
from tests.serving.app.packages import VERDICT, settings, write_base, write_bundle, write_notices

ROOT = Path(__file__).resolve().parents[3]
CARD = "# tiny\n\nBuilt with tiny\n"
ENABLED, REQUIRED = (
    {"file": "settings.json", "pointer": f"/safety/{name}", "equals": equals, "remedy": "set it so"}
    for name, equals in (("enabled", True), ("optional", False))
)


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """The papers as they lie in a package, with the card and the settings that are judged with them."""
    folder = write_notices(tmp_path / "papers")
    (folder / "MODEL_CARD.md").write_text(CARD)
    (folder / "settings.json").write_text('{"safety": {"enabled": true, "optional": true}}')
    return folder


def verdict(**rows: Any) -> dict[str, Any]:
    """The verdict with one more duty, or with fields changed."""
    said: dict[str, Any] = json.loads(json.dumps(VERDICT))
    return said | rows


def asked(by: str, **fields: Any) -> dict[str, Any]:
    row = {"duty": "MORE", "node": "tiny", "role": "base", "license": "tiny", "name": "Tiny Licence", "by": by}
    return row | {"files": [], "lines": [], "open": ""} | fields


def recorded(folder: Path, row: dict[str, Any]) -> None:
    record = json.loads((folder / "duties.json").read_text())
    record["duties"].append(row)
    (folder / "duties.json").write_text(json.dumps(record))


def edited(folder: Path, **fields: Any) -> None:
    record = json.loads((folder / "duties.json").read_text())
    (folder / "duties.json").write_text(json.dumps(record | fields))


def test_what_is_written_for_a_verdict_fulfils_it_and_keeps_the_schema(papers: Path) -> None:
    require_duties(papers, VERDICT, name="tiny-style")
    schema = json.loads((ROOT / "docs/schemas/duties.schema.json").read_text())
    jsonschema.validate(json.loads((papers / "duties.json").read_text()), schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda papers: (papers / "LICENSES/base.txt").unlink(), "LICENSE_COPY.*LICENSES/base.txt is not in the package"),
        (lambda papers: (papers / "LICENSES/base.txt").write_text(" \n"), "LICENSE_COPY.*LICENSES/base.txt is empty"),
        (lambda papers: (papers / "LICENSES/base.txt").write_text("Do as I say.\n"), "LICENSE_COPY.*not the one that was recorded"),
        (lambda papers: (papers / "MODIFICATIONS.md").unlink(), "STATE_CHANGES.*MODIFICATIONS.md is not in the package"),
        (
            lambda papers: (papers / "MODEL_CARD.md").write_text("# tiny\n"),
            "DISPLAY.*MODEL_CARD.md does not show 'Built with tiny'",
        ),
    ],
)
def test_a_duty_without_its_file_is_named_with_licence_and_asset(
    papers: Path, break_it: Callable[[Path], object], says: str
) -> None:
    break_it(papers)
    with pytest.raises(DutyOpen, match=says) as refused:
        require_duties(papers, VERDICT, name="tiny-style")
    assert refused.value.exit_code == 3
    assert "of Tiny Licence towards 'tiny' is open" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("row", "done", "name", "says"),
    [
        (asked("file", files=["TERMS.md"]), None, "tiny", "duties.json says nothing of it"),
        (asked("file", files=["TERMS.md"]), {"files": []}, "tiny", "does not name TERMS.md"),
        (asked("file"), {"files": []}, "tiny", "no file fulfils it"),
        (asked("nothing", open="nothing fulfils MORE; ask"), {"files": []}, "tiny", "nothing fulfils MORE; ask"),
        (
            asked("file", files=["NOTICE"]),
            {"files": [], "open": "the line is not known; ask"},
            "tiny",
            "the line is not known; ask",
        ),
        (asked("name", lines=["Llama"]), {"files": []}, "tiny", "'tiny' has to begin with 'Llama'"),
        (asked("name", lines=["Llama"]), {"files": []}, "llama-tiny", ""),
        (asked("setting"), {"files": []}, "tiny", "does not name its settings"),
        (
            asked("setting", files=["settings.json"]),
            {"files": [], "settings": [ENABLED, REQUIRED]},
            "tiny",
            "settings.json has /safety/optional True, it must be False; set it so",
        ),
        (
            asked("setting", files=["settings.json"]),
            {"files": [], "settings": [ENABLED]},
            "tiny",
            "",
        ),
    ],
)
def test_names_settings_and_what_is_known_to_be_open(
    papers: Path, row: dict[str, Any], done: dict[str, Any] | None, name: str, says: str
) -> None:
    if done is not None:
        recorded(papers, row | done)
    said = verdict(owed=[*VERDICT["owed"], row])
    if not says:
        require_duties(papers, said, name=name)
        return
    with pytest.raises(DutyOpen) as refused:
        require_duties(papers, said, name=name)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said", "says"),
    [
        (lambda papers: (papers / "duties.json").unlink(), {}, "duties.json can not be read"),
        (lambda papers: (papers / "duties.json").write_text("[]"), {}, "duties.json can not be read"),
        (lambda papers: edited(papers, verdict="34" * 32), {}, "not of this verdict"),
        (lambda papers: edited(papers, schema="lorasmith/duties/0"), {}, "of schema 'lorasmith/duties/0'"),
        (lambda papers: edited(papers, duties=[]), {}, "duties.json says nothing of it"),
        (lambda papers: None, {"owed": []}, "is named by the verdict and owed to nobody"),
    ],
)
def test_a_record_that_is_not_of_this_verdict_fulfils_nothing(
    papers: Path, change: Callable[[Path], object], said: dict[str, Any], says: str
) -> None:
    change(papers)
    with pytest.raises(DutyOpen, match=says):
        require_duties(papers, verdict(**said), name="tiny-style")


def test_a_verdict_that_says_nothing_of_duties_is_refused(papers: Path) -> None:
    older = {key: value for key, value in VERDICT.items() if key != "owed"}
    with pytest.raises(DutyOpen, match="older than this version; check the licences again"):
        require_duties(papers, older, name="tiny-style")


def test_no_package_is_sealed_over_an_open_duty(tmp_path: Path) -> None:
    sources: dict[str, Any] = {
        "bundle": write_bundle(tmp_path / "bundle"),
        "base": write_base(tmp_path / "base"),
        "base_ref": "tiny",
        "base_revision": None,
        "verdict": VERDICT,
        "settings": settings(),
    }
    papers = write_notices(tmp_path / "notices")
    without = Path(shutil.copytree(papers, tmp_path / "without"))
    (without / "LICENSES" / "base.txt").unlink()
    with pytest.raises(DutyOpen, match=r"LICENSES/base\.txt is not in the package"):
        build_package(**sources, notices=without, out=tmp_path / "refused")
    assert not (tmp_path / "refused" / "package.json").exists()
    for name in ("bom.json", "duties.json", "NOTICE"):
        lacking = Path(shutil.copytree(papers, tmp_path / f"without-{name}"))
        (lacking / name).unlink()
        with pytest.raises(PackageError, match=re.escape(f"have no file {name}")):
            build_package(**sources, notices=lacking, out=tmp_path / f"out-{name}")
    package = build_package(**sources, notices=papers, out=tmp_path / "out")
    schema = json.loads((ROOT / "docs/schemas/app-package.schema.json").read_text())
    record = json.loads((package.folder / "package.json").read_text())
    jsonschema.validate(record, schema, cls=jsonschema.Draft202012Validator)
    assert (package.folder / "LICENSES" / "base.txt").read_bytes() == (papers / "LICENSES" / "base.txt").read_bytes()
    del record["files"]["bom.json"]
    with pytest.raises(jsonschema.ValidationError, match=r"bom\.json"):
        jsonschema.validate(record, schema, cls=jsonschema.Draft202012Validator)
