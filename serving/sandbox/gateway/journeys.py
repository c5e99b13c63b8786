"""A request on its way: which runner has it, what it took so far, which lines were written meanwhile."""

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..fleet.runners import Runner
from ..money.ledger import Entry
from ..state import split_name
from .admission import Call
from .replies import Reply

KEPT_LINES = 500  # of what runners wrote during one request, the latest


@dataclass(frozen=True, kw_only=True, slots=True)
class AtWork:
    """An open request, as the pages show it: state is IN_QUEUE or IN_PROGRESS, created_at Unix seconds."""

    request_id: str
    owner: str
    app: str
    path: str
    caller: str | None
    queued: bool
    created_at: float
    state: str
    runner: str | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(kw_only=True, eq=False, slots=True)
class Journey:
    """One call through all of its attempts; durations in seconds. An attempt is one at a runner, a failed start is none."""

    call: Call
    attempts: int = 0
    failed_starts: int = 0
    used: Counter[str] = field(default_factory=Counter)  # condition -> retries
    cancelled: bool = False
    runner: Runner | None = None  # that has the request now
    served_by: Runner | None = None  # the latest that had it
    seconds: float = 0.0
    served_seconds: float = 0.0
    _wait: float | None = None
    _lines: list[dict[str, str]] = field(default_factory=list)
    _log_from: int = 0

    def board(self, runner: Runner) -> None:
        """A runner has the request."""
        self.attempts += 1
        self.runner = self.served_by = runner
        self._log_from = runner.log.total
        if self._wait is None:
            self._wait = max(0.0, time.time() - self.call.created_at)

    def alight(self, seconds: float) -> None:
        """The runner is done with it, for better or worse."""
        self._lines = self.lines()
        self.runner = None
        self.seconds += seconds
        self.served_seconds = seconds

    def lines(self) -> list[dict[str, str]]:
        """What was written so far, in the form of the queue's status."""
        if self.runner is None:
            return self._lines
        log = self.runner.log
        new = [line for line in log.since(self._log_from) if line.source == "user"]
        return (self._lines + [_line(line.text, line.at) for line in new])[-KEPT_LINES:]

    def at_work(self) -> AtWork:
        call = self.call
        return AtWork(
            request_id=call.request_id,
            owner=call.alias.owner,
            app=call.alias.name,
            path=call.path,
            caller=call.caller.nickname if call.caller else None,
            queued=call.queued,
            created_at=call.created_at,
            state="IN_QUEUE" if self.runner is None else "IN_PROGRESS",
            runner=self.runner.id if self.runner else None,
        )

    def entry(self, reply: Reply, *, status: int | None = None, error_type: str | None = None) -> Entry:
        """The ledger's row; `status` and `error_type` where the caller saw something else than the reply."""
        call, runner = self.call, self.served_by
        app, environment = split_name(call.alias.name)
        now = time.time()
        return Entry(
            request_id=call.request_id,
            owner=call.alias.owner,
            app=app,
            environment=environment,
            revision=runner.revision.id if runner else call.alias.revision,
            caller=call.caller.nickname if call.caller else None,
            path=call.path,
            method=call.method,
            status=status or reply.status,
            units=reply.units,
            seconds=self.seconds,
            served_seconds=self.served_seconds if runner else None,
            created_at=call.created_at,
            ended_at=now,
            queued=call.queued,
            wait_seconds=now - call.created_at if self._wait is None else self._wait,
            attempts=self.attempts,
            runner=runner.id if runner else None,
            machine_type=runner.machine_type if runner else "",
            auth_mode=call.alias.auth_mode,
            error_type=error_type or reply.error_type,
        )


def _line(text: str, at: float) -> dict[str, str]:
    return {"message": text, "level": "STDOUT", "source": "USER", "timestamp": datetime.fromtimestamp(at, UTC).isoformat()}
