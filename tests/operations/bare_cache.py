"""Traps 1 to 5 on Prefect's own cache: what each of these small flows gives, in processes of their own.

python -m tests.operations.bare_cache NAME FOLDER is one such process; `FORMS` are what tests/operations/bare.py measures with them.
"""

import importlib.util
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.locking.filesystem import FileSystemLockManager
from prefect.transactions import IsolationLevel

from tests.operations.measured import Measured
from tests.operations.prefect import ROOT, Prefect, until

DISK_BYTES = 100_000  # no file grows beyond: what a full disk does to whoever writes
WAIT_SECONDS = 40.0
LIMIT_SECONDS = 180.0


@task(cache_policy=INPUTS, persist_result=True)
def train(job: dict[str, int]) -> str:
    return f"an adapter of {job['n']}"


@task(cache_policy=INPUTS, persist_result=True)
def check_licence(job: dict[str, int]) -> str:
    return f"a verdict on {job['n']}"


def inputs(folder: Path) -> str:
    train({"n": 1})
    return check_licence({"n": 1})


@task(cache_policy=INPUTS + TASK_SOURCE, persist_result=True)
def helped(folder: str) -> str:
    spec = importlib.util.spec_from_file_location("helper", Path(folder, "helper.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.SAID)


def helper(folder: Path) -> str:
    return str(helped(str(folder)))


@task(cache_policy=INPUTS, persist_result=True)
def weights(folder: str) -> str:
    file = Path(folder, "out", "weights")
    file.parent.mkdir(exist_ok=True)
    file.write_text("one")
    return str(file)


def files(folder: Path) -> str:
    file = Path(weights(str(folder)))
    return "there" if file.exists() else "missing"


@task(cache_policy=INPUTS, persist_result=True)
def large(folder: str) -> bytes:
    return bytes(range(256)) * 4_000


def disk(folder: Path) -> str:
    """With the state of the task, since its flow may end well."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK_BYTES, hard))
    state = large(str(folder), return_state=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    return str(state.name)


def lock(folder: Path) -> str:
    """The first of two holds the lock until it is killed, the second would end at once."""
    alone = INPUTS.configure(isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=FileSystemLockManager(folder / "locks"))

    @task(cache_policy=alone, persist_result=True)
    def held(place: str) -> str:
        first = Path(place, "held")
        if not first.exists():
            first.touch()
            time.sleep(600)
        return "held"

    return str(held(str(folder)))


FLOWS: dict[str, Callable[[Path], str]] = {each.__name__: each for each in (inputs, helper, files, disk, lock)}


def said_by(server: Prefect, name: str, folder: Path) -> str:
    """The last line of a flow that ran to its end in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, name, str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=server.environment,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


def trap_inputs(server: Prefect, folder: Path) -> Measured:
    said = said_by(server, "inputs", folder)
    return Measured(said.startswith("an adapter"), f"check_licence, after train with the same input, returned {said!r}")


def trap_helper(server: Prefect, folder: Path) -> Measured:
    found = []
    for word in ("before", "after"):
        (folder / "helper.py").write_text(f"SAID = {word!r}\n")
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        found.append(said_by(server, "helper", folder))
    return Measured(
        found == ["before", "before"], f"INPUTS + TASK_SOURCE: {found[0]!r}, and {found[1]!r} when its helper says 'after'"
    )


def trap_files(server: Prefect, folder: Path) -> Measured:
    assert said_by(server, "files", folder) == "there"
    shutil.rmtree(folder / "out")
    second = said_by(server, "files", folder)
    return Measured(second == "missing", f"the folder deleted, the task gives its path again, and the file is {second}")


def trap_disk(server: Prefect, folder: Path) -> Measured:
    before = results(server)
    state = said_by(server, "disk", folder)
    left = [file.stat().st_size for file in results(server) - before]
    again = said_by(server, "disk", folder)
    half = f"{left[0]} bytes of about {len(large.fn(str(folder)))} are left" if left else "no file is left"
    return Measured(state == "Completed" and bool(left), f"the task is {state}, {half}; run again it is {again}")


def results(server: Prefect) -> set[Path]:
    folder = Path(server.environment["PREFECT_RESULTS_LOCAL_STORAGE_PATH"])
    return {file for file in folder.rglob("*") if file.is_file()}


def trap_lock(server: Prefect, folder: Path) -> Measured:
    command = [sys.executable, "-m", __name__, "lock", str(folder)]
    with (folder / "out").open("wb") as out:
        holder, waiting = (None, None)
        try:
            holder = subprocess.Popen(command, cwd=ROOT, env=server.environment, stdout=out, stderr=out)
            until((folder / "held").exists, LIMIT_SECONDS, (folder / "out").read_text)
            holder.kill()
            holder.wait(20)
            waiting = subprocess.Popen(command, cwd=ROOT, env=server.environment, stdout=out, stderr=out)
            with_it = ended(waiting, WAIT_SECONDS)
        finally:
            for process in (holder, waiting):
                if process:
                    process.kill()
                    process.wait(20)
    after = "the next run ended" if with_it else f"{WAIT_SECONDS:.0f} s later the next run still waits"
    return Measured(not with_it, f"its holder killed, {len(list((folder / 'locks').iterdir()))} lock file stays; {after}")


def ended(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


FORMS: dict[str, Callable[[Prefect, Path], Measured]] = {
    "inputs": trap_inputs,
    "helper": trap_helper,
    "files": trap_files,
    "disk": trap_disk,
    "lock": trap_lock,
}


if __name__ == "__main__":
    print(flow(FLOWS[sys.argv[1]])(Path(sys.argv[2])))
