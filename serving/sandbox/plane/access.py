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
            return refusing(handler, grpc.StatusCode.UNAUTHENTICATED, UNKNOWN_KEY)
        if handler is None:  # gRPC itself answers UNIMPLEMENTED
            return None
        try:
            account.check(RIGHT_OF[details.method.rpartition("/")[2]])
        except NotAllowed as error:
            return refusing(handler, grpc.StatusCode.PERMISSION_DENIED, str(error))
        return handler


def account_of(keyring: Keyring, metadata: Iterable[tuple[str, Any]]) -> Account | None:
    """The account that a call's metadata proves."""
    given = {key: str(value) for key, value in metadata or () if key in ("auth-key", "auth-key-id")}
    return keyring.account_of(given.get("auth-key-id", ""), given.get("auth-key", ""))


def refusing(handler: Any, code: Any, line: str) -> Any:
    """A handler of the same kind that answers with a status only."""

    async def refuse(request: Any, context: Any) -> None:
        await context.abort(code, line)

    async def refuse_stream(request: Any, context: Any) -> AsyncIterator[Any]:
        await refuse(request, context)
        yield  # pragma: no cover  (abort raises)

    match handler is not None and handler.request_streaming, handler is not None and handler.response_streaming:
        case True, True:
            return grpc.stream_stream_rpc_method_handler(refuse_stream)
        case True, False:
            return grpc.stream_unary_rpc_method_handler(refuse)
        case False, True:
            return grpc.unary_stream_rpc_method_handler(refuse_stream)
    return grpc.unary_unary_rpc_method_handler(refuse)


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
