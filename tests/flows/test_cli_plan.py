"""lorasmith plan: the table, its JSON, and what it leaves alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli.plan import figure, lines, plan, span
from training.errors import BaseModelError, HubError

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "emoji" / "job.yaml"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's job with absolute paths, to be changed; nobody answers for the Hub."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path / "home"))
    raw = yaml.safe_load(DEMO.read_text())
    raw["base"]["ref"] = str(ROOT / "examples" / "base")
    raw["dataset"] |= {"path": str(DEMO.parent / "pictures"), "held_out": str(DEMO.parent / "held_out")}
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(raw))
    return file


def changed(job: Path, **sections: dict[str, Any]) -> Path:
    raw = yaml.safe_load(job.read_text())
    for section, fields in sections.items():
        raw[section] |= fields
    job.write_text(yaml.safe_dump(raw))
    return job


def test_the_demo_has_a_row_for_every_gpu_and_leaves_nothing_behind(tmp_path: Path) -> None:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    away = {"LORASMITH_HOME": str(tmp_path / "home"), "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    command = [sys.executable, "-m", "flows.cli.main", "plan", str(DEMO)]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=kept | away | {"OMP_NUM_THREADS": "1"}, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    for gpu in ("RTX 4090", "H100", "B200"):
        (row,) = [line for line in result.stdout.splitlines() if line.startswith(gpu)]
        assert " yes " in row
    assert "licence: base 'base' may be used here" in result.stdout
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_json_says_what_the_table_says(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan(job, as_json=True)
    record = json.loads(capsys.readouterr().out)
    assert record["family"] == "z-image"
    assert record["parameters"]["denoiser"] > 5_000_000
    assert record["step"]["tflop_checkpointed"] > record["step"]["tflop"] > record["step"]["forward_tflop"] > 0
    for gpu in record["gpus"]:
        assert gpu["fits"]
        assert gpu["gib"]["peak"] == max(gpu["gib"]["train"], gpu["gib"]["encode"])
        assert gpu["seconds_per_step"][0] < gpu["seconds_per_step"][1]
    rates = {gpu["gpu"]: gpu["usd"] for gpu in record["gpus"]}
    assert rates["RTX 4090"] is None
    assert rates["H200"][0] < rates["H200"][1]
    table = lines(record)
    assert len([line for line in table if line.startswith(tuple(rates))]) == len(rates)


def test_a_known_base_is_planned_without_a_network(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = changed(job, base={"ref": "stable-diffusion-v1-5/stable-diffusion-v1-5"}, training={"resolution": 512, "batch_size": 1})
    plan(file, as_json=True)
    record = json.loads(capsys.readouterr().out)
    assert record["configs"].startswith("known values (")
    assert record["parameters"]["denoiser"] == 859_520_964
    assert record["step"]["forward_tflop"] == pytest.approx(0.80, rel=0.03)
    assert record["step"]["tflop"] == pytest.approx(1.72, rel=0.03)


def test_bases_that_nobody_knows_are_one_line_and_a_code(job: Path, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="nobody/nothing") as away:
        plan(changed(job, base={"ref": "nobody/nothing"}))
    assert away.value.exit_code == 5
    (tmp_path / "empty").mkdir()
    with pytest.raises(BaseModelError, match=r"no model_index.json") as empty:
        plan(changed(job, base={"ref": str(tmp_path / "empty")}))
    assert empty.value.exit_code == 2


def test_ranges_are_written_with_two_figures() -> None:
    assert span(None) == "-"
    assert span((0.4234, 12.7)) == "0.42-13"
    assert figure(0.0001) == "<0.001"
