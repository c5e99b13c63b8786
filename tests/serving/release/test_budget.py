"""Times and failures against their budget: numbers in, a judgement with its figures out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.release.budget import SLACK_SECONDS, Budget, failures, latency

SECONDS = st.lists(st.floats(0.01, 100), min_size=1, max_size=9)


@pytest.mark.parametrize(
    ("candidate", "live", "limit", "ok", "says"),
    [
        ([3.0], [1.0], None, True, "allowed are 4.00 s (2 times the live release's 1.00 s)"),
        ([4.1], [1.0], None, False, "median 4.10 s of 1 requests, allowed are 4.00 s"),
        ([1.0, 99.0, 1.1], [1.0], None, True, "median 1.10 s of 3 requests"),  # one that was late by chance
        ([3.0], [1.0], 2.5, False, "allowed are 2.50 s (the limit)"),
        ([3.0], [], 2.5, False, "allowed are 2.50 s (the limit)"),
        ([99.0], [], None, True, "there is nothing to compare with"),
        ([], [1.0], 2.5, True, "no request was timed"),
    ],
)
def test_a_median_is_held_against_what_is_live_and_the_limit(
    candidate: list[float], live: list[float], limit: float | None, ok: bool, says: str
) -> None:
    judged = latency(candidate, live, Budget(latency_seconds=limit))
    assert judged.ok is ok
    assert says in judged.text


@given(SECONDS, SECONDS)
def test_a_release_as_fast_as_what_is_live_is_never_over_its_budget(candidate: list[float], live: list[float]) -> None:
    assert latency(live, live, Budget(latency_factor=1.0)).ok
    slower = [seconds + 101 + SLACK_SECONDS for seconds in candidate]
    assert not latency(slower, live, Budget(latency_factor=1.0)).ok


@pytest.mark.parametrize(
    ("requests", "failed", "at_least", "ok", "judged"),
    [
        (100, 5, 20, True, True),
        (100, 6, 20, False, True),
        (19, 19, 20, True, False),
        (20, 2, 20, False, True),
        (0, 0, 1, True, False),
        (1, 1, 1, False, True),
    ],
)
def test_failures_are_judged_from_so_many_requests_on(requests: int, failed: int, at_least: int, ok: bool, judged: bool) -> None:
    judgement = failures(requests, failed, share=0.05, at_least=at_least)
    assert (judgement.ok, judgement.judged) == (ok, judged)
    assert f"{failed} of {requests} requests failed" in judgement.text
