"""Packages that are deployed: what their metadata says, held against the licence files they carry."""

import re
from importlib import resources
from pathlib import Path

import pytest

from licenses.environment import Package, installed
from licenses.errors import BadReference

HEAD = "Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n"


def text_of(spdx: str) -> str:
    """A licence text for the test: the pattern that licenseclassifier ships for it, without its comments."""
    import gzip
    import json

    raw = (resources.files("licenseclassifier") / "_engine" / "licenses.json.gz").read_bytes()
    pattern = next(row["lre"] for row in json.loads(gzip.decompress(raw)) if row["id"] == spdx)
    return re.sub(r"//\*\*.*?\*\*//|__\d+__|\(\(|\)\)\??|//", " ", pattern, flags=re.S)


def dist(folder: Path, name: str, fields: str = "", files: dict[str, str] | None = None) -> Path:
    """A made-up installed package with this metadata and these files beside it."""
    info = folder / f"{name}-1.0.dist-info"
    held = {f"{info.name}/METADATA": HEAD.format(name=name) + fields, **{f"{info.name}/{k}": v for k, v in (files or {}).items()}}
    for path, text in held.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in held), encoding="utf-8")
    return folder


def only(folder: Path, name: str) -> Package:
    return next(one for one in installed([name], path=[str(folder)]) if one.name == name)


def test_metadata_says_mit_and_the_file_is_agpl(tmp_path: Path) -> None:
    made = dist(tmp_path, "bare-detector", "License: MIT\n", {"LICENSE": text_of("AGPL-3.0")})
    package = only(made, "bare-detector")
    assert package.declared == "MIT"
    (finding,) = package.findings
    assert finding.code == "file_contradicts_metadata"
    assert finding.file == "bare-detector-1.0.dist-info/LICENSE"
    assert "AGPL-3.0" in finding.text


@pytest.mark.parametrize(
    ("fields", "files", "codes"),
    [
        ("License-Expression: MIT\n", {"licenses/LICENSE": "0BSD"}, []),
        ("License-Expression: GPL-3.0-only\n", {}, ["license_barred"]),
        ("License-Expression: MIT OR GPL-3.0-only\n", {}, []),
        ("License-Expression: MIT AND GPL-3.0-only\n", {}, ["license_barred"]),
        ("License-Expression: AGPL-3.0-or-later\n", {"LICENSE": "AGPL-3.0"}, ["license_barred"]),
        ("License-Expression: MIT-ish\n", {}, ["license_unknown"]),
        ("License: BUSL-1.1\n", {}, ["license_barred"]),
        ("License: ask me\n", {"LICENSE": "0BSD"}, ["license_unknown"]),
        ("", {}, ["license_unknown"]),
        ("", {"LICENSE": "0BSD"}, []),
        ("", {"LICENSE": "GPL-3.0"}, ["license_barred"]),
        ("Classifier: License :: OSI Approved :: MIT License\n", {}, []),
        (
            "Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: Other/Proprietary License\n",
            {},
            ["license_unknown"],
        ),
        ("License: MIT\n", {"licenses/vendor/LICENSE": "GPL-3.0"}, ["file_contradicts_metadata"]),
    ],
)
def test_what_is_declared_and_what_is_held(tmp_path: Path, fields: str, files: dict[str, str], codes: list[str]) -> None:
    made = dist(tmp_path, "thing", fields, {path: text_of(spdx) for path, spdx in files.items()})
    assert sorted({finding.code for finding in only(made, "thing").findings}) == codes


def test_what_is_required_is_judged_too(tmp_path: Path) -> None:
    dist(tmp_path, "top", "License-Expression: MIT\nRequires-Dist: Under_Neath>=1\nRequires-Dist: tests-only; extra == 'dev'\n")
    dist(tmp_path, "under-neath", "License-Expression: SSPL-1.0\nRequires-Dist: gone\n")
    found = {one.name: [finding.code for finding in one.findings] for one in installed(["top==1.0"], path=[str(tmp_path)])}
    assert found == {"gone": ["not_installed"], "top": [], "under-neath": ["license_barred"]}


def test_an_extra_that_is_asked_for_counts(tmp_path: Path) -> None:
    dist(tmp_path, "top", "License-Expression: MIT\nRequires-Dist: more; extra == 'dev'\n")
    assert [one.name for one in installed(["top[dev]"], path=[str(tmp_path)])] == ["more", "top"]


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadReference, match="is no package"):
        installed(["not a name"], path=[str(tmp_path)])


def test_what_a_packaged_app_installs_may_be_deployed() -> None:
    from serving.release.app_toml import requirements

    packages = installed(requirements())
    assert len(packages) > 50
    assert {one.name: [finding.text for finding in one.findings] for one in packages if one.findings} == {}
