"""CLIP and DINO scores, by tiny random models that the tests build: the code path, not the judgement of a trained model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
)

from tests.training.tiny.parts import clip_tokenizer
from training.config import EvaluationConfig
from training.errors import ConfigError
from training.scores import Scorer, fingerprint, open_scorers, picture_scores, prompt_scores

CPU = torch.device("cpu")
SIDE = {"height": 32, "width": 32}
COLOURS = [Image.new("RGB", (48, 32), colour) for colour in ("red", "green", "blue")]
PROMPTS = ["a dog", "a white bird", "the sea"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> EvaluationConfig:
    """Folders as the Hub has them: config.json, model.safetensors, preprocessor and tokenizer."""
    folder = tmp_path_factory.mktemp("scorers")
    tokenizer = clip_tokenizer()
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    ids = {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, "max_position_embeddings": 16}
    sight = {**small, "image_size": 32, "patch_size": 16}
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SIDE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        clip = CLIPModel(CLIPConfig(text_config=small | ids, vision_config=sight, projection_dim=8))
        dino = Dinov2Model(Dinov2Config(hidden_size=16, num_attention_heads=2, num_hidden_layers=1, image_size=32, patch_size=16))
    for part in (clip, processor, tokenizer):
        part.save_pretrained(folder / "clip")
    for part in (dino, processor):
        part.save_pretrained(folder / "dino")
    return EvaluationConfig(clip=str(folder / "clip"), dino=str(folder / "dino"))


def test_clip_reads_and_sees_and_dino_sees(models: EvaluationConfig) -> None:
    scorers = open_scorers(models, CPU)
    assert isinstance(scorers.clip, Scorer)
    assert isinstance(scorers.dino, Scorer)
    assert scorers.clip.prompts is not None
    assert (scorers.dino.prompts, scorers.looks) == (None, scorers.dino)
    for rows in (scorers.clip.pictures(COLOURS), scorers.clip.prompts(PROMPTS), scorers.dino.pictures(COLOURS)):
        assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(3))
        assert not np.allclose(rows[0], rows[1], atol=1e-4)


def test_scores_are_mean_cosines_by_column_and_a_picture_is_most_like_itself(models: EvaluationConfig) -> None:
    scorers = open_scorers(models, CPU)
    assert isinstance(scorers.clip, Scorer)
    assert isinstance(scorers.dino, Scorer)
    same = picture_scores(scorers.dino, {"base": COLOURS[1:2], "adapter": COLOURS[:1]}, COLOURS[:1])
    assert same["model"] == "dino"
    assert same["adapter"] == pytest.approx(1.0)
    assert same["base"] < 1.0
    read = prompt_scores(scorers.clip, {"base": COLOURS, "adapter": COLOURS[::-1]}, PROMPTS)
    assert scorers.clip.prompts is not None
    assert read["base"] == pytest.approx((scorers.clip.pictures(COLOURS) * scorers.clip.prompts(PROMPTS)).sum(axis=1).mean())
    assert read["adapter"] != read["base"]


def test_many_pictures_score_as_few_at_a_time(models: EvaluationConfig) -> None:
    scorer = open_scorers(models, CPU).dino
    assert isinstance(scorer, Scorer)
    many = scorer.pictures(COLOURS * 6)
    assert many.shape == (18, 16)
    assert many[15:] == pytest.approx(scorer.pictures(COLOURS), abs=1e-6)


def test_a_model_that_is_not_here_leaves_its_scores_unmeasured_with_the_reason() -> None:
    scorers = open_scorers(EvaluationConfig(clip="nobody/clip", dino="nobody/dino"), CPU)
    for found in (picture_scores(scorers.dino, {"adapter": COLOURS}, COLOURS), picture_scores(scorers.looks, {}, COLOURS)):
        assert found == {"unmeasured": "DINO model 'nobody/dino' is not on this disk"}
    assert prompt_scores(scorers.clip, {"adapter": COLOURS}, PROMPTS) == {
        "unmeasured": "CLIP model 'nobody/clip' is not on this disk"
    }


def test_clip_stands_in_for_a_dino_that_is_not_here(models: EvaluationConfig) -> None:
    scorers = open_scorers(models.model_copy(update={"dino": "nobody/dino"}), CPU)
    assert scorers.looks is scorers.clip


def test_a_folder_that_is_no_such_model_is_named(models: EvaluationConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reads no prompts"):
        open_scorers(EvaluationConfig(clip=models.dino, dino=models.dino), CPU)
    (tmp_path / "config.json").write_text('{"model_type": "dinov2"}')
    with pytest.raises(ConfigError, match=r"evaluation\.dino"):
        open_scorers(EvaluationConfig(clip="nobody/clip", dino=str(tmp_path)), CPU)
    with pytest.raises(ConfigError, match="give the folder of a transformers model"):
        open_scorers(EvaluationConfig(clip="./no/such/folder", dino="nobody/dino"), CPU)


def test_a_model_in_the_hubs_cache_is_found_and_half_of_one_is_said_to_be_unusable(
    models: EvaluationConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name, source in (("dino", Path(models.dino)), ("half", None)):
        repository = tmp_path / f"models--somebody--{name}"
        snapshot = repository / "snapshots" / ("a" * 40)
        snapshot.mkdir(parents=True)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("a" * 40)
        for file in Path(models.dino).iterdir() if source else [Path(models.dino) / "config.json"]:
            (snapshot / file.name).write_bytes(file.read_bytes())
    scorers = open_scorers(EvaluationConfig(clip="somebody/half", dino="somebody/dino"), CPU)
    assert isinstance(scorers.dino, Scorer)
    assert scorers.dino.name == "somebody/dino"
    assert isinstance(scorers.clip, str)
    assert "cannot be loaded" in scorers.clip
    assert fingerprint("somebody/dino") == "a" * 40


def test_the_fingerprint_of_a_folder_follows_its_weights(models: EvaluationConfig, tmp_path: Path) -> None:
    for file in Path(models.dino).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert fingerprint(str(tmp_path)) == fingerprint(models.dino) != fingerprint(models.clip)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    assert fingerprint(str(tmp_path)) != fingerprint(models.dino)
    assert fingerprint("nobody/dino") is None
