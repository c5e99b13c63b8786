"""What the documents tell a reader to run exists, and so do the files that they show."""

import re
from pathlib import Path

import pytest
import typer

from flows.cli.main import app

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")])


def commands() -> set[str]:
    """`publish`, `license check`, ... as the command line has them."""
    root = typer.main.get_command(app)
    names: set[str] = set()
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        names |= {f"{name} {sub}" for sub in below or ()} | ({name} if below is None or command.invoke_without_command else set())
    return names


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_and_pictures_exist(document: Path) -> None:
    text = document.read_text()
    known = commands()
    for words in re.findall(r"^\s*(?:\$ )?lorasmith ([a-z]+(?: [a-z][a-z0-9]*)?)", text, flags=re.MULTILINE):
        assert words in known or words.split()[0] in known, f"lorasmith {words}"
    for target in re.findall(r"!?\[[^\]]*\]\((?!https?:|#|mailto:)([^)]+)\)", text):
        assert (document.parent / target).exists(), target
    for target in re.findall(r"make ([a-z-]+)", "\n".join(re.findall(r"^    .*$", text, flags=re.MULTILINE))):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE), f"make {target}"


def test_the_readme_is_among_them() -> None:
    assert ROOT / "README.md" in DOCUMENTS
