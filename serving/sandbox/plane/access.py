"""Who may reach which method of the control plane, and how a refusal or a fault is told."""

import traceback
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc

from ..accounts import Account, Keyring
from ..errors import BuildFailed, NotAllowed, NotFound, RunnerFailed, SandboxError

CODES = {
    BuildFailed: grpc.StatusCode.FAILED_PRECONDITION,
    NotAllowed: grpc.StatusCode.PERMISSION_DENIED,
    NotFound: grpc.StatusCode.NOT_FOUND,
    RunnerFailed: grpc.StatusCode.ABORTED,
}
METHODS: Mapping[str, tuple[str, ...]] = {
    "deploy": (
        *("BuildEnvironment", "Run", "InteractiveRun", "Map", "RegisterApplication", "UpdateApplication", "DeleteApplication"),
        *("RolloutApplication", "SetAlias", "DeleteAlias", "SetSecret", "CreateEnvironment", "DeleteEnvironment"),
    ),
    "read": ("ListApplications", "ListAliases", "ListAliasRunners", "ListRunners", "ListSecrets", "ListEnvironments"),
    "runners": ("StopRunner", "KillRunner", "ShellRunner"),
    "keys": ("CreateUserKey", "ListUserKeys", "RevokeUserKey"),
}
RIGHT_OF = {method: right for right, methods in METHODS.items() for method in methods}
UNKNOWN_KEY = "Invalid key: the sandbox accepts only keys that it issued."


class KeyCheck(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """No method is reached without a key that the sandbox issued and that has the right to it."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        account = account_of(self._keyring, details.invocation_metadata)
        if account is None:
            return refusing(grpc.StatusCode.UNAUTHENTICATED, UNKNOWN_KEY)
        if handler is None:  # gRPC itself answers UNIMPLEMENTED
            return None
        try:
            account.check(RIGHT_OF[details.method.rpartition("/")[2]])
        except NotAllowed as error:
            return refusing(grpc.StatusCode.PERMISSION_DENIED, str(error))
        return handler


def account_of(keyring: Keyring, metadata: Iterable[tuple[str, Any]]) -> Account | None:
    """The account that a call's metadata proves."""
    given = {key: str(value) for key, value in metadata or () if key in ("auth-key", "auth-key-id")}
    return keyring.account_of(given.get("auth-key-id", ""), given.get("auth-key", ""))


def refusing(code: Any, line: str) -> Any:
    """A handler that answers with a status only: a stream, so that what nobody may send is not even read."""

    async def refuse(requests: Any, context: Any) -> AsyncIterator[Any]:
        await context.abort(code, line)
        yield  # pragma: no cover  (abort raises)

    return grpc.stream_stream_rpc_method_handler(refuse)


@asynccontextmanager
async def told(context: Any) -> AsyncIterator[None]:
    """A SandboxError inside becomes the status of the call, in its one line."""
    try:
        yield
    except SandboxError as error:
        await abort(context, error)


async def abort(context: Any, error: BaseException | None) -> None:
    """End the call with the status that fits the error; what is no SandboxError goes to the daemon's log, too."""
    code = next((code for kind, code in CODES.items() if isinstance(error, kind)), grpc.StatusCode.INTERNAL)
    if code is grpc.StatusCode.INTERNAL:
        traceback.print_exception(error)
    await context.abort(code, str(error))
