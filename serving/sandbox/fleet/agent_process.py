"""One child process with isolate's agent in it, and the log of what it says."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import grpc
import isolate_proto as proto

from ..errors import RunnerFailed
from .leftovers import end_all

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
SOCKETS = Path("run")  # relative to the daemon's working directory: the path of a unix socket may not exceed 107 bytes
READY_SECONDS = 60.0
LINE_LIMIT = 64 * 1024
HIDDEN = "********"
LARGEST_LOG = 256 * 1024 * 1024  # bytes of a log file; a longer one would fill the disk of whoever tries an app out


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line that a runner wrote; source is `user` or `agent`."""

    at: float
    source: str
    text: str


class RunnerLog:
    """A log file and its latest lines in memory; secrets are masked before either sees them."""

    def __init__(self, path: Path, *, secrets: Iterable[str] = ()) -> None:
        self.path = path
        self.total = 0
        self._lines: deque[Line] = deque(maxlen=2000)
        self._secrets = re.compile("|".join(re.escape(text) for text in masked(secrets)) or r"(?!)")
        self._file = path.open("a", buffering=1)
        self._room = LARGEST_LOG - path.stat().st_size
        path.chmod(0o600)

    def add(self, source: str, text: str) -> None:
        line = Line(at=time.time(), source=source, text=self._secrets.sub(HIDDEN, text))
        self._lines.append(line)
        self.total += 1
        if self._file.closed:  # of a runner that has ended; who still holds it may read what is said of its end
            return
        said = f"{time.strftime('%H:%M:%S', time.localtime(line.at))} {source}: {line.text}\n"
        self._room -= len(said)
        self._file.write(said if self._room > 0 else f"this log has {LARGEST_LOG} bytes; what comes now is not kept\n")
        if self._room <= 0:
            self._file.close()

    def since(self, number: int) -> list[Line]:
        """Lines from the `number`-th on, as far as they are still held."""
        wanted = self.total - number
        return list(self._lines)[-wanted:] if wanted > 0 else []

    def tail(self, count: int = 20) -> list[str]:
        """The last lines of the app itself."""
        return [line.text for line in self._lines if line.source == "user"][-count:]

    def reason(self) -> str:
        """The line that most likely says why the app ended: the last one before the server gave up that is no server chatter."""
        lines = self.tail(200)
        given_up = next((number for number, text in enumerate(lines) if "Application startup failed" in text), len(lines))
        for text in reversed(lines[:given_up]):
            if text.strip() and not re.match(r"(INFO|ERROR|WARNING|DEBUG): ", text):
                return text.strip()
        return self._agents_reason() or "it wrote nothing"

    def _agents_reason(self) -> str:
        """What the agent says of an entry point that raised, which the app itself did not write."""
        said = (line.text.partition(" with an error: ")[2] for line in reversed(self._lines) if line.source == "agent")
        return next((text.strip() for text in said if text), "")

    def close(self) -> None:
        self._file.close()


def masked(secrets: Iterable[str]) -> list[str]:
    """What no log may show: each secret whole, its lines (a key in PEM is written line by line), the password of an address."""
    whole = {secret for secret in secrets if secret}
    found = whole | {line for secret in whole for line in secret.splitlines() if len(line) > 7}  # shorter ones are in every text
    for address in [text for text in found if "://" in text]:
        password = urlsplit(address).password
        found |= {password, unquote(password)} if password else set()
    return sorted(found, key=len, reverse=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What process `id` shall run: `pickle` is the file of a pickled callable, else `entrypoint` names one in the staged files."""

    id: str
    stage: Path
    pickle: Path | None
    entrypoint: str
    environment: Mapping[str, str]
    python: str = sys.executable


class AgentProcess:
    """Started with start(), asked with run(), ended with stop(); killed by the kernel when the sandbox ends."""

    def __init__(self, job: Job, log: RunnerLog, *, app_fd: int | None = None) -> None:
        self.id = job.id
        self._job = job
        self._log = log
        self._app_fd = app_fd
        self._ended = False
        self._ready = asyncio.Event()
        self._readers: list[asyncio.Task[None]] = []
        self._process: asyncio.subprocess.Process | None = None
        self._socket = SOCKETS / f"a-{self.id}.sock"
        self._job_file = SOCKETS / f"{self.id}.json"

    async def start(self) -> None:
        """Returns when the agent takes calls; RunnerFailed where it does not within a minute."""
        log_read, log_write = os.pipe()
        self._job_file.write_text(json.dumps(self._job_description(log_write)))
        fds = (log_write,) if self._app_fd is None else (log_write, self._app_fd)
        self._process = await asyncio.create_subprocess_exec(
            *(self._job.python, "-P", str(BOOTSTRAP), self._job_file.name),
            cwd=SOCKETS,
            env=dict(self._job.environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=fds,
            start_new_session=True,
        )
        os.close(log_write)
        assert self._process.stdout is not None
        self._readers = [
            asyncio.create_task(self._follow("user", self._process.stdout)),
            asyncio.create_task(self._follow("agent", await _reader_of(log_read))),
        ]
        await self._until_ready()

    async def run(self, entrypoint: str, *, on_main_thread: bool) -> Any:
        """The agent's SerializedObject for one call; RunnerFailed where the process ends before it answers."""
        credentials = grpc.local_channel_credentials(grpc.LocalConnectionType.UDS)
        call = proto.FunctionCall(entrypoint=entrypoint, run_on_main_thread=on_main_thread)
        async with grpc.aio.secure_channel(f"unix:{self._socket}", credentials, options=proto_options()) as channel:
            try:
                async for partial in proto.AgentStub(channel).Run(call):
                    if partial.is_complete:
                        return partial.result
            except grpc.aio.AioRpcError as error:
                raise RunnerFailed(f"the runner ended during the call: {error.details()}") from error
        raise RunnerFailed("the runner ended without a result")

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def stop(self, grace: float = 0.0) -> None:
        """SIGTERM and `grace` seconds, then SIGKILL, for the process and all that it started."""
        if self._process is None or self._ended:
            return
        if grace > 0 and self.alive:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), grace)
        self._signal(signal.SIGKILL)
        await self._process.wait()
        await asyncio.to_thread(end_all, f"FAL_JOB_ID={self.id}")  # what the app started in sessions of their own
        await asyncio.wait(self._readers, timeout=1.0)
        for reader in self._readers:
            reader.cancel()
        for path in (self._socket, self._job_file):
            path.unlink(missing_ok=True)
        self._ended = True

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _job_description(self, log_fd: int) -> dict[str, Any]:
        return {
            "parent": os.getpid(),
            "agent_socket": self._socket.name,
            "log_fd": log_fd,
            "app_fd": self._app_fd,
            "stage": str(self._job.stage),
            "pickle": str(self._job.pickle) if self._job.pickle else None,
            "entrypoint": self._job.entrypoint,
        }

    async def _until_ready(self) -> None:
        assert self._process is not None
        ended = asyncio.create_task(self._process.wait())
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({ended, ready}, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        ready.cancel()
        if not self._ready.is_set():
            await self.stop()
            raise RunnerFailed(f"the agent did not start: {self._log.reason()}")

    async def _follow(self, source: str, stream: asyncio.StreamReader) -> None:
        async for text in _lines(stream):
            self._log.add(source, text)
            if source == "agent" and text.startswith("Agent is ready"):
                self._ready.set()


def proto_options() -> list[tuple[str, int]]:
    """Of the SDK's channel options the sizes: messages up to 2 GiB, as pickled apps can be large.

    No keepalive: the agent's server takes its pings for a flood and hangs up after some minutes, which would end the app.
    """
    from isolate_proto.configuration import GRPC_OPTIONS

    return [option for option in GRPC_OPTIONS if option[0].endswith("message_length")]


async def _reader_of(fd: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0))
    return reader


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Lines of any length; what exceeds LINE_LIMIT comes in pieces."""
    rest = b""
    while chunk := await stream.read(LINE_LIMIT):
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line.decode(errors="replace").rstrip("\r")
        if len(rest) >= LINE_LIMIT:
            yield rest.decode(errors="replace")
            rest = b""
    if rest:
        yield rest.decode(errors="replace")
