"""Which replies the queue tries again: the rules alone."""

from typing import Any

import pytest

from serving.sandbox.gateway.replies import Reply, fault
from serving.sandbox.gateway.retries import Policy, budgets_of, policy_of

REPLY_503 = Reply(status=503, headers=(), body=b"")
REPLY_200 = Reply(status=200, headers=(("x-fal-needs-retry", "1"),), body=b"")
REPLY_500 = Reply(status=500, headers=(("x-fal-needs-retry", "true"),), body=b"")


@pytest.mark.parametrize(
    ("reply", "settings", "used", "attempts", "allowed"),
    [
        (REPLY_503, {}, {}, 9, True),
        (REPLY_503, {}, {}, 10, False),
        (REPLY_200, {}, {}, 1, False),
        (REPLY_500, {"skip_retry_conditions": ["server_error"]}, {}, 1, True),
        (Reply(status=500, headers=(), body=b""), {}, {}, 1, False),
        (fault(504, "", "request_timeout"), {}, {}, 1, True),
        (fault(504, "", "request_timeout"), {"skip_retry_conditions": ["timeout"]}, {}, 1, False),
        (fault(504, "", "request_timeout", **{"x-fal-request-timeout-type": "user"}), {}, {}, 1, False),
        (fault(503, "", "runner_connection_refused"), {"retry_config": {"connection_error": {"retries": 1}}}, {}, 1, True),
        (
            fault(503, "", "runner_connection_refused"),
            {"retry_config": {"connection_error": {"retries": 1}}},
            {"connection_error": 1, "timeout": 0},
            2,
            False,
        ),
        (fault(503, "", "runner_disconnected"), {"retry_config": {"timeout": {"retries": 0}}}, {}, 1, True),
        (fault(503, "", "runner_scheduling_failure"), {"retry_config": {"server_error": {"retries": 0}}}, {}, 1, True),
        (fault(500, "", "runner_server_error"), {}, {}, 1, False),
    ],
)
def test_the_rules_of_retries(reply: Reply, settings: dict[str, Any], used: dict[str, int], attempts: int, allowed: bool) -> None:
    policy = policy_of(settings, no_retry=False, asked=None)
    assert policy.allows(reply, attempts=attempts, used=used) is allowed
    assert not Policy(never=True).allows(reply, attempts=attempts, used=used)


def test_a_retry_config_that_is_none_counts_for_nothing() -> None:
    for value in (None, "", "no json", "[1]", {"server_error": 3}, {"other": {"retries": 1}}, {"timeout": {"retries": True}}):
        assert budgets_of(value) == {}
    assert budgets_of('{"timeout": {"retries": -2}}') == {"timeout": 0}
