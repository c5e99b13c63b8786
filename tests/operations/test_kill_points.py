"""A few kills of each kind, again at every change; `make soak` has all of them, and docs/reliability.md what they found."""

from pathlib import Path

import pytest

from tests.failpoints.page import shown
from tests.operations.flow_points import QUICK_BLOWS, Drill, forking, quick
from tests.operations.kill_points import COMMAND, HEADS


def test_a_publish_that_is_killed_goes_on_and_trains_and_deploys_once(tmp_path: Path) -> None:
    with forking(tmp_path) as server:
        drill = Drill(server, tmp_path)
        found = quick(drill)
    assert drill.faults == []
    assert [outcome.ended for outcome in found[-4:]] == ["Completed; trained and deployed once"] * 4
    assert [outcome.point.name for outcome in found[:-1] if not outcome.point.when] == list(QUICK_BLOWS)


@pytest.mark.parametrize("drill", HEADS)
def test_the_page_shows_no_kill_that_was_not_mended(drill: str) -> None:
    rows = [line for line in shown(drill, COMMAND).splitlines() if line.startswith("| ")][1:]
    assert all("goes on" in row or "Completed" in row for row in rows)
