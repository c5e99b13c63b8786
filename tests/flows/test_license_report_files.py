"""license report writes what it is asked for: JSON, Markdown and a page of one verdict, whole or not at all."""

import json
from pathlib import Path

import jsonschema
import pytest
import typer

from flows.books.records import write_text
from flows.cli.main import app, ended
from licenses.report import html, markdown, one_line

ROOT = Path(__file__).parents[2]
ALLOWED = (str(ROOT / "examples/base"), "--dataset", str(ROOT / "examples/emoji/pictures"))


def reported(*arguments: str) -> int:
    try:
        code = typer.main.get_command(app).main(["license", "report", *arguments], standalone_mode=False, prog_name="lorasmith")
    except (ValueError, OSError, SystemExit) as error:
        code = ended(error)
    return code if isinstance(code, int) else 0


@pytest.mark.parametrize(("base", "code"), [(ALLOWED, 0), (("black-forest-labs/FLUX.1-dev",), 3)])
def test_three_files_of_one_verdict(base: tuple[str, ...], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {kind: tmp_path / f"report.{kind}" for kind in ("html", "json", "markdown")}
    assert reported(*base, *(word for kind, file in files.items() for word in (f"--{kind}", str(file)))) == code
    verdict = json.loads(files["json"].read_text())
    schema = json.loads((ROOT / "docs/schemas/license-verdict.schema.json").read_text())
    jsonschema.validate(verdict, schema, cls=jsonschema.Draft202012Validator)
    assert files["html"].read_text() == html(verdict)
    assert files["markdown"].read_text() == markdown(verdict)
    assert capsys.readouterr().out == f"{one_line(verdict)}\n"
    assert sorted(tmp_path.iterdir()) == sorted(files.values())


def test_without_a_file_for_it_markdown_goes_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reported(*ALLOWED, "--json", str(tmp_path / "verdict.json")) == 0
    assert capsys.readouterr().out.rstrip("\n") == markdown(json.loads((tmp_path / "verdict.json").read_text())).rstrip("\n")


def test_what_can_not_be_written_is_one_line_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reported(*ALLOWED, "--html", str(tmp_path)) == 2
    assert reported(*ALLOWED, "--html", str(tmp_path / "nowhere" / "report.html")) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all("name a place that can be read and written" in line for line in said)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    write_text(file, "first")
    with pytest.raises(UnicodeEncodeError):
        write_text(file, "second \ud800")
    assert file.read_text() == "first"
    assert list(tmp_path.iterdir()) == [file]


def test_a_device_stays_a_device() -> None:
    write_text(Path("/dev/null"), "gone")
    assert Path("/dev/null").is_char_device()
