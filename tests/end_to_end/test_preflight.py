"""`lorasmith preflight` over what a publish has left, and a deploy that it stops."""

import json
from pathlib import Path

from tests.end_to_end.conftest import Changed, Run, live


def states(said: str) -> dict[str, str]:
    return {finding["check"]: finding["state"] for finding in json.loads(said)["findings"]}


def test_what_was_published_is_ready_to_be_deployed_again(published: object, lorasmith: Run, small_job: Path) -> None:
    result = lorasmith("preflight", str(small_job), "--json")
    assert result.returncode == 0, result.stderr + result.stdout
    found = states(result.stdout)
    for check in (
        "key",
        "clock",
        "environments",
        "secrets",
        "name",
        "machine",
        "package",
        "lint",
        "client",
        "licences",
        "shared mode",
    ):
        assert found[check] == "passed", check
    assert {check for check, state in found.items() if state == "unknown"} == {"rights", "budget", "quota", "availability", "price"}


def test_a_machine_that_fal_does_not_have_is_told_with_its_neighbours(
    published: object, lorasmith: Run, changed: Changed, home: Path
) -> None:
    before = live(home)
    result = lorasmith("preflight", str(changed("serving", {"machine_type": "GPU-H1000"})))
    assert result.returncode == 2
    assert "✗ machine" in result.stdout
    assert "GPU-H100, " in result.stdout
    assert live(home) == before
