"""The table of families: what is recognised, and what is said of the rest."""

from __future__ import annotations

import diffusers
import pytest

from training.errors import TrainingError
from training.families import FAMILIES, Family, UnknownFamily, family_of, is_distilled, objective_of


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_model_index_names_its_family(family: Family) -> None:
    assert hasattr(diffusers, family.pipeline)
    assert family_of({"_class_name": family.pipeline}) is family
    assert family.lora_prefix == family.denoiser


@pytest.mark.parametrize("model_index", [{"_class_name": "AudioLDMPipeline"}, {}])
def test_an_unknown_pipeline_is_told_what_is_supported(model_index: dict[str, str]) -> None:
    with pytest.raises(UnknownFamily) as caught:
        family_of(model_index)
    assert issubclass(UnknownFamily, TrainingError)
    assert caught.value.exit_code == 2
    assert all(name in str(caught.value) for name in FAMILIES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reference", "declared", "expected"),
    [
        ("z-image", "Tongyi-MAI/Z-Image-Turbo", None, True),
        ("z-image", "Tongyi-MAI/Z-Image", None, False),
        ("flux.1", "black-forest-labs/FLUX.1-schnell", None, True),
        ("flux.2-klein", "black-forest-labs/FLUX.2-klein-4B", None, True),
        ("flux.2-klein", "black-forest-labs/FLUX.2-klein-base-4B", None, False),
        ("flux.2-klein", "someone/renamed", True, True),
        ("flux.2-klein", "someone/klein-4B", False, False),
        ("flux.2", "black-forest-labs/FLUX.2-dev", None, False),
        ("qwen-image", "Qwen/Qwen-Image", None, False),
        ("qwen-image", "lightx2v/Qwen-Image-Lightning", None, True),
        ("sd15", "stable-diffusion-v1-5/stable-diffusion-v1-5", None, False),
        ("sd15", "SimianLuo/LCM_Dreamshaper_v7", None, True),
        ("sdxl", "stabilityai/sdxl-turbo", None, True),
        ("sdxl", "stabilityai/stable-diffusion-xl-base-1.0", None, False),
        ("sd3.5", "stabilityai/stable-diffusion-3.5-large-turbo", None, True),
        ("sd3.5", "stabilityai/stable-diffusion-3.5-large", None, False),
        ("pixart-sigma", "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS", None, False),
        ("sana", "Efficient-Large-Model/SANA1.5_1.6B_1024px_diffusers", None, False),
        ("lumina-2", "Alpha-VLLM/Lumina-Image-2.0", None, False),
        ("aura-flow", "fal/AuraFlow-v0.3", None, False),
        ("hidream", "HiDream-ai/HiDream-I1-Fast", None, True),
        ("hidream", "HiDream-ai/HiDream-I1-Full", None, False),
        ("chroma", "lodestones/Chroma1-Flash", None, True),
        ("chroma", "lodestones/Chroma1-HD", None, False),
        ("krea-2", "krea/Krea-2-Turbo", None, True),
        ("krea-2", "krea/Krea-2-Raw", None, False),
        ("ernie-image", "baidu/ERNIE-Image-Turbo", None, True),
        ("qwen-image-2.1", "Qwen/Qwen-Image-2.1", None, False),
        ("cogview4", "THUDM/CogView4-6B", None, False),
        ("kandinsky-5", "kandinskylab/Kandinsky-5.0-T2I-Lite-sft-Diffusers", None, False),
    ],
)
def test_distilled_weights_are_noticed(name: str, reference: str, declared: bool | None, expected: bool) -> None:
    model_index = {} if declared is None else {"is_distilled": declared}
    assert is_distilled(FAMILIES[name], reference, model_index) is expected


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_family_with_distilled_weights_names_what_to_train_instead(family: Family) -> None:
    """And that is not distilled itself."""
    assert bool(family.train_instead) == (family.distilled != r"(?!)")
    if family.train_instead:
        assert not is_distilled(family, family.train_instead.split(",")[0], {})


def test_the_scheduler_says_what_is_predicted() -> None:
    assert objective_of(diffusers.FlowMatchEulerDiscreteScheduler()) == "flow"
    assert objective_of(diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction")) == "flow"
    assert objective_of(diffusers.DDIMScheduler()) == "epsilon"
    assert objective_of(diffusers.EulerDiscreteScheduler(prediction_type="v_prediction")) == "v"
    with pytest.raises(UnknownFamily, match="'sample'"):
        objective_of(diffusers.DDIMScheduler(prediction_type="sample"))
