"""Two processes under the launcher, over gloo, train the adapter that one process trains by accumulation."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training.config import TrainConfig
from training.run import main

Make = Callable[..., TrainConfig]
# Two processes on the CPU: accelerate starts them by torch.distributed as it does on two GPUs, with the file that flows give it.
MANY = Path(__file__).resolve().parents[2] / "flows" / "deployments" / "accelerate" / "many.yaml"
LAUNCH = ["-m", "accelerate.commands.launch", "--config_file", str(MANY), "--num_processes", "2"]
RECIPE = {"steps": 4, "batch_size": 4, "log_every": 2, "validate_every": 2}


def asked(config: TrainConfig, folder: Path) -> list[str]:
    folder.mkdir()
    (folder / "config.json").write_text(config.model_dump_json())
    return ["train", "--config", f"{folder}/config.json", "--out", f"{folder}/out", "--work", f"{folder}/work"]


def test_two_processes_are_accumulation_over_two_parts(
    make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, *LAUNCH, "-m", "training.run", *asked(make_config(**RECIPE), tmp_path / "two")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert main(asked(make_config(**RECIPE, gradient_accumulation=2), tmp_path / "one")) == 0, capsys.readouterr().err
    assert main(asked(make_config(**RECIPE), tmp_path / "whole")) == 0, capsys.readouterr().err

    two, one, whole = (load_file(tmp_path / name / "out" / "adapter.safetensors") for name in ("two", "one", "whole"))
    assert two.keys() == one.keys()
    for name in two:
        assert torch.allclose(two[name], one[name], rtol=1e-4, atol=1e-6), name
    assert any(not torch.allclose(two[name], whole[name], rtol=1e-4, atol=1e-6) for name in two)  # its noise is another
    records = [json.loads((tmp_path / name / "out" / "training.json").read_text()) for name in ("two", "one")]
    for left, right in zip(records[0]["curve"], records[1]["curve"], strict=True):
        assert (left["step"], left["loss"]) == (right["step"], pytest.approx(right["loss"], rel=1e-5))
        assert left["held_out"] == pytest.approx(right["held_out"], rel=1e-5)
    assert [point["step"] for point in records[0]["curve"]] == [2, 4]
