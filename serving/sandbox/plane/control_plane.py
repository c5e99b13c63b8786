"""The gRPC service that the SDK deploys through: controller.IsolateController, as far as a deploy and its management need it."""

import asyncio
import time
import traceback
import uuid
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any

import grpc
import isolate_proto as proto

from ..accounts import Account, Keyring
from ..errors import BuildFailed, NotAllowed, NotFound, RunnerFailed, SandboxError
from ..fleet.fleet import Fleet
from ..state import MAIN, SEPARATOR, Alias, Revision, State
from .deployments import Deployments, files_of, with_settings
from .requirements import check_environment
from .settings import alias_info, application_info, update_of

CODES = {
    BuildFailed: grpc.StatusCode.FAILED_PRECONDITION,
    NotAllowed: grpc.StatusCode.PERMISSION_DENIED,
    NotFound: grpc.StatusCode.NOT_FOUND,
    RunnerFailed: grpc.StatusCode.ABORTED,
}


class KeyCheck(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """No method is reached without a key that the sandbox issued."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or account_of(self._keyring, details.invocation_metadata) is not None:
            return handler

        async def refuse(request: Any, context: Any) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Invalid key: the sandbox accepts only keys that it issued.")

        async def refuse_stream(request: Any, context: Any) -> AsyncIterator[Any]:
            await refuse(request, context)
            yield  # pragma: no cover  (abort raises)

        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(refuse_stream)
        return grpc.unary_unary_rpc_method_handler(refuse)


def account_of(keyring: Keyring, metadata: Iterable[tuple[str, Any]]) -> Account | None:
    """The account that a call's metadata proves."""
    given = {key: str(value) for key, value in metadata or () if key in ("auth-key", "auth-key-id")}
    return keyring.account_of(given.get("auth-key-id", ""), given.get("auth-key", ""))


class ControlPlane(proto.IsolateControllerServicer):  # type: ignore[misc]
    """One method an RPC; what is not here answers UNIMPLEMENTED."""

    def __init__(self, state: State, keyring: Keyring, fleet: Fleet, address: str, *, shared_enabled: bool) -> None:
        self._state = state
        self._keyring = keyring
        self._fleet = fleet
        self._address = address
        self._deployments = Deployments(state, fleet, shared_enabled=shared_enabled)
        self._rollouts: set[asyncio.Task[None]] = set()

    async def BuildEnvironment(self, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            lines = _check_environments(request.environments)
        except SandboxError as error:
            yield proto.BuildEnvironmentResult(logs=[_log(str(error), level=proto.ERROR, source=proto.BUILDER)])
            await _abort(context, error)
        status = proto.HostedRunStatus(state=proto.HostedRunStatus.SUCCESS)
        yield proto.BuildEnvironmentResult(logs=[_log(line, source=proto.BUILDER) for line in lines], status=status, env_id="local")

    async def Run(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Runs a callable once; the SDK asks in this way for the OpenAPI of an entry point."""
        account = self._account(context)
        if request.machine_requirements.HasField("exposed_port") and request.WhichOneof("callable") == "function":
            await _abort(
                context, NotAllowed("the sandbox does not run apps that are not deployed; use fal deploy, or fal run --local")
            )
        try:
            _check_environments(request.environments)
            pickled = request.function.definition if request.WhichOneof("callable") == "function" else None
            result = await self._fleet.run_once(
                files_of(request), entrypoint=request.entrypoint, pickled=pickled, owner=account.nickname
            )
        except SandboxError as error:
            await _abort(context, error)
        status = proto.HostedRunStatus(state=proto.HostedRunStatus.SUCCESS)
        yield proto.HostedRunResult(run_id=uuid.uuid4().hex, status=status, return_value=result)

    async def RegisterApplication(self, request: Any, context: Any) -> AsyncIterator[Any]:
        account = self._account(context)
        try:
            _check_environments(request.environments)
            revision, alias = self._deployments.register(account, request)
        except SandboxError as error:
            await _abort(context, error)
        detached = request.HasField("attach_to_deployment") and not request.attach_to_deployment
        rollout = self._start_rollout(revision, alias, rolling=request.deployment_strategy == proto.ROLLING)
        if not detached:
            try:
                async for lines in self._deployments.lines_until(rollout, revision.id):
                    yield proto.RegisterApplicationResult(logs=[_log(line.text, at=line.at) for line in lines])
            finally:
                rollout.cancel()  # who leaves before the end wants no deployment; without effect once it is done
            if rollout.exception() is not None:
                await _abort(context, rollout.exception())
        result = proto.RegisterApplicationResultType(application_id=revision.id)
        yield proto.RegisterApplicationResult(result=result, service_urls=self._urls(account, alias.name), env_id="local")

    async def SetAlias(self, request: Any, context: Any) -> Any:
        try:
            revision, alias = self._deployments.repoint(self._account(context), request)
            await self._deployments.roll_out(revision, alias, rolling=request.deployment_strategy == proto.ROLLING)
        except SandboxError as error:
            await _abort(context, error)
        return proto.SetAliasResult(alias_info=self._info(alias))

    async def ListAliases(self, request: Any, context: Any) -> Any:
        aliases = self._state.aliases(self._account(context).nickname, environment=request.environment_name or MAIN)
        return proto.ListAliasesResult(aliases=[self._info(alias) for alias in aliases])

    async def DeleteAlias(self, request: Any, context: Any) -> Any:
        alias = await self._alias(context, request.alias)
        self._state.delete_alias(alias.owner, alias.name)
        self._fleet.retire(alias.revision)
        return proto.DeleteAliasResult(revision=alias.revision)

    async def UpdateApplication(self, request: Any, context: Any) -> Any:
        alias = await self._alias(context, request.application_name)
        changed = with_settings(alias, update_of(request))
        self._state.put_alias(changed)
        return proto.UpdateApplicationResult(alias_info=self._info(changed))

    async def ListApplications(self, request: Any, context: Any) -> Any:
        name = request.application_name if request.HasField("application_name") else None
        environment = request.environment_name if request.HasField("environment_name") else None
        found = self._state.revisions(self._account(context).nickname, alias=name, environment=environment)
        infos = [application_info(revision, runners=len(self._fleet.running(revision.id))) for revision in found]
        return proto.ListApplicationsResult(applications=infos)

    async def DeleteApplication(self, request: Any, context: Any) -> Any:
        account = self._account(context)
        revision = self._state.revision(request.application_id)
        if revision is None or revision.owner != account.nickname:
            await _abort(context, NotFound(f"revision '{request.application_id}' not found"))
        elif any(alias.revision == revision.id for alias in self._state.aliases(account.nickname)):
            await _abort(context, NotAllowed(f"revision '{revision.id}' is live; delete or repoint its app first"))
        else:
            self._fleet.retire(revision.id)
            self._state.delete_revision(revision.id)
            self._fleet.drop_pickle(revision.id)
        return proto.DeleteApplicationResult()

    async def SetSecret(self, request: Any, context: Any) -> Any:
        value = request.value if request.HasField("value") else None
        self._state.put_secret(self._account(context).nickname, request.environment_name or MAIN, request.name, value)
        return proto.SetSecretResponse()

    async def ListSecrets(self, request: Any, context: Any) -> Any:
        environment = request.environment_name or MAIN
        names = self._state.secrets(self._account(context).nickname, environment)
        return proto.ListSecretsResponse(secrets=[proto.Secret(name=name, environment_name=environment) for name in sorted(names)])

    async def ListEnvironments(self, request: Any, context: Any) -> Any:
        rows = self._state.environments(self._account(context).nickname)
        infos = [_environment(MAIN, "", 0.0), *(_environment(row["name"], row["description"], row["created_at"]) for row in rows)]
        return proto.ListEnvironmentsResponse(environments=infos)

    async def CreateEnvironment(self, request: Any, context: Any) -> Any:
        account = self._account(context)
        name = request.name
        if not name.replace("-", "").replace("_", "").isalnum() or SEPARATOR in name:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, f"environment name '{name}': letters, digits and single hyphens only"
            )
        if name == MAIN or any(row["name"] == name for row in self._state.environments(account.nickname)):
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, f"environment '{name}' exists already")
        self._state.put_environment(account.nickname, name, request.description)
        return proto.CreateEnvironmentResponse(environment=_environment(name, request.description, time.time()))

    async def DeleteEnvironment(self, request: Any, context: Any) -> Any:
        account = self._account(context)
        if not any(row["name"] == request.name for row in self._state.environments(account.nickname)):
            await _abort(context, NotFound(f"environment '{request.name}' not found"))
        for alias in self._state.aliases(account.nickname, environment=request.name):
            self._state.delete_alias(alias.owner, alias.name)
            self._fleet.retire(alias.revision)
        self._state.delete_environment(account.nickname, request.name)
        return proto.DeleteEnvironmentResponse()

    def _account(self, context: Any) -> Account:
        account = account_of(self._keyring, context.invocation_metadata())
        assert account is not None, "KeyCheck lets nobody else through"
        return account

    async def _alias(self, context: Any, name: str) -> Alias:
        alias = self._state.alias(self._account(context).nickname, name)
        if alias is None:
            await _abort(context, NotFound(f"application '{name}' not found"))
            raise AssertionError("abort raises")
        return alias

    def _start_rollout(self, revision: Revision, alias: Alias, *, rolling: bool) -> asyncio.Task[None]:
        task = asyncio.create_task(self._deployments.introduce(revision, alias, rolling=rolling))
        self._rollouts.add(task)
        task.add_done_callback(self._rollouts.discard)
        return task

    def _info(self, alias: Alias) -> Any:
        return alias_info(alias, runners=len(self._fleet.running(alias.revision)))

    def _urls(self, account: Account, name: str) -> Any:
        base, app = f"https://{self._address}", f"{account.nickname}/{name}"
        return proto.ServiceURLs(
            playground=f"{base}/models/{app}", run=f"{base}/{app}", queue=f"{base}/queue/{app}", ws="", log=f"{base}/logs/{app}"
        )


async def _abort(context: Any, error: BaseException | None) -> None:
    code = next((code for kind, code in CODES.items() if isinstance(error, kind)), grpc.StatusCode.INTERNAL)
    if code is grpc.StatusCode.INTERNAL:
        traceback.print_exception(error)
    await context.abort(code, str(error))


def _check_environments(environments: Iterable[Any]) -> list[str]:
    return [line for item in environments for line in check_environment(item.kind, proto.struct_to_dict(item.configuration))]


def _log(message: str, *, at: float | None = None, level: int = proto.STDOUT, source: int = proto.USER) -> Any:
    moment = datetime.fromtimestamp(at if at is not None else time.time(), UTC)
    return proto.Log(message=message, source=source, level=level, timestamp=proto.timestamp_from_datetime(moment))


def _environment(name: str, description: str, created_at: float) -> Any:
    moment = proto.timestamp_from_datetime(datetime.fromtimestamp(created_at, UTC))
    return proto.EnvironmentInfo(name=name, description=description, is_default=name == MAIN, created_at=moment)
