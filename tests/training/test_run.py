"""The commands: from a dataset folder to an adapter bundle and a picture, one line and an exit code where they can not."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.config import TrainConfig
from training.data.cache import load_pixels
from training.run import main

Make = Callable[..., TrainConfig]
LAUNCH = ["-m", "accelerate.commands.launch", "--quiet", "--cpu", "--num_processes", "1", "--num_machines", "1"]


def write(config: TrainConfig, folder: Path, **changes: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({**config.model_dump(mode="json"), **changes}))
    return path


def train(config: Path, folder: Path) -> list[str]:
    return ["train", "--config", str(config), "--out", f"{folder}/out", "--work", f"{folder}/work", "--events", f"{folder}/events"]


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def launched(base_folder: Path, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training as flows run it: a child process under the launcher."""
    folder = tmp_path_factory.mktemp("launched")
    content = {
        "base": str(base_folder),
        "dataset": str(dataset_folder),
        "cache": str(folder / "cache"),
        "resolution": 32,
        "steps": 6,
    }
    content |= {"batch_size": 3, "rank": 2, "alpha": 2, "learning_rate": 1e-2, "threads": 1, "log_every": 2}
    content |= {"inference": {"steps": 2, "guidance_scale": 2.0}}
    (folder / "config.json").write_text(json.dumps(content))
    command = [sys.executable, *LAUNCH, "-m", "training.run", *train(folder / "config.json", folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_training_under_the_launcher_reports_its_way(launched: Path) -> None:
    seen = events(launched / "events")
    assert [event["stage"] for event in seen if event["event"] == "stage"] == ["encode", "train", "export"]
    assert [event["step"] for event in seen if event["event"] == "step" and event["stage"] == "train"] == [2, 4, 6]
    assert seen[-1] == {"event": "done", "stage": "train"}
    record = json.loads((launched / "out" / "training.json").read_text())
    assert record["encoded"] == {"latents": 8, "conditioning": 8}
    assert [point["step"] for point in record["curve"]] == [2, 4, 6]


def test_a_trained_adapter_becomes_a_bundle_and_a_picture(
    launched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    asked = ["evaluate", "--config", f"{launched}/config.json", "--adapter", f"{launched}/out", "--out", str(bundle)]
    assert main(asked) == 0, capsys.readouterr().err
    assert {path.name for path in bundle.iterdir()} == {
        "adapter.safetensors",
        "adapter.kohya.safetensors",
        "adapter.comfyui.safetensors",
        "manifest.json",
        "evaluation.json",
        "place.json",
        "samples",
        "events.jsonl",
    }
    stages = [event["stage"] for event in events(bundle / "events.jsonl") if event["event"] == "stage"]
    assert stages == ["encode", "train", "export", "encode", "evaluate"]

    pictures = []
    for scale in ("1.0", "1.0", "0.0"):
        out = tmp_path / f"{len(pictures)}.png"
        asked = ["sample", "--bundle", str(bundle), "--prompt", "a dog", "--seed", "3", "--scale", scale, "--out", str(out)]
        assert main(asked) == 0, capsys.readouterr().err
        pictures.append(load_pixels(out).tolist())
    assert pictures[0] == pictures[1] != pictures[2]


def test_what_is_live_and_a_second_training_are_measured_beside_the_new_adapter(
    launched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((launched / "config.json").read_text()) | {"inference": {"steps": 1, "guidance_scale": 0.0}}
    (tmp_path / "config.json").write_text(json.dumps(content))
    live, trained = tmp_path / "live", launched / "out"

    def evaluation(out: Path, *more: str) -> dict[str, Any]:
        asked = ["evaluate", "--config", f"{tmp_path}/config.json", "--adapter", str(trained), "--out", str(out), *more]
        assert main(asked) == 0, capsys.readouterr().err
        found: dict[str, Any] = json.loads((out / "evaluation.json").read_text())
        return found

    assert evaluation(live)["champion"] is None
    beside = evaluation(tmp_path / "same", "--champion", str(live), "--twin", str(trained))
    assert (beside["champion"]["difference"], beside["twin"]) == (0.0, {"floor": 0.0})
    assert (tmp_path / "same" / beside["samples"][0]["champion"]).is_file()
    manifest = json.loads((live / "manifest.json").read_text())
    manifest["base"] |= {"ref": "old-base", "weights_sha256": "0" * 64}
    (live / "manifest.json").write_text(json.dumps(manifest))
    said = evaluation(tmp_path / "other", "--champion", str(live))["champion"]
    assert said == {"unmeasured": "the live adapter was made for another base, 'old-base'"}


def test_a_terminated_training_ends_with_130_and_goes_on_to_the_same_bytes(make_config: Make, tmp_path: Path) -> None:
    config = write(make_config(steps=30, log_every=1), tmp_path)
    (tmp_path / "straight").mkdir()
    (tmp_path / "broken").mkdir()
    assert main(train(config, tmp_path / "straight")) == 0
    log = tmp_path / "broken" / "events"
    watcher = threading.Thread(target=_terminate_when, args=(log, '"stage": "train", "step": 3'))
    watcher.start()
    assert main(train(config, tmp_path / "broken")) == 130
    watcher.join()
    last = events(log)[-1]
    assert (last["event"], last["exit_code"]) == ("error", 130)
    assert "run again" in last["message"]
    assert not (tmp_path / "broken" / "out" / "adapter.safetensors").exists()
    assert main(train(config, tmp_path / "broken")) == 0
    files = [tmp_path / name / "out" / "adapter.safetensors" for name in ("straight", "broken")]
    assert files[0].read_bytes() == files[1].read_bytes()


def _terminate_when(log: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if log.is_file() and text in log.read_text():
            os.kill(os.getpid(), signal.SIGTERM)
            return
        time.sleep(0.01)


BAD = [
    ({"steps": 0}, "steps: Input should be greater than or equal to 1, got 0"),
    ({"rank": "many"}, "rank: "),
    ({"colour": 1}, "colour: Extra inputs are not permitted"),
    ({"learning_rate": -1}, "learning_rate: "),
    ({"resolution": 64}, "was prepared at 32, got 64"),
    ({"dataset": "/nowhere"}, "has no manifest.json"),
    ({"base": "./no folder"}, "neither a folder nor a repository name"),
]


@pytest.mark.parametrize(("changes", "said"), BAD, ids=lambda value: next(iter(value)) if isinstance(value, dict) else "")
def test_bad_input_is_one_line_and_exit_code_2(
    changes: dict[str, Any], said: str, make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train(write(make_config(), tmp_path, **changes), tmp_path)) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1
    assert events(tmp_path / "events")[-1]["exit_code"] == 2
    assert not (tmp_path / "out" / "adapter.safetensors").exists()


def test_an_unsupported_base_says_what_is_supported(make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "OtherPipeline"}')
    assert main(train(write(make_config(base=str(tmp_path)), tmp_path), tmp_path)) == 2
    assert "ZImagePipeline" in capsys.readouterr().err


def test_an_unreachable_hub_is_exit_code_5(
    make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert main(train(write(make_config(base="nobody/nothing"), tmp_path), tmp_path)) == 5
    line = capsys.readouterr().err
    assert "the Hub cannot be asked" in line
    assert line.count("\n") == 1


def test_a_missing_config_and_an_unfinished_training_are_named(
    make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train(tmp_path / "none.json", tmp_path)) == 2
    assert "none.json' cannot be read" in capsys.readouterr().err
    config = write(make_config(), tmp_path)
    assert main(["evaluate", "--config", str(config), "--adapter", str(tmp_path), "--out", f"{tmp_path}/b"]) == 2
    assert "holds no finished training" in capsys.readouterr().err


def test_an_adapter_of_another_configuration_is_not_evaluated(
    launched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((launched / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, "rank": 8}))
    asked = ["evaluate", "--config", f"{tmp_path}/config.json", "--adapter", f"{launched}/out", "--out", f"{tmp_path}/b"]
    assert main(asked) == 2
    assert "trained under another rank" in capsys.readouterr().err


def test_an_error_of_ours_is_one_line_and_a_traceback_only_on_demand(
    make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(make_config(), tmp_path)
    (tmp_path / "work").write_text("a file where a folder should be")
    assert main(train(config, tmp_path)) == 1
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setenv("LORASMITH_DEBUG", "1")
    assert main(train(config, tmp_path)) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["training", "training.config", "training.gate", "training.run", "training.data.prepare"])
def test_importing_the_room_loads_no_torch(name: str) -> None:
    check = f"import sys, {name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], timeout=60, check=False).returncode == 0
