"""One deploy of an app at a time, on every machine that shares the registry: a row in its database, renewed while the holder lives.

A holder on this machine that is dead is replaced at once; a silent holder on another machine after LEASE_SECONDS.
Every write of a deploy names its lease, so that a holder that slept too long can not write over its successor.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from serving.release.errors import DeployBusy, LeaseLost, RegistryBusy, RegistryUnreachable
from serving.release.tables import leases

LEASE_SECONDS: Final = 60.0
_held_here: Final[set[str]] = set()  # tokens; another lease of this process was left while the registry was away
WAIT_STEP_SECONDS: Final = 0.25


class Transactions(Protocol):
    """What a lease needs of a registry."""

    clock: Callable[[], datetime]

    def writing(self) -> Any: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    target: str
    app: str
    token: str


@contextmanager
def deploy_lease(
    registry: Transactions, *, target: str, app: str, wait: float = 0.0, progress: Callable[[str], None] = lambda line: None
) -> Iterator[Lease]:
    """Hold the only deploy of this app on this target, waiting up to `wait` seconds for another one to end, else DeployBusy."""
    lease = Lease(target=target, app=app, token=secrets.token_hex(16))
    _held_here.add(lease.token)
    try:
        _wait_and_take(registry, lease, wait, progress)
        try:
            with _renewed(registry, lease):
                yield lease
        finally:
            # What a registry that is away can not be told, it sees for itself: a lease that nobody renews ends.
            with contextlib.suppress(RegistryUnreachable), registry.writing() as connection:
                connection.execute(sa.delete(leases).where(leases.c.token == lease.token))
    finally:
        _held_here.discard(lease.token)


@contextmanager
def _renewed(registry: Transactions, lease: Lease) -> Iterator[None]:
    stop = threading.Event()
    renewer = threading.Thread(
        target=_renew_until, args=(registry, lease, stop), name=f"lease {lease.target}/{lease.app}", daemon=True
    )
    renewer.start()
    try:
        yield
    finally:
        stop.set()
        renewer.join()


def check_lease(connection: Connection, lease: Lease) -> None:
    """Raise LeaseLost unless the lease is still held, inside the transaction that is about to write."""
    held = connection.execute(sa.select(leases.c.token).where(leases.c.target == lease.target, leases.c.app == lease.app)).scalar()
    if held != lease.token:
        raise LeaseLost(
            f"another deploy of {lease.app!r} on {lease.target} took over while this one was silent; "
            "this one stops here, run it again"
        )


def held(registry: Transactions, *, target: str, app: str) -> bool:
    """Whether a deploy of this app is under way."""
    with registry.writing() as connection:
        row = _holder(connection, target, app)
        return row is not None and not _is_over(row, registry.clock())


def _wait_and_take(registry: Transactions, lease: Lease, wait: float, progress: Callable[[str], None]) -> None:
    deadline, told = time.monotonic() + wait, ""
    while True:
        try:
            with registry.writing() as connection:
                _take(connection, lease, registry.clock())
            return
        except DeployBusy as busy:
            if time.monotonic() >= deadline:
                raise
            if str(busy) != told:  # once for each holder
                told = str(busy)
                progress(f"waiting up to {wait:.0f} s: {told}")
        time.sleep(min(WAIT_STEP_SECONDS, max(0.0, deadline - time.monotonic())))


def _take(connection: Connection, lease: Lease, now: datetime) -> None:
    here = _this_process()
    values = {"token": lease.token, **here, "taken_at": now.isoformat(), "renewed_at": now.isoformat()}
    holder = _holder(connection, lease.target, lease.app)
    if holder is None:
        connection.execute(sa.insert(leases).values(target=lease.target, app=lease.app, **values))
        return
    if not _is_over(holder, now):
        raise DeployBusy(
            f"app {lease.app!r} is being deployed to {lease.target} by process {holder['pid']} on {holder['host']} "
            f"since {holder['taken_at']}; wait until it ends, then run again"
        )
    place = sa.and_(leases.c.target == lease.target, leases.c.app == lease.app)
    connection.execute(sa.update(leases).where(place).values(**values))


def _holder(connection: Connection, target: str, app: str) -> dict[str, Any] | None:
    row = connection.execute(sa.select(leases).where(leases.c.target == target, leases.c.app == app)).mappings().first()
    return dict(row) if row is not None else None


def _is_over(holder: Mapping[str, Any], now: datetime) -> bool:
    """Whether the holder of a lease is dead, or, on another machine, silent for so long that it counts as dead.

    Of a holder on this machine the process tells, whatever the clock was set to meanwhile.
    """
    if holder["host"] == _this_process()["host"]:
        return _is_abandoned(holder)
    return (now - datetime.fromisoformat(holder["renewed_at"])).total_seconds() >= LEASE_SECONDS


def _is_abandoned(holder: Mapping[str, Any]) -> bool:
    """Whether the row of a lease that was taken on this machine belongs to nobody any more."""
    here = _this_process()
    mine = holder["pid"] == here["pid"] and abs(holder["pid_started"] - here["pid_started"]) < 1.0
    return holder["token"] not in _held_here if mine else not _runs(holder["pid"], holder["pid_started"])


def _renew_until(registry: Transactions, lease: Lease, stop: threading.Event) -> None:
    while not stop.wait(LEASE_SECONDS / 4):
        # A registry that is busy or away now is asked again in a while; a lease lost over it stops the deploy at its next write.
        with contextlib.suppress(RegistryBusy, RegistryUnreachable), registry.writing() as connection:
            mine = leases.c.token == lease.token
            connection.execute(sa.update(leases).where(mine).values(renewed_at=registry.clock().isoformat()))


def _this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "pid_started": _started(os.getpid())}


def _started(pid: int) -> float:
    """When a process began, in seconds since the machine did where the system tells: a clock that is set does not move that."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float(psutil.Process(pid).create_time())
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _runs(pid: int, started: float) -> bool:
    """Whether the process that took the lease still runs (a reused process number has another start time)."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(_started(pid) - started) < 1.0
    except psutil.NoSuchProcess:
        return False
