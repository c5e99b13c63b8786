"""The platform as a release sees it: a Protocol of seven verbs, and fal behind it (the real one, or the sandbox on loopback)."""

from __future__ import annotations

import base64
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

from serving.release.child import Worker, WorkerGone, mask
from serving.release.errors import (
    DeployFailed,
    PlatformError,
    PlatformTimeout,
    PlatformUnreachable,
    SharedRefused,
    WrongKey,
)

Caller = Literal["owner", "caller", "wrong"]
_BASE_ENVIRONMENT: Final = ("PATH", "HOME", "LANG")
_ERROR_LINE: Final = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt)(:|$)")
_STOPPING: Final = re.compile(r"^(asyncio\.exceptions\.)?CancelledError|^SystemExit")


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

    def deploy(self, package: Path, *, app: str, environment: str | None) -> Deployed: ...

    def alias(self, app: str, environment: str | None) -> Alias | None: ...

    def set_revision(self, app: str, revision: str, environment: str | None) -> None: ...

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
        self._masks = _secrets(env, caller_key)
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
        user: dict[str, str] = self._ask("whoami")
        return user

    def deploy(self, package: Path, *, app: str, environment: str | None) -> Deployed:
        worker = self._start(package)
        try:
            reply = self._converse(worker, {"verb": "deploy", "app": app, "environment": environment}, self._deploy_timeout)
        finally:
            worker.close()
        value = self._value(reply, f"deploy of app {app!r} ({environment or 'main'})")
        return Deployed(revision=value["revision"], urls=value["urls"])

    def alias(self, app: str, environment: str | None) -> Alias | None:
        found = self._ask("alias", app=app, environment=environment)
        return Alias(**found) if found is not None else None

    def set_revision(self, app: str, revision: str, environment: str | None) -> None:
        self._ask("set_revision", timeout=self._deploy_timeout, app=app, revision=revision, environment=environment)

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
        answer = self._ask(
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
        return base64.b64decode(self._ask("fetch", url=url))

    def _ask(self, verb: str, *, timeout: float = 120.0, **arguments: Any) -> Any:
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
        raise _failure(error["kind"], mask(error["text"], self._masks), tail, what=what, target=self._name, log=self._log)


def _failure(kind: str, text: str, tail: tuple[str, ...], *, what: str, target: str, log: Path) -> PlatformError:
    """The typed error for a worker's refusal, in one line."""
    if kind == "key":
        mend = (
            "the sandbox accepts only keys that it issued: `lorasmith sandbox up` prints them"
            if target == "sandbox"
            else "make a key at https://fal.ai/dashboard/keys and export it as FAL_KEY"
        )
        return WrongKey(f"{target} refused the key in {what}: {text}; {mend}", tail=tail)
    if kind == "shared":
        return SharedRefused(
            f"{target} refused shared mode in {what}: {text}; fal switches shared mode on by hand, account by account: "
            "send the fal team a mail that asks for it (serverless access and shared-mode enablement), then run again",
            tail=tail,
        )
    if kind == "deploy":
        return DeployFailed(f"{target} did not bring up the {what}: {_cause(tail) or text}; whole log: {log}", tail=tail)
    if kind == "timeout":
        return PlatformTimeout(
            f"{target} did not answer in time in {what}: {text}; run again, which looks first what happened", tail=tail
        )
    if kind == "unreachable":
        mend = "`lorasmith sandbox up` starts it" if target == "sandbox" else "check the network and https://status.fal.ai"
        return PlatformUnreachable(f"{target} can not be reached in {what}: {text}; {mend}, then run again", tail=tail)
    return PlatformError(f"{target} failed in {what}: {text}; whole log: {log}", tail=tail)


def _cause(tail: tuple[str, ...]) -> str | None:
    """The line of an app's log that says why it did not start: its own word on it, else the last error that is not its stopping."""
    own = [line.strip() for line in tail if line.startswith("setup failed:")]
    errors = [line.strip() for line in tail if _ERROR_LINE.match(line) and not _STOPPING.search(line)]
    return next(iter(own[-1:] or errors[-1:]), None)


def _secrets(env: Mapping[str, str], caller_key: str | None) -> tuple[str, ...]:
    """What must not reach a log: whole keys first, then the secret half of `id:secret`."""
    whole = {value for name, value in env.items() if any(word in name for word in ("KEY", "SECRET", "TOKEN")) and len(value) > 7}
    whole |= {caller_key} if caller_key else set()
    halves = {key.partition(":")[2] for key in whole}
    return tuple(sorted(whole | {half for half in halves if len(half) > 7}, key=len, reverse=True))
