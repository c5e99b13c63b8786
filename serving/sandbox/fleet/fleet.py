"""Which runners there are: started on demand or by a deploy, kept, stopped when idle, replaced after a crash."""

import asyncio
import time
import traceback
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import NotFound, RunnerFailed
from ..state import Alias, Revision, State, split_name
from .agent_process import AgentProcess, RunnerLog
from .environments import LOCAL, Environments
from .launching import Launch
from .leftovers import end_all
from .pool import Pool
from .records import RunnerRecords, RunnerRow
from .runners import Runner
from .settings import Pace, Settings
from .waiting import Waiter

REPLACED = "replaced by another revision"


class Fleet:
    """All runners of the sandbox: a pool for each revision that has some, or has requests that wait for one."""

    def __init__(
        self,
        folder: Path,
        state: State,
        platform: Callable[[str], Mapping[str, str]],
        *,
        environments: str = LOCAL,
        pace: Pace | None = None,
    ) -> None:
        self.records = RunnerRecords(state.db)
        self.records.close_cut_short()
        end_all(f"LORASMITH_DATA={folder}/data/")  # children of the runners of a sandbox that was killed
        self._state = state
        self._pace = pace or Pace()
        self.environments = Environments(folder / "environments", environments)
        self.environments.tidy()
        self._launch = Launch(folder, state, platform, self.environments)
        self._pools: dict[str, Pool] = {}
        self._retired: set[Pool] = set()
        self._logs: dict[str, RunnerLog] = {}

    async def ready(self, revision: Revision) -> Runner:
        """A healthy runner of the revision, started where there is none; RunnerFailed where setup() fails."""
        return await self._pool(revision).ready()

    @asynccontextmanager
    async def lease(
        self, revision: Revision, *, until: float | None = None, hint: str | None = None, low: bool = False
    ) -> AsyncIterator[Runner]:
        """A place at a runner, in order of arrival; StartTimedOut at `until` (time.monotonic), RunnerFailed where none starts.

        Without `until` the app's request_start_timeout counts from now. Who waits follows the alias: the runner is one of the
        revision that is live when its turn comes. A `hint` prefers runners that named it, and waits for none; `low` lets all
        others go first.
        """
        pool = self._pool(revision)
        waiter = Waiter(hint, low=low)
        pool.join(waiter)
        try:
            yield await waiter.granted(until if until is not None else pool.start_limit())
        finally:
            waiter.leave()

    def running(self, revision_id: str | None = None) -> list[Runner]:
        """Runners that take requests."""
        pools = self._pools.values() if revision_id is None else filter(None, [self._pools.get(revision_id)])
        return [runner for pool in pools for runner in pool.live]

    def all(self) -> list[Runner]:
        """Every runner that has not ended, those that start and those that drain too."""
        return [runner for pool in (*self._pools.values(), *self._retired) for runner in pool.runners.values()]

    def waiting(self, revision_id: str) -> int:
        """Requests that wait for a place."""
        pool = self._pools.get(revision_id)
        return pool.waiting if pool is not None else 0

    def log_of(self, revision_id: str) -> RunnerLog | None:
        """The log of the latest runner of a revision, while it starts too."""
        pool = self._pools.get(revision_id)
        if pool is not None and pool.log is not None:
            self._logs[revision_id] = pool.log
        return self._logs.get(revision_id)

    def retire(self, revision_id: str, reason: str = REPLACED) -> None:
        """Tell the revision's runners to end: they answer what they have, within their grace. Nobody waits for it here."""
        self.log_of(revision_id)
        pool = self._pools.pop(revision_id, None)
        if pool is None:
            return
        self._retired.add(pool)
        left = pool.retire(reason)
        alias = self._state.alias(pool.revision.owner, pool.revision.alias)
        successor = self._state.revision(alias.revision) if alias is not None and alias.revision != revision_id else None
        for waiter in left:
            if successor is not None:
                self._pool(successor).join(waiter)
            elif not waiter.place.done():
                waiter.place.set_exception(RunnerFailed(f"app '{pool.revision.alias}' was deleted while the request waited"))

    async def abandon(self, revision_id: str) -> None:
        """Stop what was begun for a revision that nobody waits for any more."""
        if revision_id in self._pools:
            await self._pools[revision_id].abandon()
        self.retire(revision_id, "its deployment was given up")

    async def stop_runner(
        self, runner_id: str, grace: float | None = None, *, replace_first: bool = False, reason: str = "stopped"
    ) -> None:
        """End one runner: after its own grace where none is given, at once with 0; NotFound where there is none."""
        pools = [*self._pools.values(), *self._retired]
        pool = next((pool for pool in pools if runner_id in pool.runners), None)
        if pool is None:
            raise NotFound(f"runner '{runner_id}' not found")
        runner = pool.runners[runner_id]
        if replace_first and runner.alive:
            await pool.replace([runner], reason)
        else:
            pool.end(runner, reason, grace)

    def scale(self, alias: Alias) -> None:
        """Settings of the alias are others now."""
        if alias.revision in self._pools:
            self._pools[alias.revision].tidy()

    async def rollout(self, revision: Revision, force: bool = False) -> None:
        """New runners for old ones: as many are started first; with `force` the old ones end at once, requests or not."""
        pool = self._pool(revision)
        if not force:
            await pool.replace(pool.live, "rollout")
            return
        for runner in pool.live:
            pool.end(runner, "rollout", 0.0)

    async def run_once(
        self,
        files: tuple[tuple[str, str], ...],
        *,
        entrypoint: str,
        pickled: bytes | None,
        owner: str,
        environments: Iterable[Mapping[str, Any]] = (),
        secrets: Mapping[str, str] = MappingProxyType({}),
        opened: Callable[[RunnerLog], None] = lambda _: None,
    ) -> Any:
        """Run a callable in a process of its own and return the agent's SerializedObject; `opened` gets its log before."""
        name = f"run-{uuid.uuid4().hex[:12]}"
        job, log = await self._launch.once(
            name, files, entrypoint=entrypoint, pickled=pickled, owner=owner, environments=environments, secrets=secrets
        )
        opened(log)
        process = AgentProcess(job, log)
        try:
            await process.start()
            return await process.run("sandbox_bootstrap:call", on_main_thread=pickled is not None)
        finally:
            await process.stop()
            log.close()
            self._launch.drop_pickle(name)

    def keep_pickle(self, key: str, content: bytes) -> None:
        """The callable of an app that comes pickled, kept for all of its runners."""
        self._launch.keep_pickle(key, content)

    def drop_pickle(self, key: str) -> None:
        self._launch.drop_pickle(key)

    async def sweep(self) -> None:
        """For ever: keep up what shall be up, end what is idle, write down what runs."""
        while True:
            try:
                self._keep_up()
                for pool in list(self._pools.values()):
                    pool.tidy()
                self._retired = {pool for pool in self._retired if pool.runners}
                self.records.flush()
            except Exception as error:  # one app's trouble is not the others': into the daemon's log
                traceback.print_exception(error)
            await asyncio.sleep(self._pace.sweep)

    async def close(self) -> None:
        """Stop every runner; afterwards no process of an app is left."""
        await asyncio.gather(*(pool.close(grace=self._pace.close) for pool in (*self._pools.values(), *self._retired)))
        self.records.flush()

    def _keep_up(self) -> None:
        """Pools for the apps that have runners without requests, after a restart too."""
        for alias in self._state.aliases():
            kept = (alias.settings.get("min_concurrency"), alias.settings.get("concurrency_buffer"))
            if any(kept) and alias.revision not in self._pools:
                revision = self._state.revision(alias.revision)
                if revision is not None:
                    self._pool(revision)

    def _pool(self, revision: Revision) -> Pool:
        if revision.id not in self._pools:
            settings = Settings(state=self._state, revision=revision)
            self._pools[revision.id] = Pool(revision, self._launch, self._pace, settings=settings, entered=self._write_down)
        return self._pools[revision.id]

    def _write_down(self, runner: Runner) -> None:
        """The runner is in another state."""
        now = time.time()
        if runner.state == "SETUP":
            self.records.began(_row(runner, now))
        elif runner.state == "TERMINATED":
            self.records.ended(runner.id, runner.reason or "stopped", at=now)
        else:
            self.records.entered(runner.id, runner.state, at=now)


def _row(runner: Runner, now: float) -> RunnerRow:
    app, environment = split_name(runner.revision.alias)
    return RunnerRow(
        id=runner.id,
        revision=runner.revision.id,
        owner=runner.revision.owner,
        app=app,
        environment=environment,
        machine_type=runner.machine_type,
        started_at=now,
        ready_at=None,
        ended_at=None,
        reason=None,
        state=runner.state,
    )
