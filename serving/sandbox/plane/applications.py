"""RPCs for apps: register, repoint, scale, roll out, list and delete."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import isolate_proto as proto

from ..errors import NotAllowed, NotFound
from ..state import MAIN, Alias, Revision
from .access import abort, told
from .deployments import is_ephemeral, lines_until, with_settings
from .service import Service, log
from .settings import alias_info, application_info, update_of


class Applications(Service):
    """An app is an alias that names one of its revisions."""

    _rollouts: set[asyncio.Task[None]]

    async def RegisterApplication(self, request: Any, context: Any) -> AsyncIterator[Any]:
        account = self._account(context)
        async with told(context):
            async for _ in self._built(request.environments):
                pass  # BuildEnvironment told these lines before
            live = self._state.alias(account.nickname, request.application_name)
            revision, alias = self._deployments.register(account, request)
            rolling = request.deployment_strategy == proto.ROLLING
            detached = request.HasField("attach_to_deployment") and not request.attach_to_deployment
            # As the SDK says of --detach: it is for rolling, and where there is something to roll from.
            if detached and rolling and live is not None:
                self._in_background(self._deployments.introduce_detached(revision, alias))
            else:
                async with aclosing(self._introduced(context, revision, alias, rolling=rolling)) as lines:
                    async for line in lines:
                        yield line
            result = proto.RegisterApplicationResultType(application_id=revision.id)
            urls = self._urls(account.nickname, alias.name)
            yield proto.RegisterApplicationResult(result=result, service_urls=urls, env_id="local")

    async def SetAlias(self, request: Any, context: Any) -> Any:
        async with told(context):
            revision, alias = self._deployments.repoint(self._account(context), request)
            await self._deployments.roll_out(revision, alias, rolling=request.deployment_strategy == proto.ROLLING)
            return proto.SetAliasResult(alias_info=self._info(alias))

    async def ListAliases(self, request: Any, context: Any) -> Any:
        aliases = self._state.aliases(self._account(context).nickname, environment=request.environment_name or MAIN)
        return proto.ListAliasesResult(aliases=[self._info(alias) for alias in aliases if not is_ephemeral(alias.settings)])

    async def DeleteAlias(self, request: Any, context: Any) -> Any:
        async with told(context):
            alias = self._alias(self._account(context), request.alias)
            self._state.delete_alias(alias.owner, alias.name)
            self._fleet.retire(alias.revision)
            return proto.DeleteAliasResult(revision=alias.revision)

    async def UpdateApplication(self, request: Any, context: Any) -> Any:
        async with told(context):
            changed = with_settings(self._alias(self._account(context), request.application_name), update_of(request))
            self._state.put_alias(changed)
            self._fleet.scale(changed)
            return proto.UpdateApplicationResult(alias_info=self._info(changed))

    async def RolloutApplication(self, request: Any, context: Any) -> Any:
        """Fresh runners of the same revision; what they run is unchanged, their secrets are not."""
        async with told(context):
            alias = self._alias(self._account(context), request.application_name)
            revision = self._state.revision(alias.revision)
            if revision is None:
                raise NotFound(f"application '{alias.name}' has no revision any more; deploy it again")
            await self._fleet.rollout(revision, request.force)
            return proto.RolloutApplicationResult()

    async def ListApplications(self, request: Any, context: Any) -> Any:
        name = request.application_name if request.HasField("application_name") else None
        environment = request.environment_name if request.HasField("environment_name") else None
        account = self._account(context)
        hidden = {alias.name for alias in self._state.aliases(account.nickname) if is_ephemeral(alias.settings)}
        found = self._state.revisions(account.nickname, alias=name, environment=environment)
        infos = [
            application_info(revision, runners=len(self._fleet.running(revision.id)))
            for revision in found
            if revision.alias not in hidden
        ]
        return proto.ListApplicationsResult(applications=infos)

    async def DeleteApplication(self, request: Any, context: Any) -> Any:
        account = self._account(context)
        async with told(context):
            revision = self._state.revision(request.application_id)
            if revision is None or revision.owner != account.nickname:
                raise NotFound(f"revision '{request.application_id}' not found")
            if any(alias.revision == revision.id for alias in self._state.aliases(account.nickname)):
                raise NotAllowed(f"revision '{revision.id}' is live; delete or repoint its app first")
            self._deployments.forget(revision)
            return proto.DeleteApplicationResult()

    async def _introduced(self, context: Any, revision: Revision, alias: Alias, *, rolling: bool) -> AsyncGenerator[Any]:
        """What the app writes until the revision is live; the call ends with the error where it does not become so."""
        rollout = self._in_background(self._deployments.introduce(revision, alias, rolling=rolling))
        try:
            async for lines in lines_until(rollout, lambda: self._fleet.log_of(revision.id)):
                yield proto.RegisterApplicationResult(logs=[log(line.text, at=line.at) for line in lines])
        finally:
            rollout.cancel()  # who leaves before the end wants no deployment; without effect once it is done
        if rollout.exception() is not None:
            await abort(context, rollout.exception())

    def _in_background(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._rollouts.add(task)
        task.add_done_callback(self._rollouts.discard)
        return task

    def _info(self, alias: Alias) -> Any:
        return alias_info(alias, runners=len(self._fleet.running(alias.revision)))
