"""The Prefect server of a home: one process keeps it up, provides what workers need, and schedules again what crashed."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from flows.errors import FlowError, JobError
from flows.orchestration import keeping, server_state
from flows.orchestration.automating import FOLDER as AUTOMATIONS
from flows.orchestration.late_runs import drop_superseded
from flows.orchestration.orchestrator import HOST, SOURCE, address, adopt, environment, prefect_folder
from flows.orchestration.profiles import DEFAULT
from flows.orchestration.resuming import EVERY_SECONDS, resume_crashed
from flows.orchestration.server_client import ServerAway, asking

START_SECONDS = 180.0  # on an idle machine it takes ten
STOP_SECONDS = 60.0
DEFAULT_PORT = 4200
FILE = SOURCE / "prefect.yaml"
NOT_THE_SERVERS = ("FAL_", "HF_TOKEN", "HUGGING_FACE", "LORASMITH_")
Say = Callable[[str], None]


def serve(
    home: Path,
    *,
    port: int | None = None,
    file: Path = FILE,
    automations: Path = AUTOMATIONS,
    profile: str = DEFAULT,
    say: Say = print,
) -> bool:
    """Keep the server up until SIGINT or SIGTERM; False at once where one is up already, whatever its port.

    Lines for a person go to `say`. JobError where the port is taken; FlowError where the server or what it needs can not be made.
    """
    with server_state.sole(server_state.lock_file(home)) as mine:
        if not mine:
            return False
        server_state.forget(home)  # of one that was killed
        with keeping.stopped_by_signals() as stop:
            port = chosen_port(port)
            Kept(home=home, port=port, file=file, automations=automations, profile=profile, say=say, stop=stop).run()
    return True


@dataclass(kw_only=True)
class Kept:
    """One server from its start to its end."""

    home: Path
    port: int
    file: Path
    automations: Path
    profile: str
    say: Say
    stop: threading.Event
    ready: bool = False
    provided: bool = False
    looked: float = 0.0
    told: str = ""
    started: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        self.log = keeping.folder_of_logs(self.home) / "prefect-server.log"
        self.environment = environment(os.environ, prefect_folder(self.home), self.port)
        prefect_folder(self.home).mkdir(mode=0o700, exist_ok=True)
        adopt(self.environment)
        try:
            keeping.keep(self.start, self.stop, look=self.look, after_end=self.ended)
        finally:
            server_state.forget(self.home)

    def start(self) -> keeping.Child:
        """Without keys of the platform or the Hub: the server runs nothing of ours."""
        env = {name: value for name, value in self.environment.items() if not name.startswith(NOT_THE_SERVERS)}
        self.ready, self.started = False, time.monotonic()
        return keeping.start([sys.executable, "-m", "prefect", "server", "start"], env=env, cwd=SOURCE, log=self.log)

    def look(self, _: keeping.Child) -> None:
        if not self.ready:
            self.wait_ready()
        elif time.monotonic() - self.looked >= EVERY_SECONDS:
            self.looked = time.monotonic()
            self.resume()

    def wait_ready(self) -> None:
        """One look; where it answers for the first time, give it pools, deployments and automations, and tell where it is."""
        if not server_state.answers(address(self.port)):
            if time.monotonic() - self.started > START_SECONDS:
                raise FlowError(f"Prefect's server does not answer after {START_SECONDS:.0f} s: {keeping.last_line(self.log)}")
            return
        if not self.provided:
            self.provide()
        state = server_state.ServerState(port=self.port, pid=os.getpid(), since=datetime.now(UTC).isoformat(timespec="seconds"))
        server_state.write(self.home, state)
        self.ready = True
        self.say(f"Prefect's server is up on {address(self.port)} (process {os.getpid()}); its pages: http://{HOST}:{self.port}")

    def provide(self) -> None:
        from flows.orchestration.provisioning import provide

        for remark in provide(self.file, self.environment, self.automations, self.profile):
            self.say(f"! {remark}")
        self.provided = True

    def resume(self) -> None:
        """A server that is busy or about to be started again is asked the next time."""
        from flows.orchestration.worker_process import workers_of

        try:
            with asking() as client:
                held = frozenset(run for worker in workers_of(self.home) for run in worker.runs)
                for run in resume_crashed(client, held):
                    self.say(f"run {run.name} is scheduled again: crash {run.crashes}")
                if dropped := drop_superseded(client):
                    self.say(f"{len(dropped)} late runs of schedules are dropped: later ones wait")
        except ServerAway as away:
            self.unseen(f"! no look at crashed and late runs: {away}; the next one in {EVERY_SECONDS:.0f} s")
        else:
            self.told = ""

    def unseen(self, line: str) -> None:
        """Told once, not every five seconds, while nothing changes."""
        if line != self.told:
            self.say(line)
        self.told = line

    def ended(self, code: int | None) -> None:
        server_state.forget(self.home)
        if code is not None:
            self.say(f"! Prefect's server ended with code {code} ({keeping.last_line(self.log)}); it is started again")


def chosen_port(port: int | None) -> int:
    """The port asked for, 0 meaning a free one; JobError in one line where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, DEFAULT_PORT if port is None else port))
            probe.listen()
        except OSError:
            taken = DEFAULT_PORT if port is None else port
            raise JobError(f"port {taken} of {HOST} is taken: name another with --port, or let --port 0 find a free one") from None
        found: int = probe.getsockname()[1]
    return found


def start_in_background(home: Path, arguments: list[str], say: Say = print) -> server_state.ServerState:
    """The same command in a session of its own; returns when it is up, and what it remarked is said here too.

    FlowError or JobError with its last line where it ends.
    """
    log = keeping.folder_of_logs(home) / "server-up.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "flows.cli.main", "server", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=SOURCE,
            env=dict(os.environ),
            start_new_session=True,
        )
    deadline = time.monotonic() + 2 * START_SECONDS
    while time.monotonic() < deadline:
        state = server_state.running(home)
        if state and state.pid == child.pid:
            for line in log.read_text(errors="replace").splitlines():
                if line.startswith("!"):
                    say(line)
            return state
        if (code := child.poll()) is not None:
            kind = JobError if code == JobError.exit_code else FlowError
            raise kind(keeping.last_line(log).removeprefix("lorasmith: "))
        time.sleep(0.2)
    child.terminate()
    raise FlowError(f"Prefect's server is not up after {2 * START_SECONDS:.0f} s; what it said is in {log}")


def stop(home: Path) -> bool:
    """End the server and wait for it; False where none is up."""
    pid = server_state.keeper(home)
    if pid is None:
        return False
    return end_process(pid, lambda: server_state.is_held(server_state.lock_file(home)))


def end_process(pid: int, alive: Callable[[], bool]) -> bool:
    """SIGTERM, and SIGKILL where that is not enough; the reapers see to what it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if not alive():
                return True
            time.sleep(0.1)
    raise FlowError(f"process {pid} did not end within {2 * STOP_SECONDS:.0f} s")
