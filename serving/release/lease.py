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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import psutil
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from serving.release.errors import DeployBusy, LeaseLost, RegistryBusy
from serving.release.tables import leases

LEASE_SECONDS: Final = 60.0


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
def deploy_lease(registry: Transactions, *, target: str, app: str) -> Iterator[Lease]:
    """Hold the only deploy of this app on this target; raises DeployBusy when another one is under way."""
    lease = Lease(target=target, app=app, token=secrets.token_hex(16))
    with registry.writing() as connection:
        _take(connection, lease, registry.clock())
    stop = threading.Event()
    renewer = threading.Thread(target=_renew_until, args=(registry, lease, stop), name=f"lease {target}/{app}", daemon=True)
    renewer.start()
    try:
        yield lease
    finally:
        stop.set()
        renewer.join()
        with registry.writing() as connection:
            connection.execute(sa.delete(leases).where(leases.c.token == lease.token))


def check_lease(connection: Connection, lease: Lease) -> None:
    """Raise LeaseLost unless the lease is still held, inside the transaction that is about to write."""
    held = connection.execute(sa.select(leases.c.token).where(leases.c.target == lease.target, leases.c.app == lease.app)).scalar()
    if held != lease.token:
        raise LeaseLost(
            f"another deploy of {lease.app!r} on {lease.target} took over while this one was silent; "
            "this one stops here, run it again"
        )


def _take(connection: Connection, lease: Lease, now: datetime) -> None:
    here = _this_process()
    values = {"token": lease.token, **here, "taken_at": now.isoformat(), "renewed_at": now.isoformat()}
    place = sa.and_(leases.c.target == lease.target, leases.c.app == lease.app)
    held = connection.execute(sa.select(leases).where(place)).mappings().first()
    if held is None:
        connection.execute(sa.insert(leases).values(target=lease.target, app=lease.app, **values))
        return
    silent = (now - datetime.fromisoformat(held["renewed_at"])).total_seconds()
    dead = held["host"] == here["host"] and not _runs(held["pid"], held["pid_started"])
    if not dead and silent < LEASE_SECONDS:
        raise DeployBusy(
            f"app {lease.app!r} is being deployed to {lease.target} by process {held['pid']} on {held['host']} "
            f"since {held['taken_at']}; wait until it ends, then run again"
        )
    connection.execute(sa.update(leases).where(place).values(**values))


def _renew_until(registry: Transactions, lease: Lease, stop: threading.Event) -> None:
    while not stop.wait(LEASE_SECONDS / 4):
        # A registry that is busy now is asked again in a while; a lease lost over it stops the deploy at its next write.
        with contextlib.suppress(RegistryBusy), registry.writing() as connection:
            mine = leases.c.token == lease.token
            connection.execute(sa.update(leases).where(mine).values(renewed_at=registry.clock().isoformat()))


def _this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "pid_started": psutil.Process().create_time()}


def _runs(pid: int, started: float) -> bool:
    """Whether the process that took the lease still runs (a reused process number has another start time)."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return False
