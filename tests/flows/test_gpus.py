"""GPUs are held by locks that end with whoever holds them; the trainer sees those alone that it holds."""

import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from flows.errors import JobError
from flows.machines.compute import ACCELERATE, command_of
from flows.machines.gpus import at_most, free_of, held, visible

NODES = [Path(f"/dev/nvidia{index}") for index in range(4)]


@pytest.mark.parametrize(
    ("environment", "nodes", "devices"),
    [
        ({}, NODES, ("0", "1", "2", "3")),
        ({}, [], ()),
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, NODES, ("2", "3")),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8f1c, GPU-77aa"}, NODES, ("GPU-8f1c", "GPU-77aa")),
        ({"CUDA_VISIBLE_DEVICES": "1,-1,2"}, NODES, ("1",)),
        ({"CUDA_VISIBLE_DEVICES": ""}, NODES, ()),
        ({"CUDA_VISIBLE_DEVICES": "0"}, [], ()),
    ],
)
def test_the_gpus_that_a_process_may_use(environment: Mapping[str, str], nodes: list[Path], devices: tuple[str, ...]) -> None:
    assert visible(environment, nodes) == devices


@pytest.mark.parametrize(("said", "there", "most"), [(None, 4, 1), ("2", 4, 2), ("8", 4, 4), ("all", 4, 4), ("all", 0, 1)])
def test_how_many_one_training_takes(said: str | None, there: int, most: int) -> None:
    assert at_most({"LORASMITH_GPUS": said} if said else {}, there) == most


@pytest.mark.parametrize("said", ["0", "-1", "two", ""])
def test_a_number_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(JobError, match="LORASMITH_GPUS"):
        at_most({"LORASMITH_GPUS": said}, 4)


def test_two_trainings_are_on_gpus_of_their_own_and_a_third_waits(tmp_path: Path) -> None:
    got = threading.Event()

    def third() -> None:
        with held(("0", "1"), 1, tmp_path):
            got.set()

    with held(("0", "1"), 1, tmp_path) as first:
        with held(("0", "1"), 1, tmp_path) as second:
            assert (first.environment, second.environment) == ({"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"})
            waiting = threading.Thread(target=third)
            waiting.start()
            assert not got.wait(0.3)
        assert got.wait(20)
        waiting.join()


def test_a_gpu_is_held_until_the_trainer_itself_is_gone(tmp_path: Path) -> None:
    with held(("0",), 1, tmp_path) as mine:
        command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
        trainer = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=mine.locks)
    with ExitStack() as locks:
        assert free_of(("0",), 1, tmp_path, locks) == {}
    assert trainer.stdin
    trainer.stdin.close()
    trainer.wait(20)
    with ExitStack() as locks:
        assert list(free_of(("0",), 1, tmp_path, locks)) == ["0"]


def test_a_machine_without_gpus_has_nothing_to_hold(tmp_path: Path) -> None:
    with held((), 1, tmp_path / "none") as nothing:
        assert (nothing.environment, nothing.locks) == ({}, ())
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("file", ["one.yaml", "many.yaml"])
def test_accelerate_reads_its_file_and_knows_every_key(file: str) -> None:
    path = ACCELERATE / file
    read = load_config_from_file(str(path))
    assert isinstance(read, ClusterConfig)
    assert {name: value for name, value in yaml.safe_load(path.read_text()).items() if getattr(read, name) != value} == {}


@pytest.mark.parametrize(
    ("processes", "cpu", "many"), [(1, True, False), (1, False, False), (2, False, True), (8, False, True)], ids=str
)
def test_the_launcher_starts_as_many_processes_as_gpus_were_granted(processes: int, cpu: bool, many: bool) -> None:
    command = command_of(["train"], processes, cpu=cpu)
    launch = command[command.index("accelerate.commands.launch") + 1 :]
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(launch))
    assert (arguments.num_processes, bool(arguments.multi_gpu), arguments.cpu) == (processes, many, cpu)
    assert (arguments.mixed_precision, arguments.num_machines) == ("no", 1)
    assert [arguments.training_script, *arguments.training_script_args] == ["flows.orchestration.tied", "training.run", "train"]
    assert arguments.module
