"""Whose request it is, and whether its key may do this."""

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
