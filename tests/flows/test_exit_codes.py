"""docs/exit-codes.md is complete: every code that the code can end with has a row, and every row has code that ends so."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "exit-codes.md").read_text()
DOCUMENTED = {int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)}
ROOMS = ("flows", "training", "serving", "licenses")


def codes_in(tree: ast.AST) -> Iterator[int]:
    """Numbers that an `exit_code` is set to, or that a command exits with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = any(isinstance(target, ast.Name) and target.id in ("exit_code", "CODE") for target in targets)
            yield from numbers(node.value) if named and node.value else ()
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "typer.Exit":
            for argument in node.args:
                yield from numbers(argument)
        if isinstance(node, ast.keyword) and node.arg == "exit_code":
            yield from numbers(node.value)


def numbers(node: ast.expr) -> Iterator[int]:
    """The number, or the numbers that a choice ends in; those inside of a question do not count."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield node.value
    if isinstance(node, ast.IfExp):
        yield from (*numbers(node.body), *numbers(node.orelse))


def in_code() -> dict[int, str]:
    """Each code, and a file that ends with it."""
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*.py")]
    return {code: file.relative_to(ROOT).as_posix() for file in files for code in codes_in(ast.parse(file.read_text()))}


def test_every_code_that_a_command_ends_with_is_documented() -> None:
    assert {code: file for code, file in in_code().items() if code not in DOCUMENTED} == {}


def test_every_documented_code_is_one_that_something_ends_with() -> None:
    assert DOCUMENTED - in_code().keys() - {0} == set()


def test_every_error_tree_says_its_codes() -> None:
    from flows import errors as flow
    from licenses import errors as licence
    from serving.listing import errors as listing
    from serving.release import errors as release
    from serving.sandbox import errors as sandbox
    from training import errors as training

    for room in (flow, licence, listing, release, sandbox, training):
        faults = [one for one in vars(room).values() if isinstance(one, type) and issubclass(one, Exception)]
        assert faults
        for fault in faults:
            assert getattr(fault, "exit_code", 1) in DOCUMENTED, fault
