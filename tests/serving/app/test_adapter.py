"""An adapter's factors in the weights, and beside them, are what peft makes of the same file."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn

from serving.app.drawing.adapter import read_parts
from serving.app.drawing.strength import merge, strength_added
from serving.app.errors import SettingsError

_METADATA = "lora_adapter_metadata"


class _Denoiser(nn.Module):
    """Layers of every kind that a LoRA may lie on, each run once, in blocks that diffusers could compile."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([_Block()])

    def forward(self, given: Tensor) -> Tensor:
        for block in self.blocks:
            given = block(given)
        return given


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.Conv2d(6, 4, 1)
        self.to_q, self.to_k = nn.Linear(4, 8), nn.Linear(8, 4, bias=False)

    def forward(self, given: Tensor) -> Tensor:
        seen = self.narrow(torch.tanh(self.wide(given)))
        return self.to_k(torch.tanh(self.to_q(seen.movedim(1, -1))))  # type: ignore[no-any-return]


@pytest.fixture
def denoiser() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return _Denoiser().eval()


@pytest.mark.parametrize(
    "about",
    [
        {"r": 2, "lora_alpha": 3.0},
        {"r": 2, "lora_alpha": 3.0, "use_rslora": True},
        {"r": 2, "lora_alpha": 3.0, "rank_pattern": {"to_k": 3}, "alpha_pattern": {"^blocks\\.0\\.to_k": 7.0, "wide": 1.0}},
    ],
    ids=["plain", "rank-stabilised", "patterns"],
)
def test_merged_and_added_factors_are_those_of_peft(tmp_path: Path, denoiser: nn.Module, about: dict[str, Any]) -> None:
    config = LoraConfig(target_modules=["wide", "narrow", "to_q", "to_k"], **about)
    state = _factors(denoiser, about)
    expected = copy.deepcopy(denoiser)
    inject_adapter_in_model(config, expected)
    set_peft_model_state_dict(expected, state)
    file = _file(tmp_path, state, about)
    given = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain, wanted = denoiser(given), expected(given)
        parts = read_parts(denoiser, file)
        with strength_added(parts, 1.0):
            added = denoiser(given)
        assert torch.equal(denoiser(given), plain), "it leaves no trace"
        merge(parts, 1.0)
        merged = denoiser(given)
    assert (wanted - plain).abs().max() > 0.1
    torch.testing.assert_close(added, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(merged, wanted, rtol=1e-4, atol=1e-5)


def test_strength_is_added_to_blocks_that_were_compiled_before(tmp_path: Path, denoiser: nn.Module) -> None:
    parts = read_parts(denoiser, _file(tmp_path, _factors(denoiser, {}), {}))
    given = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        with strength_added(parts, 0.5):
            wanted = denoiser(given)
        for block in denoiser.blocks:  # type: ignore[union-attr]
            block.compile(backend="eager")
        plain = denoiser(given)
        with strength_added(parts, 0.5):
            torch.testing.assert_close(denoiser(given), wanted)
        torch.testing.assert_close(denoiser(given), plain)
    assert (wanted - plain).abs().max() > 0.1


_WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "dora": ({}, {"use_dora": True}, "is no plain LoRA"),
    "nothing of a lora": ({"blocks.0.to_q.weight": torch.zeros(1)}, {"only": True}, "is no plain LoRA"),
    "text encoder": ({"text_encoder.a.lora_A.weight": torch.zeros(2, 4)}, {}, "first text_encoder.a.lora_A"),
    "bias": (
        {"transformer.blocks.0.to_q.lora_B.bias": torch.zeros(8)},
        {},
        "first blocks.0.to_q.lora_B.bias",
    ),
    "one of a pair": ({"transformer.blocks.0.x.lora_A.weight": torch.zeros(2, 4)}, {}, "first blocks.0.x.lora_A.weight"),
    "a norm": (
        {"transformer.blocks.0.lora_A.weight": torch.zeros(2, 4), "transformer.blocks.0.lora_B.weight": torch.zeros(4, 2)},
        {},
        "made for another base",
    ),
    "alpha": ({}, {"lora_alpha": "much"}, "its header tells no ranks and alphas"),
    "pattern": ({}, {"alpha_pattern": {"(": 1.0}}, "its header tells no ranks and alphas"),
    "patterns": ({}, {"alpha_pattern": [1]}, "its header tells no ranks and alphas"),
    "header": ({}, {"header": "[1]"}, "its header's lora_adapter_metadata is no JSON object"),
}


@pytest.mark.parametrize("wrong", list(_WRONG))
def test_what_can_not_be_served_is_refused_in_one_line(tmp_path: Path, denoiser: nn.Module, wrong: str) -> None:
    more, about, message = copy.deepcopy(_WRONG[wrong])
    state = {} if about.pop("only", False) else _factors(denoiser, {})
    file = _file(tmp_path, state, about, more=more, header=about.pop("header", None))
    with pytest.raises(SettingsError, match=message) as error:
        read_parts(denoiser, file)
    assert "\n" not in str(error.value)


def _factors(denoiser: nn.Module, about: dict[str, Any]) -> dict[str, Tensor]:
    """Random factors for every layer, of the ranks that `about` tells, by the layers' own names."""
    generator, state = torch.Generator().manual_seed(3), {}
    for name, layer in denoiser.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            rank = about.get("rank_pattern", {}).get(name.rpartition(".")[2], 2)
            out, into, *kernel = layer.weight.shape
            state[f"{name}.lora_A.weight"] = torch.randn(rank, into, *kernel, generator=generator) * 0.5
            state[f"{name}.lora_B.weight"] = torch.randn(out, rank, *(1 for _ in kernel), generator=generator) * 0.5
    return state


def _file(
    folder: Path,
    state: dict[str, Tensor],
    about: dict[str, Any],
    *,
    more: dict[str, Tensor] | None = None,
    header: str | None = None,
) -> Path:
    named = {f"transformer.{name}": tensor for name, tensor in state.items()} | (more or {})
    said = header or json.dumps({f"transformer.{name}": value for name, value in about.items()})
    save_file(named, folder / "adapter.safetensors", metadata={_METADATA: said})
    return folder / "adapter.safetensors"
