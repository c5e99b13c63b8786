"""What runs on the rented machine: it takes an archive, runs one command on it, and leaves an archive of what came out.

Packed as `remote/app.py` with `archive.py` and `job_lease.py` beside it and the trainer's own code; it imports nothing else of
ours. The app is private to its owner. All that passes through lies in the account's /data, which outlives the runner: so a request
that the platform gives to another runner goes on from the checkpoint, and a second one for the same job finds the first one's
result, or the first one at work.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Literal

import fal
from fastapi import HTTPException, Request, Response
from pydantic import BaseModel, Field

from .archive import ArchiveRefused, files_below, pack, sha256_of, unpack
from .job_lease import Lease, leased, write_whole

EVENT = "lorasmith-event"  # begins a line of the log that is an event of the command: EVENT number JSON
UNITS, REQUEST_ID, AGAIN = "x-fal-billable-units", "x-fal-request-id", "x-fal-needs-retry"
RENEW_SECONDS = 10.0  # of the lease on a job
LOOK_SECONDS, ARRIVAL_SECONDS = 0.2, 30.0
GRACE_SECONDS = 6.0  # that a command has to save its state when it is told to end
LARGEST = 64 << 30  # bytes that the inputs may unpack to
# The kernel kills the command when the runner ends, however it ends (PR_SET_PDEATHSIG, which an exec keeps). Done in a process of
# its own: between a fork and an exec of the runner no Python may run, since its gRPC threads are gone there.
_TIED = """import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]): os._exit(1)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"""
State = Literal["done", "failed", "stopped", "busy", "missing"]


class Sent(BaseModel):
    """An archive in the job's folder, by content."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class Order(BaseModel):
    """Run `command` (arguments of Python) where `inputs` was unpacked. Its folder `work` is kept for the next attempt.

    seconds: after which it is told to end. events: the file that it appends JSON lines to. outputs: the folder that it fills.
    """

    job: str = Field(pattern="^[0-9a-f]{16,64}$")
    inputs: Sent
    command: list[str] = Field(min_length=1)
    events: str = "events.jsonl"
    outputs: str = "out"
    seconds: float = Field(gt=0)


class Answer(BaseModel):
    """How it ended: done with `result`, failed by the command's own word, stopped by us or a signal, or not begun.

    busy: request `request_id` is at it. missing: the inputs are not there or not whole. seconds: that a machine worked on it.
    """

    state: State
    request_id: str
    exit_code: int = 0
    message: str = ""
    seconds: float = 0.0
    result: Sent | None = None


class Cancelled(BaseModel):
    """Whether the request was at work here."""

    cancelled: bool


class Remote(fal.App):  # type: ignore[misc]
    """One command at a time."""

    def setup(self) -> None:
        self.leaving = threading.Event()
        self.cancelled: set[str] = set()
        self.at_work: str | None = None

    def handle_exit(self) -> None:
        """The runner is to end: what is at work saves its state and is asked for again elsewhere."""
        self.leaving.set()

    @fal.endpoint("/")  # type: ignore[untyped-decorator]
    def run(self, order: Order, request: Request, response: Response) -> Answer:
        """Run the command, or say who is at it."""
        response.headers[UNITS] = "0"  # the account pays for the machine's time, and for nothing else
        request_id = request.headers.get(REQUEST_ID) or "direct"
        place = _data() / "lorasmith" / "remote" / order.job
        if answer := _answered(place):
            return answer
        if not _arrived(place, order.inputs):
            return Answer(state="missing", request_id=request_id, message="the inputs are not on the machine")
        with leased(place, request_id) as lease:
            if isinstance(lease, str):
                return Answer(state="busy", request_id=lease)
            self.at_work = request_id
            try:
                return self._worked(order, lease)
            finally:
                self.at_work = None

    @fal.endpoint("/cancel")  # type: ignore[untyped-decorator]
    def cancel(self, request: Request, response: Response) -> Cancelled:
        """The platform's way to say that nobody wants the answer any more."""
        response.headers[UNITS] = "0"
        request_id = request.headers.get(REQUEST_ID) or "direct"
        self.cancelled.add(request_id)
        return Cancelled(cancelled=self.at_work == request_id)

    @fal.endpoint("/health")  # type: ignore[untyped-decorator]
    def health(self) -> Cancelled:
        """Alive."""
        return Cancelled(cancelled=False)

    def _worked(self, order: Order, lease: Lease) -> Answer:
        place, request_id = lease.place, lease.request_id
        (place / "work").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="lorasmith-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            try:
                unpack(_sent(place, order.inputs), folder, limit=LARGEST)
            except ArchiveRefused as error:
                return Answer(state="failed", request_id=request_id, exit_code=2, message=str(error))
            (folder / "work").symlink_to(place / "work")
            code, why = self._watched(order, folder, lease)
            if self.leaving.is_set() and code != 0:
                raise HTTPException(503, "the runner ends; ask again", headers={UNITS: "0", AGAIN: "1"})
            return _ended(order, folder, lease, code=code, why=why)

    def _watched(self, order: Order, folder: Path, lease: Lease) -> tuple[int, str | None]:
        """Exit code of the command, and why it was told to end where it was. Its events go to the log as they come."""
        events, told, renewed, why = _Events(folder / order.events), 0.0, time.monotonic(), None
        with (folder / "command.log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-c", _TIED, str(os.getpid()), *order.command],
                cwd=folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                while True:
                    code = _wait(child, LOOK_SECONDS)
                    events.tell()
                    if code is not None:
                        return code, why
                    now = time.monotonic()
                    why = why or self._reason(lease.request_id, late=lease.seconds > order.seconds)
                    if why and not told:
                        told = now
                        _signal(child, signal.SIGTERM)
                    if told and now > told + GRACE_SECONDS:
                        _signal(child, signal.SIGKILL)
                    if now > renewed + RENEW_SECONDS:
                        renewed = now
                        lease.renew()
            finally:
                _signal(child, signal.SIGKILL)
                child.wait()

    def _reason(self, request_id: str, *, late: bool) -> str | None:
        if request_id in self.cancelled:
            return "cancelled"
        if self.leaving.is_set():
            return "the runner ends"
        return "its time was over" if late else None


class _Events:
    """Prints the whole lines that came since the last look."""

    def __init__(self, path: Path) -> None:
        self._path, self._at, self._number = path, 0, 0

    def tell(self) -> None:
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._at += len(line)
                self._number += 1
                print(f"{EVENT} {self._number} {line.decode(errors='replace').rstrip()}", flush=True)


def _ended(order: Order, folder: Path, lease: Lease, *, code: int, why: str | None) -> Answer:
    request_id, seconds = lease.request_id, lease.seconds
    if code != 0:
        said = _said(folder / order.events)
        if why or code < 0 or said is None:
            message = why or f"the command ended with code {code} and said nothing: {_tail(folder / 'command.log')}"
            return Answer(state="stopped", request_id=request_id, exit_code=code, message=message, seconds=seconds)
        text, own = said
        return Answer(state="failed", request_id=request_id, exit_code=own, message=text, seconds=seconds)
    files = files_below(folder / order.outputs) | {"command.log": folder / "command.log"}
    packed = pack(files, lease.place / f"result-{request_id}.zip")
    result = Sent(sha256=packed.sha256, size=packed.size)
    answer = Answer(state="done", request_id=request_id, seconds=seconds, result=result)
    write_whole(lease.place / "answer.json", answer.model_dump_json())
    return answer


def _answered(place: Path) -> Answer | None:
    """What an earlier request for the job came to, where its result is whole."""
    try:
        answer = Answer.model_validate_json((place / "answer.json").read_bytes())
    except (OSError, ValueError):
        return None
    archive = place / f"result-{answer.request_id}.zip"
    whole = answer.result is not None and archive.is_file() and sha256_of(archive) == answer.result.sha256
    return answer if whole else None


def _arrived(place: Path, sent: Sent) -> bool:
    """Whether the inputs are here and whole; what was just uploaded may take a moment to be seen by all machines."""
    archive, deadline = _sent(place, sent), time.monotonic() + ARRIVAL_SECONDS
    while not (archive.is_file() and archive.stat().st_size == sent.size):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return sha256_of(archive) == sent.sha256


def _sent(place: Path, sent: Sent) -> Path:
    return place / f"{sent.sha256}.zip"


def _said(events: Path) -> tuple[str, int] | None:
    """The command's own last word, where it is an error: line and exit code."""
    try:
        last = json.loads(events.read_text(encoding="utf-8").split("\n")[-2])
    except (OSError, ValueError, IndexError):
        return None
    return (str(last.get("message")), int(last.get("exit_code", 1))) if last.get("event") == "error" else None


def _tail(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][-300:] if lines else "its log is empty"


def _environment() -> dict[str, str]:
    """Ours without what belongs to the platform: a training needs no key of it. Modules come from the packaged code alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FAL_KEY", "PYTHON"))}
    root, hub = str(Path(__file__).resolve().parent.parent), str(_data() / "lorasmith" / "hub")
    places = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    python = {"PYTHONPATH": os.pathsep.join(places), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
    return {"HF_HOME": hub, **kept, **python, "TOKENIZERS_PARALLELISM": "false"}


def _data() -> Path:
    """The account's persistent disk; the sandbox says where it has it."""
    return Path(os.environ.get("LORASMITH_DATA") or "/data")


def _wait(child: "subprocess.Popen[bytes]", seconds: float) -> int | None:
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _signal(child: "subprocess.Popen[bytes]", number: int) -> None:
    """To the command and all that it started."""
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return
