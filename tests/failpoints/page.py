"""The tables of docs/reliability.md: what the drills found, between two marks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.failpoints.driver import Outcome, table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
DRILLS = {
    "Publish": "`b` is published over `a`, killed, and published again",
    "PublishAnother": "`b` is published over `a`, killed, and `c` is published then",
    "SetBack": "`b` fails its smoke test on main, and is killed on the way back to `a`",
    "RollBack": "a person rolls `b` back to `a`",
    "Probation": "`b` fails its callers on probation and goes back to `a` by itself",
    "Retire": "`a` is taken down",
    "Store": "an artefact of two files is made",
}
COMMAND = "python -m tests.failpoints"
ON_SANDBOX = "on the sandbox, with the SDK, while a caller calls main all the time"


def tables(drills: Mapping[str, Sequence[Outcome]]) -> dict[str, str]:
    """By name of the scenario."""
    return {name: f"{len(outcomes)} points: {DRILLS[name]}\n\n{table(outcomes)}" for name, outcomes in drills.items()}


def boundaries(found: Sequence[tuple[str, str]], refused: int) -> str:
    """What was found at each boundary of the chain on the sandbox."""
    rows = [f"| {label} | {what} |" for label, what in found]
    head = f"{ON_SANDBOX}: {refused} of its requests failed\n\n| killed | found then |\n|---|---|\n"
    return head + "\n".join(rows) + "\n"


def shown(name: str, command: str = COMMAND) -> str:
    """What the page has for a scenario."""
    _, found, rest = PAGE.read_text().partition(begin(name, command))
    assert found, f"docs/reliability.md has no table {name}"
    return rest.partition(end(name))[0].strip("\n") + "\n"


def put(name: str, text: str, command: str = COMMAND) -> None:
    """Put a scenario's table into the page."""
    before, found, rest = PAGE.read_text().partition(begin(name, command))
    assert found, f"docs/reliability.md has no place for {name}: {begin(name, command)} and {end(name)}"
    _, _, after = rest.partition(end(name))
    PAGE.write_text(f"{before}{begin(name, command)}\n{text}{end(name)}{after}")


def begin(name: str, command: str = COMMAND) -> str:
    return f"<!-- {name}: made by {command} --write -->"


def end(name: str) -> str:
    return f"<!-- {name}: end -->"
