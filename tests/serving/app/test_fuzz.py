"""A short run of the fuzz; the long one is `python -m tests.serving.app.fuzz --cases 2000`."""

from pathlib import Path

from tests.serving.app.fuzz import fuzz, small_whole
from tests.serving.app.surfaces import served


def test_requests_made_up_from_the_schema_find_nothing(tmp_path: Path) -> None:
    with served(tmp_path, small_whole()) as url:
        answers = fuzz(url, 120)
    for path in ("/", "/image-to-image", "/verify"):
        assert answers[f"POST {path}", 200] >= 1, answers  # else only refusals were looked at
        assert answers[f"POST {path}", 422] >= 3, answers
    assert {status for _, status in answers} == {200, 422}
