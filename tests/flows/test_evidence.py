"""The raw bytes that a verdict rests on are part of its report, and the next check finds them."""

import hashlib
import json
from pathlib import Path

import pytest

from flows.job import Job
from flows.job_file import load_job
from flows.licensing.rights import keep_report, verdict_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Job:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    return load_job(ROOT / "examples/emoji/job.yaml")


def test_the_report_holds_every_byte_that_was_read(job: Job) -> None:
    verdict = verdict_of(job)
    folder = keep_report(verdict).path / "evidence"
    assert {"LICENSE", "README.md", "model_index.json"} <= {row["file"] for row in verdict["evidence"]}
    for row in verdict["evidence"]:
        raw = (folder / row["sha256"]).read_bytes()
        assert (hashlib.sha256(raw).hexdigest(), len(raw)) == (row["sha256"], row["bytes"])
    assert json.loads((folder / "index.json").read_text())["files"] == verdict["evidence"]
    assert verdict_of(job)["hash"] == verdict["hash"]
