"""One command on a machine that fal rents out: files in, command, files out, paid once.

The record of a job is on the disk before anything is waited for: whoever runs the job again after a crash finds the request there
and goes on waiting for it. What a request leaves is fetched, compared with the hash that its answer told, and only then removed
there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from serving.release.archive import ArchiveRefused, Packed, sha256_of, unpack
from serving.release.command_log import CommandLog
from serving.release.errors import CommandFailed, PlatformError, PlatformTimeout, PlatformUnreachable, Tampered
from serving.release.machine import Machine, Seen
from serving.release.remote_package import RemotePackage
from serving.release.remote_record import Record, Request

FOLDER: Final = "/data/lorasmith/remote"
LARGEST_RESULT: Final = 8 << 30  # bytes
SUBMISSIONS: Final = 3  # in one run: what the platform loses is asked for again, but not for ever
SHORTEST: Final = 1.0  # seconds of a budget that are worth a request
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 3.0  # seconds between two looks: short at first, a fiftieth of the time so far, then long
SILENCE_SECONDS: Final = 900.0  # that the platform may be out of reach while a request is followed
OVERTIME_SECONDS: Final = 300.0  # beyond the command's own time: then the machine does not keep it
ARRIVAL_SECONDS = 60.0
SETTLE_SECONDS: Final = 9.0  # that a cancelled request may take to end


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """Run `command` (arguments of Python) where `inputs` was unpacked, for `seconds` at most over all attempts together.

    key: hex, the job's name: the same one finds what was done for it. The command writes its events to events.jsonl and its
    results into the folder `out`, and keeps in the folder `work` what it can go on from.
    """

    key: str
    app: RemotePackage
    inputs: Packed
    command: tuple[str, ...]
    seconds: float

    @property
    def folder(self) -> str:
        return f"{FOLDER}/{self.key}"

    @property
    def archive(self) -> str:
        return f"{self.folder}/{self.inputs.sha256}.zip"


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """Where a run reports: `event` takes each event of the command as the JSON it is, `progress` a line for people."""

    event: Callable[[str], None]
    progress: Callable[[str], None]


def carry_out(
    order: Order,
    machine: Machine,
    record: Record,
    *,
    out: Path,
    keep: Path,
    telling: Telling,
    given_up: Callable[[BaseException], bool],
) -> Request:
    """Fill the empty folder `out` with what the command leaves; the request that did it.

    keep: the file that holds the result's archive until `out` is safe, so that nothing is fetched or paid twice. Raises
    CommandFailed with the command's own line and exit code, Tampered for a result that is not the one that was told, PlatformError
    for the rest. Ended from outside, it cancels the request where `given_up` says so of what ended it; else the request goes on,
    and the next run finds it.
    """
    try:
        request = _answered(order, machine, record, telling, keep)
    except BaseException as ending:
        if record.last is not None and record.last.state == "open" and given_up(ending):
            _cancelled(machine, record, record.last)
        raise
    _kept(order, machine, record, request, keep)
    try:
        unpack(keep, out, limit=LARGEST_RESULT)
    except ArchiveRefused as error:
        raise Tampered(f"what {machine.name} sent back is refused: {error}") from error
    return record.requests[-1]


def _answered(order: Order, machine: Machine, record: Record, telling: Telling, keep: Path) -> Request:
    """The request that answered: one of an earlier run, or of this one."""
    for _ in range(SUBMISSIONS):
        last = record.last
        if last is not None and (last.state == "answered" or (last.state == "done" and _is_whole(keep, last))):
            return last
        earlier = last is not None and last.state == "open"
        if last is None or not earlier:
            last = _submitted(order, machine, record, telling)
        else:
            telling.progress(f"request {last.id} of an earlier run is looked for")
        ended = _followed(order, machine, record, last, telling)
        if ended.state == "answered":
            return ended
        if ended.state == "stopped" and not earlier:
            line = f"the command was stopped on {machine.name} ({ended.said}): run again, it goes on where it was"
            raise CommandFailed(line, code=5)
        telling.progress(f"request {last.id} is {ended.state}: {ended.said}")
    raise PlatformError(f"{machine.name} did not end the command in {SUBMISSIONS} requests ({ended.said}); run again later")


def _submitted(order: Order, machine: Machine, record: Record, telling: Telling) -> Request:
    left = order.seconds - record.seconds
    if left < SHORTEST:
        raise CommandFailed(
            f"the {order.seconds:.0f} s that this may take on {machine.name} are used up ({record.seconds:.0f} s in "
            f"{len(record.requests)} requests): raise the budget, or remove {record.path} to begin anew",
            code=2,
        )
    telling.progress(f"{order.app.name} is made ready on {machine.name}")
    machine.ready(order.app)
    if machine.size(order.archive) != order.inputs.size:
        machine.send(order.inputs, order.archive)
    record.begin(order.app.name)
    inputs = {"sha256": order.inputs.sha256, "size": order.inputs.size}
    arguments = {"job": order.key, "inputs": inputs, "command": list(order.command), "seconds": left}
    request_id = machine.submit(order.app.name, arguments)
    return record.update(id=request_id, state="open")


def _followed(order: Order, machine: Machine, record: Record, request: Request, telling: Telling) -> Request:
    """Until the request has ended: answered, or lost, failed, stopped on the platform, which the record then says."""
    assert request.id
    log, watch = CommandLog(telling.event), _Watch(order.seconds + OVERTIME_SECONDS)
    while True:
        try:
            seen = machine.look(request.app, request.id)
        except (PlatformTimeout, PlatformUnreachable):
            if watch.silent():
                raise
            time.sleep(watch.pause)
            continue
        if seen is None:
            return record.update(state="lost", said="the queue knows it no more", seconds=watch.seconds)
        watch.saw(seen)
        log.tell(seen.lines)
        if seen.is_done:
            return _ended(order, machine, record, request, seen, watch.seconds)
        if seen.status == "IN_QUEUE":
            telling.progress(f"waits for a machine, {seen.position or 0} before it")
        if watch.over:
            _cancelled(machine, record, request)
            raise PlatformTimeout(f"{machine.name} let request {request.id} run beyond its time; it was cancelled, run again")
        time.sleep(watch.pause)


def _ended(order: Order, machine: Machine, record: Record, request: Request, seen: Seen, watched: float) -> Request:
    """What a request that is done came to."""
    assert request.id
    status, body = machine.answer(request.app, request.id)
    state = str(body.get("state")) if status == 200 else "error"
    seconds = float(body.get("seconds") or seen.seconds or watched)
    said = " ".join(str(body.get("message") or body.get("detail") or seen.error or f"status {status}").split())[:500]
    if state == "done":
        result = {**body["result"], "request_id": body["request_id"]}
        own = body["request_id"] == request.id  # one that found another's result cost nothing of its own
        return record.update(state="answered", seconds=seconds if own else 0.0, result=result)
    if state == "busy":
        record.update(state="stopped", said=f"request {body['request_id']} was at it already")
        record.begin(request.app)
        return record.update(id=str(body["request_id"]), state="open", said="found at work")
    if state == "missing":
        machine.remove(order.archive)
        return record.update(state="failed", said=said)
    if state == "failed":
        record.update(state="failed", seconds=seconds, said=said)
        _removed(machine, order)
        raise CommandFailed(said, code=int(body.get("exit_code", 1)))
    if state == "stopped" or seen.error_type in ("client_cancelled", "request_timeout"):
        return record.update(state="stopped", seconds=seconds, said=said)
    record.update(state="failed", seconds=seconds, said=said)
    if 400 <= status < 500:
        raise PlatformError(f"{machine.name} refused request {request.id} with {status} ({said}): run again, it is asked anew")
    return record.requests[-1]


def _kept(order: Order, machine: Machine, record: Record, request: Request, keep: Path) -> None:
    """The result's archive in the file `keep`, compared with what the answer told; then nothing of the job stays over there."""
    if request.state == "done":
        return
    assert request.result
    part = keep.with_name(f"{keep.name}.part")
    part.unlink(missing_ok=True)
    promised = int(request.result["size"])
    if promised > LARGEST_RESULT:
        raise Tampered(f"{machine.name} promises a result of {promised} bytes, at most {LARGEST_RESULT} are taken: do not use it")
    path = f"{order.folder}/result-{request.result['request_id']}.zip"
    if not _is_there(machine, path):
        record.update(state="lost", said="its result is gone")
        raise PlatformError(f"the result of request {request.id} is no longer on {machine.name}: run again, it is made anew")
    came, size = machine.fetch(path, part, limit=promised)
    if (came, size) != (request.result["sha256"], promised):
        part.unlink()
        record.update(state="failed", said="its result is not the one that it told of")
        _removed(machine, order)
        raise Tampered(
            f"the result of request {request.id} on {machine.name} has sha256 {came[:12]} and {size} bytes, its answer told "
            f"{request.result['sha256'][:12]} and {promised}: it was changed there and is not used; run again"
        )
    os.replace(part, keep)
    record.update(state="done")
    _removed(machine, order)


def _is_there(machine: Machine, path: str) -> bool:
    """Whether a file can be seen; what a machine just wrote may take a moment to be seen from elsewhere."""
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while machine.size(path) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(LONGEST_PAUSE)
    return True


def _removed(machine: Machine, order: Order) -> None:
    """Inputs, checkpoint and result; what can not be removed now is found by the next run of the job, or by `fal files rm`."""
    with suppress(PlatformError):
        machine.remove(order.folder)


def _cancelled(machine: Machine, record: Record, request: Request) -> None:
    """Take the request back and see it end, within seconds; where that can not be seen it stays open, for the next run to look."""
    assert request.id
    with suppress(PlatformError):
        machine.cancel(request.app, request.id)
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            seen = machine.look(request.app, request.id)
            if seen is None or seen.is_done:
                record.update(state="cancelled", seconds=(seen.seconds if seen else None) or 0.0, said="cancelled from here")
                return
            time.sleep(0.2)


def _is_whole(keep: Path, request: Request) -> bool:
    return request.result is not None and keep.is_file() and sha256_of(keep) == request.result["sha256"]


class _Watch:
    """How long a request was seen on a machine, how long nobody answered, and whether it is overdue."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._began: float | None = None
        self._first = self._heard = time.monotonic()

    def saw(self, seen: Seen) -> None:
        self._heard = time.monotonic()
        if seen.status != "IN_QUEUE" and self._began is None:
            self._began = self._heard

    @property
    def pause(self) -> float:
        return min(LONGEST_PAUSE, SHORTEST_PAUSE + (time.monotonic() - self._first) / 50)

    def silent(self) -> bool:
        return time.monotonic() - self._heard > SILENCE_SECONDS

    @property
    def seconds(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began

    @property
    def over(self) -> bool:
        return self.seconds > self._limit
