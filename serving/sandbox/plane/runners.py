"""RPCs for runners: list those of an app or of the account, stop and kill one."""

import time
from collections.abc import AsyncIterator
from datetime import UTC
from typing import Any

import grpc
import isolate_proto as proto

from ..accounts import Account
from ..errors import NotFound
from ..fleet.records import RunnerRow
from ..fleet.runners import Runner
from ..gateway.journeys import AtWork
from ..state import Alias, full_name
from .access import told
from .service import Service


class Runners(Service):
    """Only runners of the key's own account exist for it."""

    async def ListAliasRunners(self, request: Any, context: Any) -> Any:
        account = self._account(context)
        async with told(context):
            alias = self._alias(account, request.alias)
            return proto.ListAliasRunnersResponse(runners=self._infos(account.nickname, request, alias))

    async def ListRunners(self, request: Any, context: Any) -> Any:
        return proto.ListRunnersResponse(runners=self._infos(self._account(context).nickname, request, None))

    async def StopRunner(self, request: Any, context: Any) -> Any:
        """After what it is busy with, within its grace."""
        async with told(context):
            await self._fleet.stop_runner(self._own(context, request.runner_id).id, replace_first=request.replace_first)
            return proto.StopRunnerResponse()

    async def KillRunner(self, request: Any, context: Any) -> Any:
        async with told(context):
            await self._fleet.stop_runner(self._own(context, request.runner_id).id, 0.0)
            return proto.KillRunnerResponse()

    async def ShellRunner(self, request: Any, context: Any) -> AsyncIterator[Any]:
        line = "ShellRunner is not part of the sandbox; its runners are processes of this machine: fal runners list"
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, line)
        yield  # pragma: no cover  (abort raises)

    def _own(self, context: Any, runner_id: str) -> Runner:
        owner = self._account(context).nickname
        for runner in self._fleet.all():
            if runner.id == runner_id and runner.revision.owner == owner:
                return runner
        raise NotFound(f"runner '{runner_id}' not found; see: fal runners list")

    def _infos(self, owner: str, request: Any, alias: Alias | None) -> list[Any]:
        """Those that live, and those that ended since the asked moment."""
        live = [runner for runner in self._fleet.all() if runner.revision.owner == owner]
        infos = [self._live_info(runner) for runner in live if alias is None or runner.revision.alias == alias.name]
        if request.HasField("start_time"):
            since = request.start_time.ToDatetime(tzinfo=UTC).timestamp()
            known = {runner.id for runner in live}
            rows = [row for row in self._fleet.records.rows(owner=owner, since=since) if row.id not in known]
            infos += [_row_info(row) for row in rows if alias is None or full_name(row.app, row.environment) == alias.name]
        return infos

    def _live_info(self, runner: Runner) -> Any:
        info = proto.RunnerInfo(
            runner_id=runner.id,
            in_flight_requests=runner.in_flight,
            uptime=time.time() - (runner.started_at or time.time()),
            revision=runner.revision.id,
            alias=runner.revision.alias,
            state=proto.RunnerInfo.State.Value(runner.state),
            machine_type=runner.machine_type,
        )
        leases = [_lease(request) for request in self._at_work() if request.runner == runner.id]
        info.external_metadata.update({"present_in_group": True, "leases": leases})
        if runner.state == "IDLE":
            alias = self._state.alias(runner.revision.owner, runner.revision.alias)
            settings = runner.revision.settings if alias is None else alias.settings
            info.expiration_countdown = max(0, int(settings.get("keep_alive", 0) - runner.seat.idle))
        return info


def _lease(request: AtWork) -> dict[str, Any]:
    """A request that a runner has, as the SDK's table of requests reads it."""
    caller = Account(nickname=request.caller).user_id if request.caller else None
    return {"request_id": request.request_id, "caller_user_id": caller, "leased_at_epoch": request.created_at}


def _row_info(row: RunnerRow) -> Any:
    return proto.RunnerInfo(
        runner_id=row.id,
        uptime=(row.ended_at or time.time()) - row.started_at,
        revision=row.revision,
        alias=full_name(row.app, row.environment),
        state=proto.RunnerInfo.TERMINATED,
        machine_type=row.machine_type,
    )
