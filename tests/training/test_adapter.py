"""Kinds of adapters and presets: what is trained, that it leaves as plain LoRA, and that diffusers loads what was trained."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.training.tiny import MODULES, tiny_pipeline
from training.adapter import ADAPTER, adapter_layout, adapter_state, inject, without
from training.base import Base
from training.config import PRESETS, TrainConfig
from training.data.cache import Example
from training.export import Trained, answer_of, check_reloaded, export
from training.families import FAMILIES
from training.lokr import as_lora
from training.presets import targets_for


class Pipe:
    """The base with a denoiser of its own."""

    def __init__(self, denoiser: nn.Module) -> None:
        whole = tiny_pipeline("z-image")
        self.transformer, self.scheduler = denoiser, whole.scheduler


KINDS: list[dict[str, Any]] = [
    {"kind": "lora"},
    {"kind": "lora", "rslora": True},
    {"kind": "lora", "rank": 3, "alpha": 5.0, "rslora": True},
    {"kind": "lokr"},
    {"kind": "lokr", "rank": 64},  # so large that the inner factor is whole
    {"kind": "lora", "preset": "subject"},
    {"kind": "lokr", "preset": "likeness-free"},
]


@pytest.mark.parametrize("how", KINDS, ids=lambda how: "-".join(map(str, how.values())))
def test_what_is_exported_loads_plainly_and_answers_as_trained(
    how: dict[str, Any], base: Base, examples: tuple[Example, ...], tmp_path: Path
) -> None:
    denoiser = copy.deepcopy(tiny_pipeline("z-image").transformer)
    plain = answer_of(Pipe(denoiser), base.family, examples[0])
    for index, parameter in enumerate(inject(denoiser, base.family, **{"rank": 2, "alpha": 3.0, "seed": 0, **how}).values()):
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(index))
    answer = answer_of(Pipe(denoiser), base.family, examples[0])
    assert not torch.allclose(answer, plain, atol=1e-3)
    path = export(denoiser, base.family, tmp_path)
    trained = Trained(state=adapter_state(denoiser), answer=answer, exact=how["kind"] == "lora")
    check_reloaded(path, base, torch.float32, trained, examples[0], device=torch.device("cpu"))


@pytest.mark.parametrize(("rank", "inner"), [(2, "decomposed"), (64, "whole")])
def test_a_kronecker_layer_equals_its_lora(rank: int, inner: str) -> None:
    from peft import LoKrConfig, inject_adapter_in_model

    model = nn.Sequential(nn.Linear(24, 40, bias=False))
    inject_adapter_in_model(LoKrConfig(r=rank, alpha=3.0, target_modules="0", decompose_factor=8), model, adapter_name=ADAPTER)
    layer: Any = model[0]
    assert (ADAPTER in layer.lokr_w2) == (inner == "whole")
    for parameter in (parameter for name, parameter in model.named_parameters() if "lokr" in name):
        nn.init.normal_(parameter)
    down, up = as_lora(layer, ADAPTER)
    assert torch.allclose(up @ down, layer.get_delta_weight(ADAPTER), atol=1e-5)


def test_the_layout_says_rank_and_alpha_so_that_their_ratio_is_the_strength(base: Base) -> None:
    for how, strength in (({}, 3.0 / 2), ({"rslora": True}, 3.0 / 2**0.5), ({"kind": "lokr"}, 1.0)):
        denoiser = copy.deepcopy(tiny_pipeline("z-image").transformer)
        inject(denoiser, base.family, rank=2, alpha=3.0, seed=0, **how)
        state = adapter_state(denoiser)
        for name, (rank, alpha) in adapter_layout(denoiser).items():
            assert alpha / rank == pytest.approx(strength)
            assert state[f"{name}.lora_A.weight"].shape[0] == rank == state[f"{name}.lora_B.weight"].shape[1]


def test_the_same_seed_makes_the_same_adapter_of_every_kind(base: Base) -> None:
    for kind in ("lora", "lokr"):
        states = []
        for seed in (0, 0, 1):
            denoiser = copy.deepcopy(tiny_pipeline("z-image").transformer)
            states.append(
                [value.clone() for value in inject(denoiser, base.family, rank=2, alpha=2.0, seed=seed, kind=kind).values()]
            )
        assert all(map(torch.equal, states[0], states[1]))
        assert not all(map(torch.equal, states[0], states[2]))


@pytest.mark.parametrize("kind", ["lora", "lokr"])
def test_without_its_adapter_the_denoiser_is_the_base(kind: str, base: Base, examples: tuple[Example, ...]) -> None:
    denoiser = copy.deepcopy(tiny_pipeline("z-image").transformer)
    plain = answer_of(Pipe(denoiser), base.family, examples[0])
    parameters = inject(denoiser, base.family, rank=2, alpha=2.0, seed=0, kind=kind)
    for parameter in parameters.values():
        torch.nn.init.ones_(parameter)
    with without(denoiser):
        assert torch.equal(answer_of(Pipe(denoiser), base.family, examples[0]), plain)
    assert not torch.equal(answer_of(Pipe(denoiser), base.family, examples[0]), plain)
    assert all(parameter.requires_grad for parameter in parameters.values())


def chosen(family: str, preset: str) -> set[str]:
    denoiser = getattr(tiny_pipeline(family), FAMILIES[family].denoiser)
    targets = targets_for(denoiser, FAMILIES[family], preset)
    return {name for name, _ in denoiser.named_modules() if re.fullmatch(f"({targets})", name)}


@pytest.mark.parametrize("family", sorted(set(MODULES) & set(FAMILIES)))
def test_presets_choose_layers_in_every_family(family: str) -> None:
    """subject trains what style does and more; likeness-free trains less wherever a layer reads the text alone."""
    style, subject, free = (chosen(family, preset) for preset in ("style", "subject", "likeness-free"))
    assert style == chosen(family, "none") != set()
    assert subject >= style
    assert free
    assert free <= style
    assert not any(re.search(r"add_[qkv]_proj|attn2\.to_[kv]|context_refiner|text_transformer", name) for name in free)
    assert not any(re.search(r"norm|modulation|embed", name) for name in subject - style)


def test_subject_reaches_feed_forward_layers_and_likeness_free_spares_the_text() -> None:
    assert {"transformer_blocks.0.ff.net.0.proj", "transformer_blocks.0.ff_context.net.2"} <= chosen("flux.1", "subject")
    assert "transformer_blocks.0.attn.add_k_proj" in chosen("flux.1", "style") - chosen("flux.1", "likeness-free")
    assert any(name.endswith("attn2.to_k") for name in chosen("sd15", "style") - chosen("sd15", "likeness-free"))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_preset_fills_what_is_not_said(preset: str, make_config: Callable[..., TrainConfig]) -> None:
    said = make_config(preset=preset).model_dump(mode="json")
    assert (said["rank"], said["alpha"]) == (2, 2.0)  # the fixture says them
    unsaid = {name: value for name, value in said.items() if name not in ("rank", "alpha")}
    filled = TrainConfig.model_validate(unsaid)
    assert {"rank": filled.rank, "alpha": filled.alpha} == PRESETS[preset]
