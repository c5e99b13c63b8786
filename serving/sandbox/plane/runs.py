"""RPCs that run something once: a build, a function, or an app that lives as long as its caller stays."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
import isolate_proto as proto
from isolate.server.interface import to_serialized_object

from ..errors import SandboxError
from ..fleet.agent_process import RunnerLog
from ..fleet.runners import Runner
from ..state import MAIN, Alias, Revision
from .access import abort, told
from .deployments import POLL_SECONDS, files_of, lines_until
from .service import Service, log
from .settings import settings_of

SUCCESS = proto.HostedRunStatus(state=proto.HostedRunStatus.SUCCESS)
SERVES = ".run_local"  # what an entry point ends with that serves an app


class Runs(Service):
    """`fal run`, the probe for an entry point's OpenAPI, and the build before both."""

    async def BuildEnvironment(self, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for line in self._built(request.environments):
                yield proto.BuildEnvironmentResult(logs=[log(line, source=proto.BUILDER)], env_id="local")
        except SandboxError as error:
            yield proto.BuildEnvironmentResult(logs=[log(str(error), level=proto.ERROR, source=proto.BUILDER)])
            await abort(context, error)
        yield proto.BuildEnvironmentResult(status=SUCCESS, env_id="local")

    async def Run(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """One result for a function; for an app its addresses, then its lines, until it ends or the caller leaves."""
        account, run_id = self._account(context), uuid.uuid4().hex
        async with told(context):
            async for _ in self._built(request.environments):
                pass  # BuildEnvironment told these lines before
            self._environment(account, request.environment_name)
            if _serves(request):
                results = self._served(context, run_id, *self._deployments.ephemeral(account, request))
            else:
                results = self._ran(run_id, account.nickname, request)
            async with aclosing(results):
                async for result in results:
                    yield result

    async def Map(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await _missing(context, "Map")
        yield  # pragma: no cover  (abort raises)

    async def InteractiveRun(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await _missing(context, "InteractiveRun")
        yield  # pragma: no cover  (abort raises)

    async def _ran(self, run_id: str, owner: str, request: Any) -> AsyncGenerator[Any]:
        """What a function writes, then what it gives back."""
        logs: list[RunnerLog] = []
        settings = settings_of(request)
        pickled = request.function.definition if request.WhichOneof("callable") == "function" else None
        running = asyncio.create_task(
            self._fleet.run_once(
                files_of(request),
                entrypoint=request.entrypoint,
                pickled=pickled,
                owner=owner,
                environments=settings["environment"],
                secrets=self._state.secrets(owner, request.environment_name or MAIN, settings.get("secrets")),
                opened=logs.append,
            )
        )
        try:
            async for lines in lines_until(running, lambda: logs[0] if logs else None):
                yield _going(run_id, logs=[log(line.text, at=line.at) for line in lines])
            yield proto.HostedRunResult(run_id=run_id, status=SUCCESS, return_value=running.result())
        finally:
            running.cancel()

    async def _served(self, context: Any, run_id: str, revision: Revision, alias: Alias) -> AsyncGenerator[Any]:
        serving = asyncio.create_task(self._until_it_ends(revision))
        try:
            yield _going(run_id, service_urls=self._urls(alias.owner, alias.name))
            async for lines in lines_until(serving, lambda: self._fleet.log_of(revision.id)):
                yield _going(run_id, logs=[log(line.text, at=line.at) for line in lines])
            if serving.exception() is not None:
                await abort(context, serving.exception())
            nothing = to_serialized_object(None, "cloudpickle")
            yield proto.HostedRunResult(run_id=run_id, status=SUCCESS, return_value=nothing)
        finally:
            self._state.delete_alias(alias.owner, alias.name)
            serving.cancel()
            await self._fleet.abandon(revision.id)
            self._deployments.forget(revision)

    async def _until_it_ends(self, revision: Revision) -> None:
        runner: Runner = await self._fleet.ready(revision)
        while runner.alive:
            await asyncio.sleep(POLL_SECONDS)


def _going(run_id: str, **what: Any) -> Any:
    return proto.HostedRunResult(run_id=run_id, status=proto.HostedRunStatus(state=proto.HostedRunStatus.IN_PROGRESS), **what)


def _serves(request: Any) -> bool:
    """Whether the callable is an app: the SDK says so by the port that it will listen on."""
    if request.WhichOneof("callable") == "function":
        return bool(request.machine_requirements.HasField("exposed_port"))
    return str(request.entrypoint).endswith(SERVES)


async def _missing(context: Any, method: str) -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not part of the sandbox; deploy the app, or use fal run")
