"""What decides whether a step's work is found: what its result depends on, and nothing else."""

from pathlib import Path

import pytest

from flows.step_inputs import base_digest

DECIDING = (
    "model_index.json",
    "scheduler/scheduler_config.json",
    "tokenizer/tokenizer.json",
    "tokenizer/merges.txt",
    "transformer/diffusion_pytorch_model.safetensors",
)
TOLD = ("README.md", "LICENSE", "samples.png", "vae/README.md")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in (*DECIDING, *TOLD):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("as it was")
    return tmp_path


@pytest.mark.parametrize("name", [*TOLD, "more.md"])
def test_prose_and_pictures_of_a_base_do_not_decide_its_training(base: Path, name: str) -> None:
    before = base_digest(base)
    (base / name).write_text("other")
    assert base_digest(base) == before


@pytest.mark.parametrize("name", [*DECIDING, "vae/config.json"])
def test_weights_configurations_and_tokenizers_decide_it(base: Path, name: str) -> None:
    before = base_digest(base)
    (base / name).parent.mkdir(exist_ok=True)
    (base / name).write_text("other")
    assert base_digest(base) != before
