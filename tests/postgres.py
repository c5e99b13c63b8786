"""A real PostgreSQL server for tests: on a socket in a folder of its own, as a user without rights, gone when the tests are."""

import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg

ROOT = Path(__file__).resolve().parents[1]
INSTALL = "tests need PostgreSQL's server; on Debian or Ubuntu run: sudo apt-get install -y --no-install-recommends postgresql"
START_SECONDS = 60.0
# A server whose data nobody needs after the tests.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "max_connections": "40",
    "autovacuum": "off",
}


class Server:
    """One cluster in `folder`; it can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.password = folder, secrets.token_hex(12)
        self.numbers = itertools.count(1)
        self._reaper: subprocess.Popen[bytes] | None = None
        secret = folder / "password"
        secret.write_text(self.password)
        _own(folder, secret)
        cluster = ["-D", str(folder / "data"), "-U", "lorasmith", "-A", "scram-sha-256", f"--pwfile={secret}"]
        cluster += ["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C"]
        command = _as_nobody([_program("initdb"), *cluster])
        made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        self.start()

    def registry(self) -> str:
        """URL of an empty schema of its own, which is made in a moment; a database takes seven megabytes."""
        name = f"registry_{next(self.numbers)}"
        with self.connected() as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{self._url('postgres')}&options={quote(f'-csearch_path={name}')}"

    def database(self) -> str:
        """URL of an empty database."""
        name = f"registry_{next(self.numbers)}"
        with self.connected() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://lorasmith:{self.password}@/{database}?host={quote(str(self.folder), safe='')}"

    def connected(self, database: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host=str(self.folder), user="lorasmith", password=self.password, dbname=database, autocommit=True, connect_timeout=5
        )

    def start(self) -> None:
        """Start it below a reaper, which ends it when this process is gone, and wait until it answers."""
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = [_program("postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), *settings]
        with (self.folder / "server.log").open("ab") as log:
            self._reaper = subprocess.Popen(
                [sys.executable, "-m", "flows.orchestration.reaper", "2", *_as_nobody(command)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            said = (self.folder / "server.log").read_text(errors="replace")[-2000:]
            assert self._reaper.poll() is None, f"the server ended at once: {said}"
            assert time.monotonic() < deadline, f"the server does not answer: {said}"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it as an administrator does: open connections are cut off, what was committed stays."""
        if self._reaper is None:
            return
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
        try:
            self._reaper.wait(START_SECONDS)
        finally:
            assert self._reaper.stdin is not None
            self._reaper.stdin.close()
            self._reaper.wait(START_SECONDS)
            self._reaper = None

    def _answers(self) -> bool:
        try:
            self.connected().close()
        except psycopg.OperationalError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def running() -> Iterator[Server]:
    """A server for as long as the block lasts. Its folder is short: the path of a socket has room for 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="lorasmith-pg-", dir="/tmp"))
    try:
        with Server(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder)


def _program(name: str) -> str:
    """initdb or postgres: on PATH, or where Debian keeps the newest version."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3].split(".")[0]))
    found = shutil.which(name) or (str(kept[-1]) if kept else None)
    assert found is not None, INSTALL
    return found


def _user() -> str | None:
    """Who the server runs as: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def _own(*paths: Path) -> None:
    if (user := _user()) is not None:
        for path in paths:
            shutil.chown(path, user)


def _as_nobody(command: list[str]) -> list[str]:
    user = _user()
    return command if user is None else ["setpriv", f"--reuid={user}", "--clear-groups", "--inh-caps=-all", *command]
