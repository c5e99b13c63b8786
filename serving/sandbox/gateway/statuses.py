"""What the queue says of a request, in the shapes that fal_client, the SDK and the JavaScript client read."""

import json
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..accounts import Account
from ..state import State
from .replies import Refused, Reply, Sender
from .tickets import Outcome


class Answer(Response):
    """The stored reply, as the app gave it."""

    def __init__(self, reply: Reply, request_id: str) -> None:
        super().__init__(status_code=reply.status)
        self._reply = reply
        self._request_id = request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Sender(send, self._request_id).whole(self._reply)


def completed(outcome: Outcome, lines: Sequence[dict[str, str]] | None) -> dict[str, Any]:
    """`error` is there where the request failed, `error_type` where it is known what failed."""
    body: dict[str, Any] = {"status": "COMPLETED", "logs": lines, "metrics": {"inference_time": round(outcome.seconds, 4)}}
    if outcome.cancelled:
        return body | {"error": "The request was cancelled.", "error_type": "client_cancelled"}
    if outcome.reply.error_type:
        return body | {"error": json.loads(outcome.reply.body)["detail"], "error_type": outcome.reply.error_type}
    if outcome.reply.status == 500:
        return body | {"error": "Invalid status code: 500", "error_type": "runner_server_error"}
    return body if outcome.reply.status < 400 else body | {"error": f"Invalid status code: {outcome.reply.status}"}


def shown(state: State, owner: str, alias: str, caller: str | None, lines: list[dict[str, str]]) -> list[dict[str, str]]:
    """The lines that a caller may see: none of another's app that keeps its logs private."""
    found = state.alias(owner, alias)
    private = found is not None and bool(found.settings.get("private_logs"))
    return [] if private and caller != owner else lines


def check_reader(account: Account | None, caller: str | None, *, changes: bool) -> bool:
    """Whether the request is theirs to hear of: its submitter's, or anybody's who knows its id where it came without a key."""
    if caller is None:
        return True
    if account is None:
        raise Refused(status=401, detail="Authentication is required to access this request.", error_type="unauthorized")
    if account.nickname != caller:
        return False
    if not account.may("call") and (changes or not account.may("read")):
        raise Refused(status=403, detail="This key may not do that.", error_type="forbidden")
    return True
