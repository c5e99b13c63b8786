"""The house plan: who may import whom, and what stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("flows", "training", "serving", "licenses")
FORBIDDEN = {
    "training": {"flows", "serving", "licenses", "prefect", "fal", "fal_client"},
    "serving": {"flows", "training", "licenses", "prefect"},
    "licenses": {"flows", "training", "serving", "prefect", "fal", "fal_client", "torch", "diffusers"},
    "serving/app": {"serving"},
    "serving/sandbox": {"serving"},
    "serving/listing": {"fal", "fal_client", "torch"},
    "flows": {"fal", "fal_client", "torch", "diffusers", "transformers"},
}
PREFECT_ONLY_IN = "flows"
HEAVY = {"torch", "diffusers", "transformers", "fal", "prefect"}


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Absolute module names that a file imports anywhere, functions included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def own(path: Path, room: str) -> str:
    return room.replace("/", ".")


@pytest.mark.parametrize("room", FORBIDDEN)
def test_room_keeps_its_arrows(room: str) -> None:
    assert modules(room), f"{room} is empty"
    broken = []
    for path in modules(room):
        for name in imported(path):
            inside = name == own(path, room) or name.startswith(f"{own(path, room)}.")
            if name.split(".")[0] in FORBIDDEN[room] and not inside:
                broken.append(f"{path.relative_to(ROOT)} imports {name}")
    assert broken == []


def test_fal_is_imported_in_app_release_and_sandbox_only() -> None:
    allowed = {"serving/app", "serving/release", "serving/sandbox"}
    users = {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in modules(room)
        if {"fal", "fal_client"} & {name.split(".")[0] for name in imported(path)}
    }
    assert users, "nobody imports fal: the test looks in the wrong place"
    assert {user for user in users if "/".join(user.split("/")[:2]) not in allowed} == set()


@pytest.mark.parametrize("module", ["licenses", "licenses.check", "serving.app.billing", "training", "flows.cli.main"])
def test_light_modules_import_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(sorted(set(sys.modules) & {HEAVY!r}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.strip() == "[]"
