"""Which runner answers for which revision: started on demand or by a deploy, stopped when idle, replaced after a crash."""

import asyncio
import re
import shutil
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import NotFound, RunnerFailed
from ..state import Alias, Revision, State, stage_key
from .agent_process import AgentProcess, Job, RunnerLog
from .runners import GRACE_SECONDS, Runner, runner_environment

KEEP_ALIVE_SECONDS = 60
SWEEP_SECONDS = 0.5
SETTLE_SECONDS = 0.2


class Fleet:
    """All runners of the sandbox, at most one a revision."""

    def __init__(self, folder: Path, state: State, platform: Callable[[str], Mapping[str, str]]) -> None:
        self._folder = folder
        self._state = state
        self._platform = platform
        self._runners: dict[str, Runner] = {}
        self._starting: dict[str, asyncio.Task[Runner]] = {}
        self._logs: dict[str, RunnerLog] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    async def ready(self, revision: Revision) -> Runner:
        """A healthy runner of the revision, started where there is none; RunnerFailed where setup() fails."""
        runner = self._runners.get(revision.id)
        if runner is not None and runner.alive:
            return runner
        if revision.id not in self._starting:
            task = asyncio.create_task(self._start(revision))
            self._starting[revision.id] = task
            task.add_done_callback(lambda _: self._starting.pop(revision.id, None))
        return await asyncio.shield(self._starting[revision.id])

    def log_of(self, revision_id: str) -> RunnerLog | None:
        """The log of the latest runner of a revision, while it starts too."""
        return self._logs.get(revision_id)

    def running(self, revision_id: str | None = None) -> list[Runner]:
        return [runner for key, runner in self._runners.items() if runner.alive and revision_id in (None, key)]

    def retire(self, revision_id: str) -> None:
        """Tell the revision's runner to end: it answers what it has, within its grace. Nobody waits for it here."""
        runner = self._runners.pop(revision_id, None)
        if runner is not None:
            runner.lost()
            task = asyncio.create_task(self._end(runner))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def abandon(self, revision_id: str) -> None:
        """Stop what was begun for a revision that nobody waits for any more."""
        task = self._starting.get(revision_id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.retire(revision_id)

    async def run_once(self, files: tuple[tuple[str, str], ...], *, entrypoint: str, pickled: bytes | None, owner: str) -> Any:
        """Run a callable in a process of its own and return the agent's SerializedObject."""
        name = f"run-{time.time_ns():x}"
        if pickled is not None:
            self.keep_pickle(name, pickled)
        job = await self._job(name, files, entrypoint=entrypoint, owner=owner, app=name)
        log = RunnerLog(self._log_path(name), secrets=self._key_of(owner))
        process = AgentProcess(job, log)
        try:
            await process.start()
            return await process.run("sandbox_bootstrap:call", on_main_thread=pickled is not None)
        finally:
            await process.stop()
            log.close()
            self.drop_pickle(name)

    def keep_pickle(self, key: str, content: bytes) -> None:
        """The callable of an app that comes pickled, kept for all of its runners."""
        path = self._pickle_path(key)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content)

    def drop_pickle(self, key: str) -> None:
        self._pickle_path(key).unlink(missing_ok=True)

    async def sweep(self) -> None:
        """For ever: drop dead runners, stop idle ones, check the health of the rest."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            looks = [self._look_after(key, runner) for key, runner in self._runners.items()]
            for result in await asyncio.gather(*looks, return_exceptions=True):
                if isinstance(result, Exception):
                    traceback.print_exception(result)  # into the daemon's log: one runner's trouble is not the others'

    async def close(self) -> None:
        """Stop every runner; afterwards no process of an app is left."""
        pending: list[asyncio.Task[Any]] = [*self._starting.values(), *self._retiring]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await asyncio.gather(*(runner.stop(grace=2.0) for runner in self._runners.values()))

    async def _look_after(self, key: str, runner: Runner) -> None:
        if not runner.alive:
            if self._runners.get(key) is runner:
                del self._runners[key]
            await runner.stop(grace=0.0)
        elif self._is_idle(runner):
            self.retire(key)
        else:
            await runner.check()  # while requests run too

    async def _start(self, revision: Revision) -> Runner:
        stale = self._runners.pop(revision.id, None)
        if stale is not None:
            await stale.stop(grace=0.0)
        name = f"{revision.alias}-{revision.id[:8]}"
        secrets = self._state.secrets(revision.owner, revision.environment, revision.settings.get("secrets"))
        job = await self._job(
            revision.id,
            revision.files,
            entrypoint=revision.entrypoint,
            owner=revision.owner,
            app=revision.alias,
            secrets=secrets,
        )
        log = RunnerLog(self._log_path(name), secrets=[*self._key_of(revision.owner), *secrets.values()])
        self._logs[revision.id] = log
        multiplexing = int(self._settings(revision).get("max_multiplexing") or 1)
        runner = Runner(revision, job, log, multiplexing=multiplexing)
        try:
            await runner.start()
        except RunnerFailed as error:
            raise RunnerFailed(f"app '{revision.alias}', revision {revision.id}: {error}") from error
        self._runners[revision.id] = runner
        return runner

    def _settings(self, revision: Revision) -> dict[str, Any]:
        live = self._live_alias(revision)
        return revision.settings if live is None else revision.settings | live.settings

    def _live_alias(self, revision: Revision) -> Alias | None:
        alias = self._state.alias(revision.owner, revision.alias)
        return alias if alias is not None and alias.revision == revision.id else None

    def _is_idle(self, runner: Runner) -> bool:
        settings = self._settings(runner.revision)
        if self._live_alias(runner.revision) is not None and int(settings.get("min_concurrency") or 0) > 0:
            return False
        keep_alive = settings.get("keep_alive")
        seconds = KEEP_ALIVE_SECONDS if keep_alive is None else float(keep_alive)
        return runner.in_flight == 0 and time.monotonic() - runner.idle_since > seconds

    async def _end(self, runner: Runner) -> None:
        """SIGTERM, once what was just sent has arrived: a server that closes may lose what is on its way to it."""
        await asyncio.sleep(SETTLE_SECONDS)
        await runner.stop(grace=float(runner.revision.settings.get("termination_grace_period_seconds") or GRACE_SECONDS))

    async def _job(
        self,
        key: str,
        files: tuple[tuple[str, str], ...],
        *,
        entrypoint: str,
        owner: str,
        app: str,
        secrets: Mapping[str, str] = MappingProxyType({}),
    ) -> Job:
        stage = await asyncio.to_thread(_staged, self._folder, files)
        data = self._folder / "data"  # what /data is on fal
        data.mkdir(mode=0o700, exist_ok=True)
        platform = dict(secrets) | dict(self._platform(owner)) | {"LORASMITH_DATA": str(data)}
        environment = runner_environment(platform, app=app, runner_id=key)
        pickled = None if entrypoint else self._pickle_path(key)
        return Job(stage=stage, pickle=pickled, entrypoint=entrypoint, environment=environment)

    def _key_of(self, owner: str) -> list[str]:
        return self._platform(owner)["FAL_KEY"].split(":", 1)

    def _log_path(self, name: str) -> Path:
        return self._folder / "logs" / f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}.log"

    def _pickle_path(self, key: str) -> Path:
        return self._folder / "pickles" / f"{key}.pickle"


def _staged(folder: Path, files: tuple[tuple[str, str], ...]) -> Path:
    """A folder with copies of the uploaded files, made once for each set of files."""
    target = folder / "stages" / stage_key(files)
    if target.exists():
        return target
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
    partial.mkdir(parents=True, mode=0o700)
    for digest, relative in files:
        source = folder / "files" / digest
        if not source.exists():
            raise NotFound(f"file '{relative}' was not uploaded; deploy again")
        (partial / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, partial / relative)
    try:
        partial.rename(target)
    except OSError:  # another deploy of the same files was quicker
        shutil.rmtree(partial)
    return target
