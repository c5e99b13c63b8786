"""Deployments: what a registration becomes, and how an alias moves from one revision to the next."""

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import isolate_proto as proto

from ..accounts import Account
from ..errors import BuildFailed, NotAllowed, NotFound, RunnerFailed, SandboxError
from ..fleet.agent_process import Line, RunnerLog
from ..fleet.fleet import Fleet
from ..state import MAIN, Alias, Revision, State, full_name, split_name
from .settings import DEFAULTS, health_of, kept_settings, settings_of, updated

POLL_SECONDS = 0.1
# A run that serves has one runner, from its first to its last moment.
EPHEMERAL = {"ephemeral": True, "max_concurrency": 1, "min_concurrency": 0, "concurrency_buffer": 0, "keep_alive": 10**9}
LONGEST_NAME = 200  # of an app, or of a file or folder in it: names of files are made of them, which end at 255 bytes
TAIL_CHARACTERS = 3000  # an error travels in a gRPC trailer, which holds 8 KiB


class Deployments:
    """register() remembers a revision, introduce() makes it live, repoint() and roll_out() an earlier one."""

    def __init__(self, state: State, fleet: Fleet, *, shared_enabled: bool) -> None:
        self._state = state
        self._fleet = fleet
        self._shared_enabled = shared_enabled

    def register(self, account: Account, request: Any) -> tuple[Revision, Alias]:
        """The new revision, and its alias as it shall be once the revision is live."""
        alias = self._planned(account, request, settings_of(request), reset=request.scale)
        return self._kept(request, alias, proto.struct_to_dict(request.metadata)), alias

    def ephemeral(self, account: Account, request: Any) -> tuple[Revision, Alias]:
        """The revision of a run that serves, live at once under a name of its own; who asked for it forgets it again."""
        app = re.sub(r"[^A-Za-z0-9_-]", "-", split_name(request.application_name)[0]) or "app"
        alias = Alias(
            owner=account.nickname,
            name=full_name(f"{app}-{uuid.uuid4().hex[:12]}", request.environment_name),
            environment=request.environment_name or MAIN,
            revision=str(uuid.uuid4()),
            auth_mode=self._auth_mode(account, request, None),
            settings=DEFAULTS | settings_of(request) | EPHEMERAL,
        )
        revision = self._kept(request, alias, {})
        self._state.put_alias(alias)
        return revision, alias

    def forget(self, revision: Revision) -> None:
        """Stop what runs of a revision, and delete it."""
        self._fleet.retire(revision.id)
        self._state.delete_revision(revision.id)
        self._fleet.drop_pickle(revision.id)

    def forget_ephemeral(self) -> None:
        """What a sandbox that was killed left of its runs."""
        for alias in self._state.aliases():
            if is_ephemeral(alias.settings):
                self._state.delete_alias(alias.owner, alias.name)
                self._state.delete_revision(alias.revision)
                self._fleet.drop_pickle(alias.revision)

    def repoint(self, account: Account, request: Any) -> tuple[Revision, Alias]:
        """A former revision of the same app, and the alias that names it again; scaling stays as it is live."""
        revision = self._state.revision(request.revision)
        if revision is None or revision.owner != account.nickname or revision.alias != request.alias:
            raise NotFound(f"application '{request.alias}' has no revision '{request.revision}'")
        live = self._state.alias(account.nickname, request.alias)
        settings = kept_settings(live.settings if live else None, revision.settings, reset=False)
        alias = Alias(
            owner=account.nickname,
            name=request.alias,
            environment=revision.environment,
            revision=revision.id,
            auth_mode=self._auth_mode(account, request, live),
            settings=settings,
        )
        return revision, alias

    async def introduce(self, revision: Revision, alias: Alias, *, rolling: bool) -> None:
        """roll_out() of a new revision, which is forgotten where it does not become live."""
        try:
            await self.roll_out(revision, alias, rolling=rolling)
        except (SandboxError, asyncio.CancelledError):
            self._state.delete_revision(revision.id)
            self._fleet.drop_pickle(revision.id)
            raise

    async def introduce_detached(self, revision: Revision, alias: Alias) -> None:
        """The alias moves at once and the runner follows; as the SDK says, a failure is not rolled back. It is in the log."""
        await self.roll_out(revision, alias, rolling=False)
        with contextlib.suppress(SandboxError):
            await self._fleet.ready(revision)

    async def roll_out(self, revision: Revision, alias: Alias, *, rolling: bool) -> None:
        """Rolling: the alias moves when a runner of the revision is healthy, and stays where it is otherwise."""
        if rolling:
            try:
                await self._fleet.ready(revision)
            except SandboxError as error:
                await self._fleet.abandon(revision.id)
                raise RunnerFailed(f"{error}\n{self._tail(revision)}") from error
            except asyncio.CancelledError:
                await self._fleet.abandon(revision.id)
                raise
        live = self._state.alias(alias.owner, alias.name)
        self._state.put_alias(alias)
        if live is not None and live.revision != revision.id:
            self._fleet.retire(live.revision)

    def _kept(self, request: Any, alias: Alias, metadata: dict[str, Any]) -> Revision:
        revision = Revision(
            id=alias.revision,
            owner=alias.owner,
            alias=alias.name,
            environment=alias.environment,
            entrypoint=request.entrypoint,
            files=files_of(request),
            settings=settings_of(request),
            health=health_of(request),
            metadata=metadata,
        )
        if request.WhichOneof("callable") == "function":
            self._fleet.keep_pickle(revision.id, request.function.definition)
        elif not request.entrypoint:
            raise BuildFailed("an app without Python (image only) is not run by the sandbox")
        self._state.add_revision(revision)
        return revision

    def _planned(self, account: Account, request: Any, asked: dict[str, Any], *, reset: bool) -> Alias:
        name = request.application_name or f"app-{uuid.uuid4().hex[:8]}"
        app, from_name = split_name(name)
        environment = request.environment_name or from_name
        if not app.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise NotAllowed(f"app name '{app}': letters, digits, '-', '_' and '.' only")
        if len(name.encode()) > LONGEST_NAME:
            raise NotAllowed(f"app name '{app[:40]}...': {len(name.encode())} bytes; at most {LONGEST_NAME} pass")
        if environment != MAIN and not any(row["name"] == environment for row in self._state.environments(account.nickname)):
            raise NotFound(f"environment '{environment}' not found; create it with: fal environments create {environment}")
        live = self._state.alias(account.nickname, name)
        return Alias(
            owner=account.nickname,
            name=name,
            environment=environment,
            revision=str(uuid.uuid4()),
            auth_mode=self._auth_mode(account, request, live),
            settings=kept_settings(live.settings if live else None, asked, reset=reset),
        )

    def _auth_mode(self, account: Account, request: Any, live: Alias | None) -> str:
        """The asked mode, else that of the live app, else private."""
        if not request.HasField("auth_mode"):
            return live.auth_mode if live is not None else "private"
        auth_mode = str(proto.ApplicationAuthMode.Name(request.auth_mode)).lower()
        if auth_mode == "shared" and not self._shared_enabled:
            raise NotAllowed(f"auth mode 'shared' is not enabled for account '{account.nickname}'; ask the platform to enable it")
        return auth_mode

    def _tail(self, revision: Revision) -> str:
        log = self._fleet.log_of(revision.id)
        return "\n".join(log.tail())[-TAIL_CHARACTERS:] if log is not None else ""


async def lines_until(task: "asyncio.Task[Any]", log: Callable[[], RunnerLog | None]) -> AsyncIterator[list[Line]]:
    """What an app writes while the task runs; its log may come later than the task."""
    seen = 0
    while True:
        done, _ = await asyncio.wait({task}, timeout=POLL_SECONDS)
        found = log()
        if found is not None and found.total > seen:
            lines, seen = found.since(seen), found.total
            yield [line for line in lines if line.source == "user"]
        if done:
            return


def files_of(request: Any) -> tuple[tuple[str, str], ...]:
    """(hash, relative path) of the app files; a path that leaves the app's folder is refused."""
    for file in request.files:
        path = PurePosixPath(file.relative_path)
        if path.is_absolute() or ".." in path.parts or not path.parts or not file.hash.isalnum():
            raise NotAllowed(f"app file '{file.relative_path}': only paths inside the app's folder can be uploaded")
        if "\0" in file.relative_path or any(len(part.encode()) > LONGEST_NAME for part in path.parts):
            raise NotAllowed(f"app file '{file.relative_path[:100]}': a name of it is longer than {LONGEST_NAME} bytes, or none")
    return tuple((file.hash, file.relative_path) for file in request.files)


def with_settings(alias: Alias, changed: dict[str, Any]) -> Alias:
    return replace(alias, settings=updated(alias.settings, changed))


def is_ephemeral(settings: Mapping[str, Any]) -> bool:
    """Whether an alias belongs to a run, which no list shows."""
    return bool(settings.get("ephemeral"))
