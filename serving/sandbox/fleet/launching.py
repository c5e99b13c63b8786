"""What a process of an app is started with: its files, its callable, its environment, its log."""

import asyncio
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import BuildFailed, NotFound
from ..state import Revision, State, stage_key
from .agent_process import Job, RunnerLog
from .environments import Environments
from .runners import runner_environment


class Launch:
    """Makes jobs from what lies in the sandbox's folder; `platform` gives what the platform sets in a runner of an account."""

    def __init__(
        self, folder: Path, state: State, platform: Callable[[str], Mapping[str, str]], environments: Environments
    ) -> None:
        self._folder = folder
        self._environments = environments
        self._state = state
        self._platform = platform

    async def of_revision(self, revision: Revision, runner_id: str) -> tuple[Job, RunnerLog]:
        """A runner's job, with the secrets that the revision names; all runners of a revision write into one log file."""
        secrets = self._state.secrets(revision.owner, revision.environment, revision.settings.get("secrets"))
        job = await self._job(
            runner_id,
            revision.files,
            entrypoint=revision.entrypoint,
            pickle=None if revision.entrypoint else self._pickle_path(revision.id),
            owner=revision.owner,
            app=revision.alias,
            environments=revision.settings.get("environment", ()),
            secrets=secrets,
        )
        log = self._log(f"{revision.alias}-{revision.id[:8]}", secrets=[*self._key_of(revision.owner), *secrets.values()])
        return job, log

    async def once(
        self,
        name: str,
        files: tuple[tuple[str, str], ...],
        *,
        entrypoint: str,
        pickled: bytes | None,
        owner: str,
        environments: Iterable[Mapping[str, Any]],
        secrets: Mapping[str, str],
    ) -> tuple[Job, RunnerLog]:
        """The job of a callable that runs once."""
        if pickled is not None:
            self.keep_pickle(name, pickled)
        pickle = self._pickle_path(name) if pickled is not None else None
        job = await self._job(
            name,
            files,
            entrypoint=entrypoint,
            pickle=pickle,
            owner=owner,
            app=name,
            environments=environments,
            secrets=secrets,
        )
        return job, self._log(name, secrets=[*self._key_of(owner), *secrets.values()])

    def keep_pickle(self, key: str, content: bytes) -> None:
        """The callable of an app that comes pickled, kept for all of its runners."""
        path = self._pickle_path(key)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content)

    def drop_pickle(self, key: str) -> None:
        self._pickle_path(key).unlink(missing_ok=True)

    async def _job(
        self,
        runner_id: str,
        files: tuple[tuple[str, str], ...],
        *,
        entrypoint: str,
        pickle: Path | None,
        owner: str,
        app: str,
        environments: Iterable[Mapping[str, Any]],
        secrets: Mapping[str, str] = MappingProxyType({}),
    ) -> Job:
        interpreter = await self._environments.interpreter(environments)
        stage = await asyncio.to_thread(_staged, self._folder, files)
        data = self._folder / "data" / owner  # what /data is on fal
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        platform = dict(secrets) | dict(self._platform(owner)) | {"LORASMITH_DATA": str(data)}
        environment = runner_environment(platform, app=app, runner_id=runner_id) | dict(interpreter.variables)
        return Job(
            id=runner_id,
            stage=stage,
            pickle=pickle,
            entrypoint=entrypoint,
            environment=environment,
            python=interpreter.python,
        )

    def _log(self, name: str, *, secrets: list[str]) -> RunnerLog:
        folder = self._folder / "logs"
        folder.mkdir(mode=0o700, exist_ok=True)
        proxies = [value for name, value in os.environ.items() if name.lower().endswith("_proxy") and "://" in value]
        return RunnerLog(folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}.log", secrets=[*secrets, *proxies])

    def _key_of(self, owner: str) -> list[str]:
        return self._platform(owner)["FAL_KEY"].split(":", 1)

    def _pickle_path(self, key: str) -> Path:
        return self._folder / "pickles" / f"{key}.pickle"


def _staged(folder: Path, files: tuple[tuple[str, str], ...]) -> Path:
    """A folder with copies of the uploaded files, made once for each set of files."""
    target = folder / "stages" / stage_key(files)
    if target.exists():
        return target
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
    partial.mkdir(parents=True, mode=0o700)
    try:
        for digest, relative in files:
            _copy(folder / "files" / digest, partial, relative)
    except (NotFound, BuildFailed):
        shutil.rmtree(partial)
        raise
    try:
        partial.rename(target)
    except OSError:  # another deploy of the same files was quicker
        shutil.rmtree(partial)
    return target


def _copy(source: Path, stage: Path, relative: str) -> None:
    if not source.exists():
        raise NotFound(f"file '{relative}' was not uploaded; deploy again")
    try:
        (stage / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, stage / relative)
    except OSError as error:  # a file where another needs a folder, a full disk
        raise BuildFailed(f"app file '{relative}' can not be laid out: {error.strerror}") from error
