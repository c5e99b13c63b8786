"""What a job says of the app decides which duties can be fulfilled: before anything is downloaded or trained."""

import pytest

from flows.job_file import parse_job
from flows.papers import require_fulfilled
from licenses.errors import NoticesRefused
from tests.licenses.made import SMALL, asset, verdict_of

KREA = verdict_of([asset("krea-2-community")], SMALL)


@pytest.mark.parametrize(("safety", "passes"), [(None, True), ("required", True), ("optional", False), ("off", False)])
def test_a_base_that_asks_for_filters_wants_a_checker_for_every_picture(safety: str | None, passes: bool) -> None:
    job = parse_job(
        {
            "name": "icons",
            "base": {"ref": "/base"},
            "dataset": {"path": "/pictures"},
            "serving": {"app": "icons"} | ({"safety": safety} if safety else {}),
            "listing": {"title": "Icons", "short_description": "Icons."},
        }
    )
    assert "FILTER" in {row["duty"] for row in KREA["owed"]}
    if passes:
        require_fulfilled(job, KREA)
        return
    with pytest.raises(NoticesRefused, match=r"set safety: required under serving in the job$") as refused:
        require_fulfilled(job, KREA)
    assert (refused.value.exit_code, "FILTER" in str(refused.value)) == (3, True)
