"""The platform as a release sees it: a Protocol of verbs, and fal behind it (the real one, or the sandbox on loopback)."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

from serving.release.child import Worker, WorkerGone, mask
from serving.release.errors import PlatformTimeout, PlatformUnreachable
from serving.release.refusals import failure, secret_values

Strategy = Literal["rolling", "recreate"]
Auth = Literal["private", "public", "shared"]
Caller = Literal["owner", "caller", "wrong"]
_ACCOUNT: Final = frozenset({"whoami", "clock", "alias", "apps", "revisions", "environments", "secrets", "requests", "books"})
_READS: Final = _ACCOUNT | {"file_size", "look", "answer"}  # the last three: of a rented machine's files and queue
_READ_SECONDS: Final = 45.0
_BASE_ENVIRONMENT: Final = ("PATH", "HOME", "LANG")


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    revision: str
    urls: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Alias:
    """What an app's name points to."""

    revision: str
    auth_mode: str
    urls: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """One deployed version of an app; `created_at` in Unix seconds, `runners` are those that run now."""

    revision: str
    created_at: float
    runners: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A request as the platform remembers it; `units` is what it bills, None while it has not billed. Unix seconds, seconds."""

    request_id: str
    status: int
    seconds: float
    units: float | None
    ended_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Books:
    """What the platform's books say of an app since a moment, in US dollars; None for what they do not tell.

    price_usd: of one `unit` now. machine_usd: what the owner pays for machines. own_units: units that the owner called for itself.
    cold_starts: requests that had to wait for a runner to start.
    """

    price_usd: float | None = None
    unit: str | None = None
    machine_usd: float | None = None
    own_units: float | None = None
    cold_starts: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Called:
    """One answered request: a refusal is an answer too. `units` is the billing header as it came, None when there was none."""

    status: int
    units: str | None
    body: dict[str, Any]
    seconds: float
    request_id: str | None


class Platform(Protocol):
    """Where releases run. `environment` None is main. Every method raises PlatformError."""

    @property
    def name(self) -> str: ...

    @property
    def second_caller(self) -> bool:
        """Whether `key="caller"` is another account than the owner."""
        ...

    def whoami(self) -> dict[str, str]: ...

    def clock(self) -> float | None:
        """The platform's clock in Unix seconds, where it tells."""
        ...

    def deploy(
        self, package: Path, *, app: str, environment: str | None, strategy: Strategy = "rolling", auth: Auth | None = None
    ) -> Deployed:
        """Deploy the package's app; `auth` in place of what the package says."""
        ...

    def alias(self, app: str, environment: str | None) -> Alias | None: ...

    def apps(self, environment: str | None) -> dict[str, Alias]:
        """alias() of every app in an environment; empty where there is no such environment."""
        ...

    def revisions(self, app: str, environment: str | None) -> list[Revision]:
        """All that was deployed under the name and not deleted, newest first."""
        ...

    def set_revision(self, app: str, revision: str, environment: str | None) -> None: ...

    def set_auth(self, app: str, mode: Auth, environment: str | None) -> None: ...

    def delete(self, app: str, environment: str | None) -> None:
        """Take the app's name away: it answers no more. What is not there need not be deleted; so for all that delete."""
        ...

    def delete_revision(self, revision: str) -> None: ...

    def environments(self) -> list[str]:
        """Names beside main."""
        ...

    def delete_environment(self, name: str) -> None: ...

    def secrets(self, environment: str | None) -> list[str]:
        """Names of the account's secrets there; their values can not be read."""
        ...

    def requests(self, app: str, environment: str | None, since: float) -> list[Seen]:
        """The app's requests that ended after `since` (Unix seconds), newest first."""
        ...

    def books(self, app: str, environment: str | None, since: float) -> Books: ...

    def call(
        self,
        app: str,
        arguments: Mapping[str, Any],
        *,
        environment: str | None = None,
        path: str = "",
        key: Caller | None = "caller",
    ) -> Called:
        """Call as the owner, as another caller, with a wrong key, or (None) without a key."""
        ...

    def fetch(self, url: str) -> bytes:
        """A file that an answer points to."""
        ...


class FalPlatform:
    """fal through its SDK in child processes: one that is kept for calls and questions, and a fresh one for each deploy.

    `env` is the whole environment of the children beside PATH, HOME and LANG; secrets in it never reach the log.
    """

    def __init__(
        self,
        *,
        name: Literal["sandbox", "fal"],
        env: Mapping[str, str],
        caller_key: str | None,
        logs: Path,
        deploy_timeout: float = 1800.0,
        call_timeout: float = 600.0,
    ) -> None:
        self._name = name
        self.child_environment = {key: os.environ[key] for key in _BASE_ENVIRONMENT if key in os.environ} | dict(env)
        self._caller_key = caller_key
        self._log = logs / f"platform-{name}.log"
        self._masks = secret_values(env, caller_key)
        self._deploy_timeout = deploy_timeout
        self._call_timeout = call_timeout
        self._lock = threading.Lock()
        self._kept: Worker | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def second_caller(self) -> bool:
        return self._caller_key is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the kept worker; the next question starts another."""
        with self._lock:
            self._drop()

    def whoami(self) -> dict[str, str]:
        user: dict[str, str] = self.ask("whoami")
        return user

    def clock(self) -> float | None:
        moment: float | None = self.ask("clock")
        return moment

    def deploy(
        self, package: Path, *, app: str, environment: str | None, strategy: Strategy = "rolling", auth: Auth | None = None
    ) -> Deployed:
        worker = self._start(package)
        request = {"verb": "deploy", "app": app, "environment": environment, "strategy": strategy, "auth": auth}
        try:
            reply = self._converse(worker, request, self._deploy_timeout)
        finally:
            worker.close()
        value = self._value(reply, f"deploy of app {app!r} ({environment or 'main'})")
        return Deployed(revision=value["revision"], urls=value["urls"])

    def alias(self, app: str, environment: str | None) -> Alias | None:
        found = self.ask("alias", app=app, environment=environment)
        return Alias(**found) if found is not None else None

    def apps(self, environment: str | None) -> dict[str, Alias]:
        return {name: Alias(**found) for name, found in self.ask("apps", environment=environment).items()}

    def revisions(self, app: str, environment: str | None) -> list[Revision]:
        return [Revision(**found) for found in self.ask("revisions", app=app, environment=environment)]

    def set_revision(self, app: str, revision: str, environment: str | None) -> None:
        self.ask("set_revision", timeout=self._deploy_timeout, app=app, revision=revision, environment=environment)

    def set_auth(self, app: str, mode: Auth, environment: str | None) -> None:
        self.ask("set_auth", app=app, mode=mode, environment=environment)

    def delete(self, app: str, environment: str | None) -> None:
        self.ask("delete", app=app, environment=environment)

    def delete_revision(self, revision: str) -> None:
        self.ask("delete_revision", revision=revision)

    def environments(self) -> list[str]:
        return list(self.ask("environments"))

    def delete_environment(self, name: str) -> None:
        self.ask("delete_environment", name=name)

    def secrets(self, environment: str | None) -> list[str]:
        return list(self.ask("secrets", environment=environment))

    def requests(self, app: str, environment: str | None, since: float) -> list[Seen]:
        return [Seen(**found) for found in self.ask("requests", app=app, environment=environment, since=since)]

    def books(self, app: str, environment: str | None, since: float) -> Books:
        owner = self.whoami()["nickname"]
        return Books(**self.ask("books", owner=owner, app=app, environment=environment, since=since))

    def call(
        self,
        app: str,
        arguments: Mapping[str, Any],
        *,
        environment: str | None = None,
        path: str = "",
        key: Caller | None = "caller",
    ) -> Called:
        # The worker's own limit comes first, so that a slow request is cancelled on the platform and the worker lives on.
        answer = self.ask(
            "call",
            timeout=self._call_timeout + 30,
            app=app,
            arguments=dict(arguments),
            environment=environment,
            path=path,
            key=key,
            caller_key=self._caller_key,
            seconds=self._call_timeout,
        )
        return Called(**answer)

    def fetch(self, url: str) -> bytes:
        return base64.b64decode(self.ask("fetch", url=url))

    def ask(self, verb: str, *, timeout: float = 120.0, **arguments: Any) -> Any:
        """What the worker's verb of this name gives back; raises PlatformError."""
        if verb not in _READS:
            return self._asked(verb, timeout, arguments)
        try:
            return self._asked(verb, _READ_SECONDS, arguments)
        except PlatformTimeout:  # a look changes nothing: a connection that fell silent is given up, and another one asked
            return self._asked(verb, timeout, arguments)

    def _asked(self, verb: str, timeout: float, arguments: Mapping[str, Any]) -> Any:
        with self._lock:
            if self._kept is None:
                self._kept = self._start(Path("/"))
            try:
                reply = self._converse(self._kept, {"verb": verb, **arguments}, timeout)
            except BaseException:
                self._drop()  # it may still be at work, or its answer may come later: either would be taken for the next answer
                raise
        return self._value(reply, f"{verb} {arguments.get('app', '')}".strip())

    def _start(self, cwd: Path) -> Worker:
        return Worker(env=self.child_environment, cwd=cwd, log=self._log, masks=self._masks)

    def _drop(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _converse(self, worker: Worker, request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        try:
            return worker.ask(request, timeout=timeout)
        except TimeoutError as error:
            raise PlatformTimeout(
                f"{self._name} did not finish {request['verb']} within {timeout:.0f} s; what it was asked may still happen there: "
                f"run again, which looks first (log: {self._log})"
            ) from error
        except WorkerGone as error:
            raise PlatformUnreachable(
                f"the process that talks to {self._name} ended ({error.code}) in {request['verb']}; run again (log: {self._log})"
            ) from error

    def _value(self, reply: Mapping[str, Any], what: str) -> Any:
        if "error" not in reply:
            return reply["value"]
        error = reply["error"]
        tail = tuple(mask(line, self._masks) for line in error["tail"])
        raise failure(error["kind"], mask(error["text"], self._masks), tail, what=what, target=self._name, log=self._log)
