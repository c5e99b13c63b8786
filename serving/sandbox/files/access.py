"""Whose request it is, and whether its key may do this."""

from typing import Any

from starlette.requests import Request

from ..accounts import RIGHTS, Account
from ..gateway.gateway import Gateway, Refused


def allowed(gateway: Gateway, request: Request, *rights: str) -> Account:
    """The account of the request's key; Refused with 401 without one, with 403 where the key has none of the rights."""
    account = gateway.account(request)
    if account is None:
        raise Refused(status=401, detail="A key is required.", error_type="unauthorized")
    if not any(account.may(right) for right in rights):
        enough = ", ".join(preset for preset, granted in RIGHTS.items() if granted & set(rights))
        detail = f"A key of preset {account.preset} may not do this; use one of: {enough}."
        raise Refused(status=403, detail=detail, error_type="forbidden")
    return account


async def json_of(request: Request) -> dict[str, Any]:
    """The JSON object that is the request's body; Refused with 400 where it is none."""
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refused(status=400, detail="The body is not a JSON object.", error_type="bad_request")
    return body
