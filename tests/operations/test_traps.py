"""What Prefect 3.7.7 does that would hurt here, one by one, and that nothing of ours steps into it.

What needs a server is in test_recovery.py, what takes minutes in soak.py; traps.py says which is where.
"""

import ast
import configparser
import errno
import importlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import prefect.flows
import prefect.tasks
import pytest
import typer
import yaml
from packaging.version import Version
from prefect import task
from prefect.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE

from flows import step_inputs, store
from flows.cli.main import app
from flows.errors import FlowError
from flows.orchestration import orchestrator, provisioning, server_state
from tests.flows.published import toy_job
from tests.operations import bare
from tests.operations.prefect import ROOT
from tests.operations.traps import TRAPS, Trap


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.number)
def test_every_trap_has_its_answer_and_its_test(trap: Trap) -> None:
    names = {node.name for node in ast.walk(ast.parse((ROOT / trap.file).read_text())) if isinstance(node, ast.FunctionDef)}
    assert trap.test in names
    assert trap.where
    assert [file for file in trap.where if not (ROOT / file).is_file()] == []


def test_the_page_has_every_trap_as_it_was_measured_on_this_prefect() -> None:
    """Another Prefect may have mended some of them: then measure again."""
    head, _, *rows = bare.table().splitlines()
    assert head.split(" | ")[1] == f"Prefect {version('prefect')}", f"measure again: {bare.COMMAND} --write"
    found = bare.shown()
    assert {trap.form for trap in TRAPS if trap.form} == bare.FORMS.keys()
    wanted = [bare.row(trap, found.get(trap.form, bare.NOTHING) if trap.form else bare.NOTHING).rstrip() for trap in TRAPS]
    assert rows == wanted, f"say it again: {bare.COMMAND} --words"
    assert {said.partition(":")[0] for said in found.values()} <= {"yes", "no", bare.UNKNOWN}


def test_the_server_and_its_web_framework_fit() -> None:
    """A newer FastAPI lets the server end at its start; the lock files hold it where fal wants it, too."""
    assert Version(version("prefect")).release[:2] == (3, 7)
    assert Version(version("fastapi")) < Version("0.137")


@task
def train(n: int) -> str:
    return f"{n}"


@task
def check_licence(n: int) -> str:
    return f"{n}"


def test_prefects_cache_knows_neither_the_task_nor_its_code_and_is_not_used() -> None:
    given = {"inputs": {"n": 1}, "flow_parameters": {}}
    keys = [INPUTS.compute_key(context_of(each), **given) for each in (train, check_licence)]
    assert keys[0] == keys[1], "Prefect's answer to trap 1 has changed: say so in docs/prefect-traps.md"
    assert TASK_SOURCE.compute_key(context_of(train), **given) != TASK_SOURCE.compute_key(context_of(check_licence), **given)
    tasks = list(ours(prefect.tasks.Task))
    assert len(tasks) >= 8
    assert [each.name for each in tasks if each.cache_policy is not NO_CACHE and each.cache_policy != NO_CACHE] == []


def test_a_changed_helper_is_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any file of training/ below its flow; Prefect's key knows the text of one function."""
    job, licences = toy_job(tmp_path), store.Artefact(kind="verdict", key="0", path=tmp_path, found=True)
    rooms = ROOT / "training", tmp_path / "source" / "training"
    shutil.copytree(*rooms, ignore=shutil.ignore_patterns("__pycache__"))
    keys = [store.digest(step_inputs.recipe_inputs(job, licences))]
    monkeypatch.setattr(step_inputs, "SOURCE", tmp_path / "source")
    keys.append(store.digest(step_inputs.recipe_inputs(job, licences)))
    for helper in ("schedules.py", "families/joint.py"):
        with (rooms[1] / helper).open("a") as file:
            file.write("# another\n")
        keys.append(store.digest(step_inputs.recipe_inputs(job, licences)))
    assert len(set(keys)) == 3
    assert keys[0] == keys[1]


def context_of(each: Any) -> Any:
    return SimpleNamespace(task=each)


def test_no_result_is_kept_by_prefect_and_no_task_is_repeated_by_it() -> None:
    """A result would be written without care for a full disk, and a timeout with a retry would start a second trainer."""
    assert [each.name for each in ours(prefect.tasks.Task) if each.persist_result or each.retries or each.timeout_seconds] == []
    assert [each.name for each in ours(prefect.flows.Flow) if each.retries or each.timeout_seconds] == []
    assert not any("RESULTS_PERSIST" in name for name in orchestrator.settings(Path("/x"), 1))


def test_nothing_of_prefects_locks_and_caches_is_imported() -> None:
    found = [
        (file.name, name)
        for file in (ROOT / "flows").rglob("*.py")
        for name in imported(file)
        if name.startswith(("prefect.locking", "prefect.transactions", "prefect.assets"))
    ]
    assert found == []


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def ours(kind: type) -> Iterator[Any]:
    """Every task, or flow, of the modules of flows/ and its rooms."""
    seen = set()
    for file in sorted((ROOT / "flows").rglob("*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for each in vars(importlib.import_module(module)).values():
            if isinstance(each, kind) and id(each) not in seen:
                seen.add(id(each))
                yield each


def test_an_artefact_whose_files_are_gone_is_made_again(tmp_path: Path) -> None:
    def build(out: Path) -> None:
        (out / "weights").write_text("one")

    first = store.make(tmp_path, "adapter", {"n": 1}, build)
    assert store.make(tmp_path, "adapter", {"n": 1}, build).found
    (first.path / "weights").unlink()
    again = store.make(tmp_path, "adapter", {"n": 1}, build)
    assert not again.found
    assert (again.path / "weights").read_text() == "one"


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    def build(out: Path) -> None:
        (out / "weights").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out / "weights"))

    with pytest.raises(OSError, match="No space left"):
        store.make(tmp_path, "adapter", {"n": 1}, build)
    assert [path for path in (tmp_path / "store" / "adapter").iterdir() if path.is_dir()] == []


HOLDER = """
import sys, time
from pathlib import Path
from flows.store import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_goes_with_its_holder(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        assert server_state.is_held(lock)
        holder.send_signal(signal.SIGKILL)
    assert not server_state.is_held(lock)


def test_a_key_that_prefect_would_drop_is_named(tmp_path: Path) -> None:
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    provisioning.deployments_of(ROOT / "prefect.yaml")
    content["deployments"][0]["concurency_limit"] = 1
    content["deployments"][1]["work_pool"]["limit"] = 1
    file = tmp_path / "prefect.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(FlowError, match=r"deployment publish: unknown concurency_limit: Prefect would ignore it"):
        provisioning.deployments_of(file)
    del content["deployments"][0]["concurency_limit"]
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(FlowError, match=r"unknown work_pool\.limit"):
        provisioning.deployments_of(file)


def test_only_train_may_hold_a_gpu() -> None:
    """The limit of the pool is what keeps two trainings off one GPU, so nothing else may sit in it."""
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert [each["name"] for each in content["deployments"] if each["work_pool"]["name"] == "gpu"] == ["train"]


def test_gpus_are_counted_and_never_none() -> None:
    assert provisioning.gpus({"CUDA_VISIBLE_DEVICES": "0,2"}) == 2
    assert provisioning.gpus({"CUDA_VISIBLE_DEVICES": ""}) == 1
    assert provisioning.gpus({}) >= 1


@pytest.mark.parametrize("file", sorted((ROOT / "examples" / "systemd").glob("*.service")), ids=lambda file: file.name)
def test_the_units_let_a_keeper_end_its_own(file: Path) -> None:
    """systemd's default sends SIGTERM to everything at once: the worker would report runs as ended that are to go on."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(file)
    assert unit["Service"]["KillMode"] == "mixed"
    assert unit["Service"]["Restart"] == "always"
    command = unit["Service"]["ExecStart"].replace("%i", "gpu").split()[1:]
    root = typer.main.get_command(app)
    for word in command[:2]:
        root = root.commands[word]  # type: ignore[attr-defined]
    options = {option for parameter in root.params for option in parameter.opts}
    assert {word for word in command if word.startswith("--")} <= options
