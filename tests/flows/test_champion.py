"""The adapter that a new one has to beat: found from the live release back to its bundle."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from flows import store
from flows.champion import champion_of
from flows.errors import GateRejected
from flows.job import Job
from flows.job_file import parse_job
from flows.store import Artefact
from flows.targets import registry_url
from serving.release.registry import Registry
from training.metadata import tensors_sha256

FILE = "adapter.safetensors"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    monkeypatch.delenv("LORASMITH_REGISTRY", raising=False)
    return tmp_path


def job(**gate: Any) -> Job:
    return parse_job(
        {
            "name": "icons",
            "base": {"ref": "/base"},
            "dataset": {"path": "/pictures"},
            "serving": {"app": "icons"},
            "listing": {"title": "Icons", "short_description": "Icons."},
            "gate": gate,
        }
    )


def adapter(home: Path, value: float) -> Artefact:
    def build(out: Path) -> None:
        save_file({"lora": torch.full((2, 2), value)}, out / FILE, metadata={"about": f"{value}"})

    return store.make(home, "adapter", {"value": value}, build)


def bundle(home: Path, trained: Artefact, champion: Artefact | None = None) -> Artefact:
    def build(out: Path) -> None:
        (out / FILE).write_bytes((trained.path / FILE).read_bytes())
        (out / "manifest.json").write_text(json.dumps({"tensors_sha256": tensors_sha256(out / FILE)}))

    inputs = {"adapter": trained.key} | ({"champion": champion.key} if champion else {})
    return store.make(home, "bundle", inputs, build)


def released(home: Path, made_from: Artefact) -> str:
    """A live release of the package of a bundle; the package's hash."""
    name = f"package of {made_from.key[:8]}"
    inputs = {"bundle": store.file_digest(made_from.path / "manifest.json")}
    build: Callable[[Path], object] = lambda out: (out / "package.json").write_text(json.dumps({"hash": name}))  # noqa: E731
    store.make(home, "package", inputs, build)
    with closing(Registry(registry_url())) as registry:
        row = registry.insert_intent(app="icons", package=name, target="sandbox", verdict_hash="0")
        for state in ("candidate", "live"):
            registry.advance(row["id"], state)
    return name


def test_where_nothing_is_live_there_is_none(home: Path) -> None:
    assert champion_of(job(), adapter(home, 1.0), "sandbox") is None


def test_the_live_bundle_is_found_for_a_new_adapter_and_on_its_target_only(home: Path) -> None:
    live = bundle(home, adapter(home, 1.0))
    released(home, live)
    found = champion_of(job(), adapter(home, 2.0), "sandbox")
    assert found is not None
    assert (found.key, found.path) == (live.key, live.path)
    assert champion_of(job(), adapter(home, 2.0), "fal") is None


def test_what_is_live_is_compared_with_what_it_replaced(home: Path) -> None:
    one, two = adapter(home, 1.0), adapter(home, 2.0)
    first = bundle(home, one)
    released(home, first)
    assert champion_of(job(), one, "sandbox") is None
    second = bundle(home, two, first)
    released(home, second)
    again = champion_of(job(), two, "sandbox")
    assert again is not None
    assert again.key == first.key
    back = champion_of(job(), one, "sandbox")
    assert back is not None
    assert back.key == second.key


def test_a_live_release_made_elsewhere_is_said_before_it_is_passed_over(home: Path) -> None:
    with closing(Registry(registry_url())) as registry:
        row = registry.insert_intent(app="icons", package="f" * 64, target="sandbox", verdict_hash="0")
        for state in ("candidate", "live"):
            registry.advance(row["id"], state)
    with pytest.raises(GateRejected, match=r"is not on this disk.*beat_champion: false"):
        champion_of(job(), adapter(home, 1.0), "sandbox")
    assert champion_of(job(beat_champion=False), adapter(home, 1.0), "sandbox") is None
