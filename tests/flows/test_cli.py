"""The command line: help with examples, one line for a fault, exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    ["init"],
    ["captions"],
    ["publish"],
    ["train"],
    ["sample"],
    ["package"],
    ["deploy"],
    ["reconcile"],
    ["retire"],
    ["gc"],
    ["listing", "draft"],
    ["listing", "render"],
    ["listing", "lint"],
    ["listing", "diff"],
    ["listing", "mark"],
    ["listing", "verify"],
    ["status"],
    ["logs"],
    ["runs", "list"],
    ["runs", "show"],
    ["approvals", "list"],
    ["approvals", "show"],
    ["approvals", "approve"],
    ["approvals", "deny"],
    ["plan"],
    ["doctor"],
    ["verify"],
    ["keys", "c2pa"],
    ["job", "schema"],
    ["job", "check"],
    ["job", "params"],
    ["license", "check"],
    ["license", "report"],
    ["sandbox", "up"],
    ["sandbox", "open"],
    ["sandbox", "down"],
    ["sandbox", "status"],
    ["sandbox", "price"],
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"LORASMITH_HOME": str(tmp_path / "home"), "HF_ENDPOINT": "http://127.0.0.1:9", "OMP_NUM_THREADS": "1"}


def run(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "flows.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120, check=False)


def is_one_line(result: "subprocess.CompletedProcess[str]") -> bool:
    """The last line is ours, and there is no traceback."""
    return result.stderr.strip().splitlines()[-1].startswith("lorasmith: ") and "Traceback" not in result.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example_of_this_very_command(environment: dict[str, str], command: list[str]) -> None:
    result = run(environment, *command, "--help")
    assert result.returncode == 0
    assert f"lorasmith {' '.join(command)}" in result.stdout.split("Example", 1)[1]


def test_a_block_is_told_at_once_with_clause_and_another_base(environment: dict[str, str], tmp_path: Path) -> None:
    result = run(environment, "publish", "examples/blocked/job.yaml", "--target", "sandbox")
    assert result.returncode == 3
    assert is_one_line(result)
    last = result.stderr.strip().splitlines()[-1]
    assert "black-forest-labs/FLUX.1-dev" in last
    assert "section" in last
    assert "FLUX.2-klein-base-4B" in last
    assert not (tmp_path / "home" / "store" / "dataset").exists()
    (report,) = (tmp_path / "home" / "store" / "verdict").glob("*/content/report.html")
    assert str(report) in result.stderr


def test_the_embedded_base_is_allowed_by_its_own_evidence(environment: dict[str, str]) -> None:
    result = run(environment, "license", "check", "examples/base", "--dataset", "examples/emoji/pictures", "--json")
    assert result.returncode == 0, result.stderr
    verdict = json.loads(result.stdout)
    assert {verdict["uses"][use]["verdict"] for use in ("train_adapter", "host_paid_inference")} <= {"allow", "duties"}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["publish", "nowhere.yaml"], 2, "no such job file"),
        (["publish"], 2, "give a job.yaml, or --adapter FILE and --base"),
        (["publish", "examples/emoji/job.yaml", "--target", "moon"], 2, "moon"),
        (["publish", "examples/emoji/job.yaml", "--target", "fal"], 2, "FAL_KEY is not set"),
        (["license", "check", "nobody/nothing"], 3, "nobody/nothing"),
        (["license", "check", "examples/emoji"], 3, "examples/emoji"),
        (["license", "check", "examples/base", "--component", "vae"], 2, "write ROLE=REPO"),
        (["license", "check", "examples/base", "--publisher", "nowhere.yaml"], 2, "publisher"),
        (["init", "nowhere", "--base", "a/b"], 2, "no such folder"),
        (["init", "tests", "--base", "a/b"], 2, "no pictures"),
        (["license", "report", "examples/base", "--html", "/dev/full"], 2, "can not write (No space left on device): make room"),
        (["sandbox", "up", "--port", "99999"], 2, "less than or equal to 65535"),
        (["sample", "nowhere", "--prompt", "x"], 2, "nowhere"),
        (["sample", "nowhere", "--prompt", "x", "--out", "x.gif"], 2, "x.gif': pictures are written as .png, .jpg"),
    ],
)
def test_bad_usage_is_one_line_and_a_code(environment: dict[str, str], arguments: list[str], code: int, says: str) -> None:
    result = run(environment, *arguments)
    assert result.returncode == code, result.stderr
    assert says in result.stderr + result.stdout
    assert "Traceback" not in result.stderr


def test_no_command_is_help_that_can_be_read(environment: dict[str, str]) -> None:
    result = run(environment)
    assert result.returncode == 2
    assert "\n  publish " in result.stderr
    assert run(environment, "--version").stdout.startswith("lorasmith ")


def test_debug_shows_the_traceback(environment: dict[str, str]) -> None:
    assert "Traceback" in run(environment, "--debug", "publish", "nowhere.yaml").stderr


def test_init_writes_a_job_that_is_accepted_once_filled_in(environment: dict[str, str], tmp_path: Path) -> None:
    pictures = tmp_path / "My Pictures"
    pictures.mkdir()
    Image.new("RGB", (64, 64), "red").save(pictures / "a.png")
    job = tmp_path / "job.yaml"
    result = run(environment, "init", str(pictures), "--base", "owner/base", "--out", str(job), "--trigger", "mystyle")
    assert result.returncode == 0, result.stderr
    assert (pictures / "dataset.yaml").is_file()
    assert run(environment, "job", "check", str(job)).returncode == 0
    again = run(environment, "init", str(pictures), "--base", "owner/base", "--out", str(job))
    assert again.returncode == 2
    assert "--force" in again.stderr


def test_init_counts_the_pictures_that_a_dataset_would_have(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "pictures" / "below").mkdir(parents=True)
    for name in ("a.png", "below/b.webp", "below/c.JPG", ".hidden.png"):
        Image.new("RGB", (64, 64), "red").save(tmp_path / "pictures" / name)
    (tmp_path / "pictures" / "d.svg").write_text("<svg/>")
    result = run(environment, "init", str(tmp_path / "pictures"), "--base", "owner/base", "--out", str(tmp_path / "job.yaml"))
    assert "for 3 pictures" in result.stdout, result.stderr


def test_doctor_says_what_is_missing_and_how_to_mend_it(environment: dict[str, str]) -> None:
    findings = {each["name"]: each for each in json.loads(run(environment, "doctor", "--json").stdout)}
    assert {"gpu", "fal key", "hf token", "disk", "python"} <= set(findings)
    assert not findings["fal key"]["ok"]
    assert "export FAL_KEY" in findings["fal key"]["mend"]
    assert json.loads(run(environment | {"FAL_KEY": "secret:word"}, "doctor", "--json").stdout)[-4]["ok"]
    assert "secret" not in run(environment | {"FAL_KEY": "secret:word"}, "doctor").stdout


def test_status_before_anything(environment: dict[str, str]) -> None:
    found = json.loads(run(environment, "status", "--json").stdout)
    assert (found["last_run"], found["releases"], found["runs"], found["approvals"]) == (None, [], [], [])


@pytest.mark.parametrize("name", ["123", "yes", "my #1 pics", "a: b", "x" * 80])
def test_init_copes_with_odd_names(environment: dict[str, str], tmp_path: Path, name: str) -> None:
    pictures = tmp_path / name
    pictures.mkdir()
    Image.new("RGB", (64, 64), "red").save(pictures / "a.png")
    job = tmp_path / "job.yaml"
    made = run(environment, "init", str(pictures), "--base", "owner/base", "--out", str(job), "--trigger", "a #b: yes")
    assert made.returncode == 0, made.stderr
    from flows.job_file import load_job

    loaded = load_job(job)
    assert loaded.dataset.path == str(pictures)
    assert loaded.dataset.trigger == "a #b: yes"
