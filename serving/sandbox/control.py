"""Start, find and stop the sandbox, and read its ledger; the daemon itself is server.py."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .accounts import CALLER, OWNER, read_keys
from .errors import PortInUse, SandboxError, StartFailed
from .server import LOCK_FILE, RUN_FILE, hosts

START_SECONDS = 30.0
STOP_SECONDS = 20.0
# What the daemon may see of the environment of its starter: no key or token of anybody.
PASSED_ON = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH"),
    *("VIRTUAL_ENV", "XDG_CACHE_HOME", "HF_HOME", "HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"),
)

# How pip finds packages is the user's business; the runners of apps do not see it.
PIP = (
    *("PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CONSTRAINT"),
    *("PIP_TRUSTED_HOST", "PIP_CERT", "PIP_CACHE_DIR", "PIP_PROXY"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A sandbox that answers; `env` is what a child process needs on top of its own environment to talk to it as the owner."""

    address: str
    pid: int
    env: dict[str, str]
    owner_key: str
    caller_key: str
    owner: str
    ca_file: Path


def up(
    home: Path,
    *,
    port: int = 0,
    shared_enabled: bool | None = None,
    record: Path | None = None,
    environments: str | None = None,
) -> Running:
    """The sandbox of `home`, started as a daemon unless a healthy one runs; PortInUse or StartFailed with one line otherwise.

    `environments`: what apps run in, "local" (the sandbox's own interpreter, the default) or "virtualenv" (made from requirements).
    One that is started here appends to the file `record` what clients send: a JSON line a call, without values.
    """
    folder = _folder(home)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _require_own(folder)
    folder.chmod(0o700)
    (folder / "logs").mkdir(mode=0o700, exist_ok=True)
    with _turn(folder / "up.lock"):
        running = status(home)
        if running is not None:
            _same_settings(folder, running, port=port, shared_enabled=shared_enabled, environments=environments)
            return running
        down(home)
        settings = {"shared_enabled": shared_enabled is not False, "environments": environments or "local"}
        _start(folder, home, port=port, settings=settings, record=record)
    found = status(home)
    if found is None:
        raise StartFailed(f"the sandbox ended right after its start; see {folder / 'logs' / 'sandbox.log'}")
    return found


def status(home: Path) -> Running | None:
    """The running sandbox, or None where none answers."""
    folder = _folder(home)
    run = _run_file(folder)
    if run is None or not _held(folder / LOCK_FILE):
        return None
    address = f"127.0.0.1:{run['port']}"
    if _instance_at(address, folder / "tls" / "ca.pem") != run["instance"]:
        return None
    keys = read_keys(folder / "keys.json")
    return Running(
        address=address,
        pid=run["pid"],
        env=_environment(folder, address, keys[OWNER]),
        owner_key=keys[OWNER],
        caller_key=keys[CALLER],
        owner=OWNER,
        ca_file=folder / "tls" / "ca.pem",
    )


def down(home: Path) -> bool:
    """Stop the sandbox and all its runners; False where there was none."""
    folder = _folder(home)
    run = _run_file(folder)
    if run is None or not _held(folder / LOCK_FILE):
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(run["pid"], number)
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if not _held(folder / LOCK_FILE):
                return True
            time.sleep(0.02)
    raise SandboxError(f"the sandbox (process {run['pid']}) did not stop within {2 * STOP_SECONDS:.0f} s")


def link(home: Path) -> str:
    """An address that opens the sandbox's pages in a browser: once, within minutes. SandboxError where none runs."""
    running = status(home)
    if running is None:
        raise SandboxError("no sandbox is running; start it with: lorasmith sandbox up")
    request = urllib.request.Request(f"https://{running.address}/sandbox/link", method="POST")
    request.add_header("Authorization", f"Key {running.owner_key}")
    try:
        with _opener(running.ca_file).open(request, timeout=10) as reply:
            return str(json.load(reply)["url"])
    except urllib.error.URLError as error:
        raise SandboxError(f"the sandbox at {running.address} gave no link ({error}); stop it and start it again") from error


def purge(home: Path) -> None:
    """down(), and everything that the sandbox remembers: apps, keys, ledger, files, its authority."""
    down(home)
    shutil.rmtree(_folder(home), ignore_errors=True)


def ledger(home: Path) -> list[dict[str, Any]]:
    """Every request so far, oldest first; readable while the sandbox runs and after."""
    from .money.ledger import Ledger
    from .state import State

    path = _folder(home) / "state.db"
    if not path.exists():
        return []
    state = State(path)
    try:
        return Ledger(state.db).rows()
    finally:
        state.close()


def unused_environments(home: Path) -> list[Path]:
    """Folders of virtual environments that no revision was deployed with; none while the sandbox runs. They may be removed."""
    from .fleet.environments import unused_environments
    from .state import State

    folder = _folder(home)
    if not (folder / "state.db").exists() or _held(folder / LOCK_FILE):
        return []
    state = State(folder / "state.db")
    try:
        return unused_environments(folder / "environments", state.revisions())
    finally:
        state.close()


def _folder(home: Path) -> Path:
    return home.resolve() / "sandbox"


def _require_own(folder: Path) -> None:
    """StartFailed where somebody else could have put the folder there: keys would lie in it, and its mode is changed."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise StartFailed(f"{folder} is a link, or another user's: remove it, or choose another LORASMITH_HOME")


def _start(folder: Path, home: Path, *, port: int, settings: Mapping[str, Any], record: Path | None) -> None:
    root = Path(__file__).resolve().parents[2]
    names = (*PASSED_ON, *PIP) if settings["environments"] == "virtualenv" else PASSED_ON
    environment = {name: os.environ[name] for name in names if name in os.environ} | {"PYTHONPATH": str(root)}
    command = [sys.executable, "-P", "-m", "serving.sandbox.server", "--home", str(home.resolve()), "--port", str(port)]
    command += ["--environments", settings["environments"]]
    if not settings["shared_enabled"]:
        command.append("--no-shared")
    if record is not None:
        command += ["--record", str(record.resolve())]
    log = folder / "logs" / "sandbox.log"
    with log.open("ab") as errors:
        started = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        assert started.stdout is not None
        with started.stdout as pipe:
            line = _first_line(pipe.fileno())
        started.wait()
    answer = json.loads(line) if line else {"error": f"the sandbox did not start; see {log}"}
    if "error" in answer:
        kind = PortInUse if "in use" in answer["error"] else StartFailed
        raise kind(answer["error"])


def _first_line(fd: int) -> bytes:
    """What the daemon says when it is ready or gives up; empty where it ends or stays silent."""
    import select

    said, deadline = b"", time.monotonic() + START_SECONDS
    while b"\n" not in said and (left := deadline - time.monotonic()) > 0:
        if select.select([fd], [], [], left)[0]:
            chunk = os.read(fd, 4096)
            if not chunk:
                break
            said += chunk
    return said


def _same_settings(folder: Path, running: Running, *, port: int, shared_enabled: bool | None, environments: str | None) -> None:
    run = _run_file(folder) or {}
    if port and not running.address.endswith(f":{port}"):
        raise PortInUse(
            f"the sandbox of this home runs at {running.address}, not at port {port}; stop it first, or leave out the port"
        )
    if shared_enabled is not None and run.get("shared_enabled") is not shared_enabled:
        raise StartFailed("the running sandbox treats auth mode 'shared' otherwise; stop it first")
    if environments is not None and run.get("environments") != environments:
        raise StartFailed(f"the running sandbox runs apps in environments '{run.get('environments')}'; stop it first")


def _run_file(folder: Path) -> dict[str, Any] | None:
    try:
        run = json.loads((folder / RUN_FILE).read_text())
    except (FileNotFoundError, ValueError):  # a daemon that starts takes a damaged one away
        return None
    return run if isinstance(run, dict) and {"pid", "port", "instance"} <= run.keys() else None


def _held(lock: Path) -> bool:
    """Whether a daemon holds the lock."""
    if not lock.exists():
        return False
    with lock.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextlib.contextmanager
def _turn(lock: Path) -> Iterator[None]:
    """One start at a time."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _instance_at(address: str, ca_file: Path) -> str | None:
    try:
        with _opener(ca_file).open(f"https://{address}/sandbox.json", timeout=10) as reply:
            return str(json.load(reply).get("instance"))
    except (OSError, urllib.error.URLError, ValueError):
        return None


def _opener(ca_file: Path) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=str(ca_file))
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))


def _environment(folder: Path, address: str, key: str) -> dict[str, str]:
    bundle = str(folder / "tls" / "bundle.pem")
    bypass = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "127.0.0.1")))
    return hosts(address) | {
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": bundle,
        "SSL_CERT_FILE": bundle,
        "FAL_KEY": key,
        # The user's own profile, team and sign-in must not reach the sandbox, nor its key them.
        "FAL_CONFIG_PATH": str(folder / "fal-config.toml"),
        "FAL_HOME_DIR": str(folder / "fal-home"),
        "FAL_PROFILE": "",
        "FAL_FORCE_AUTH_BY_USER": "0",
        "ISOLATE_TEST_MODE": "0",
        "FAL_DONT_OPEN_LINKS": "1",
        "NO_PROXY": bypass,
        "no_proxy": bypass,
    }
