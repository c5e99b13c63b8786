"""An adapter from elsewhere is read in whatever keys it has, and refused in one line that says what does not fit."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.training.tiny import tiny_pipeline
from training.adapter import inject
from training.adopt import Modules, modules_of, read_lora
from training.errors import AdapterError
from training.export import export_pairs, pairs_of
from training.families import FAMILIES
from training.pairs import Lora, different

Z_IMAGE, SD15 = FAMILIES["z-image"], FAMILIES["sd15"]
MODULE = "layers.0.attention.to_q"


@pytest.fixture(scope="module")
def modules() -> Modules:
    return modules_of(tiny_pipeline("z-image").transformer)


@pytest.fixture(scope="module")
def lora(modules: Modules) -> Lora:
    denoiser = copy.deepcopy(tiny_pipeline("z-image").transformer)
    for index, parameter in enumerate(inject(denoiser, Z_IMAGE, rank=4, alpha=6.0, seed=0).values()):
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(index))
    assert modules_of(denoiser) == modules  # an adapter inside changes nothing about the layers around it
    return pairs_of(denoiser)


def tensors_of(lora: Lora, *, names: Callable[[str], str], down: str, up: str, alpha: bool = True) -> dict[str, Tensor]:
    tensors = {}
    for module, pair in lora.items():
        tensors |= {f"{names(module)}{down}": pair.down, f"{names(module)}{up}": pair.up}
        tensors |= {f"{names(module)}.alpha": torch.tensor(pair.alpha)} if alpha else {}
    return tensors


SPELLINGS = [
    ("diffusers", lambda module: f"transformer.{module}", ".lora_A.weight", ".lora_B.weight"),
    ("diffusers", lambda module: f"transformer.{module}", ".lora.down.weight", ".lora.up.weight"),
    ("diffusers", lambda module: module, ".lora_A.default.weight", ".lora_B.default.weight"),
    ("diffusers", lambda module: f"base_model.model.{module}", ".lora_A.weight", ".lora_B.weight"),
    ("comfyui", lambda module: f"diffusion_model.{module}", ".lora_A.weight", ".lora_B.weight"),
    ("comfyui", lambda module: f"diffusion_model.{module.replace('to_out.0', 'out')}", ".lora_down.weight", ".lora_up.weight"),
    ("kohya", lambda module: "lora_unet_" + module.replace(".", "_"), ".lora_down.weight", ".lora_up.weight"),
    ("kohya", lambda module: "lora_transformer_" + module.replace(".", "_"), ".lora_down.weight", ".lora_up.weight"),
    ("kohya", lambda module: "lycoris_" + module.replace(".", "_"), ".lora_down.weight", ".lora_up.weight"),
]


@pytest.mark.parametrize(("keys", "names", "down", "up"), SPELLINGS)
def test_every_spelling_is_read(
    keys: str, names: Callable[[str], str], down: str, up: str, lora: Lora, modules: Modules, tmp_path: Path
) -> None:
    save_file(tensors_of(lora, names=names, down=down, up=up), tmp_path / "a.safetensors", metadata={"ss_network_dim": "4"})
    read = read_lora(tmp_path / "a.safetensors", Z_IMAGE, modules)
    assert different(read.lora, lora) == []
    assert (read.format, read.metadata) == (keys, {"ss_network_dim": "4"})


def test_old_attention_processor_keys_are_read(tmp_path: Path) -> None:
    modules = modules_of(tiny_pipeline("sd15").unet)
    module = next(name for name in modules if name.endswith("attn1.to_out.0"))
    place = f"unet.{module.removesuffix('.0')}".replace("attn1.", "attn1.processor.")
    size = modules[module][0]
    save_file(
        {f"{place}_lora.down.weight": torch.ones(2, size), f"{place}_lora.up.weight": torch.ones(size, 2)},
        tmp_path / "a.safetensors",
    )
    assert list(read_lora(tmp_path / "a.safetensors", SD15, modules).lora) == [module]


def test_half_precision_is_read_as_the_same_numbers(lora: Lora, modules: Modules, tmp_path: Path) -> None:
    half = {key: tensor.bfloat16() for key, tensor in tensors_of(lora, **_plain()).items()}
    save_file(half, tmp_path / "a.safetensors")
    read = read_lora(tmp_path / "a.safetensors", Z_IMAGE, modules).lora
    assert torch.equal(read[MODULE].down, lora[MODULE].down.bfloat16().float())
    assert read[MODULE].down.dtype == torch.float32


@pytest.mark.parametrize(
    ("told", "alpha"),
    [
        ({}, 4.0),
        ({"lora_alpha": 6.0}, 6.0),
        ({"lora_alpha": 3.0, "alpha_pattern": {"layers.0.attention.to_q": 6.0}}, 6.0),
        ({"lora_alpha": 3.0, "use_rslora": True}, 3.0 * math.sqrt(4)),
    ],
)
def test_alpha_of_a_file_without_alpha_keys(
    told: dict[str, object], alpha: float, lora: Lora, modules: Modules, tmp_path: Path
) -> None:
    """As diffusers writes it in the header, as peft writes it beside the file, else the rank."""
    tensors = tensors_of(lora, **_plain(), alpha=False)
    header = {f"transformer.{key}": value for key, value in told.items()}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"lora_adapter_metadata": json.dumps(header)} if told else None)
    assert read_lora(tmp_path / "a.safetensors", Z_IMAGE, modules).lora[MODULE].alpha == alpha
    (tmp_path / "peft").mkdir()
    save_file(tensors, tmp_path / "peft" / "adapter_model.safetensors")
    (tmp_path / "peft" / "adapter_config.json").write_text(json.dumps(told))
    assert read_lora(tmp_path / "peft" / "adapter_model.safetensors", Z_IMAGE, modules).lora[MODULE].alpha == alpha


def _plain() -> dict[str, object]:
    _, names, down, up = SPELLINGS[0]
    return {"names": names, "down": down, "up": up}


def _extra(key: str, shape: tuple[int, ...] = (2, 2)) -> Callable[[dict[str, Tensor]], None]:
    return lambda tensors: tensors.update({key: torch.ones(shape)})


def _narrow(tensors: dict[str, Tensor]) -> None:
    tensors[f"transformer.{MODULE}.lora_A.weight"] = torch.ones(4, 8)


def _unchained(tensors: dict[str, Tensor]) -> None:
    tensors[f"transformer.{MODULE}.lora_A.weight"] = torch.ones(3, 32)


def _half(tensors: dict[str, Tensor]) -> None:
    del tensors[f"transformer.{MODULE}.lora_B.weight"]


def _diverged(tensors: dict[str, Tensor]) -> None:
    tensors[f"transformer.{MODULE}.lora_B.weight"][0, 0] = math.nan


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            _extra("transformer.layers.7.attention.to_q.lora_A.weight"),
            r"1 of \d+ modules .* first 'transformer.layers.7.attention.to_q'",
        ),
        (_extra("lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"), "text encoder"),
        (_extra("transformer.layers.0.attention.to_q.weight"), r"1 of \d+ keys are none of a LoRA, first 'transformer.layers.0"),
        (_extra(f"transformer.{MODULE}.dora_scale"), "is DoRA"),
        (_extra(f"transformer.{MODULE}.lokr_w1"), "is LoKr"),
        (_extra(f"transformer.{MODULE}.hada_w1_a"), "is LoHa"),
        (_narrow, r"is for another base: layers.0.attention.to_q is \(\d+, \d+\) here, the adapter is for \(\d+, 8\)"),
        (_unchained, "do not chain"),
        (_half, "has no up matrix"),
        (_diverged, "no numbers"),
    ],
)
def test_what_does_not_fit_is_named(
    spoil: Callable[[dict[str, Tensor]], None], said: str, lora: Lora, modules: Modules, tmp_path: Path
) -> None:
    tensors = {key: tensor.clone() for key, tensor in tensors_of(lora, **_plain(), alpha=False).items()}
    spoil(tensors)
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(AdapterError, match=said) as caught:
        read_lora(tmp_path / "a.safetensors", Z_IMAGE, modules)
    assert "\n" not in str(caught.value)


def test_a_file_that_says_it_is_for_another_family_is_refused_before_its_tensors_are_read(
    lora: Lora, modules: Modules, tmp_path: Path
) -> None:
    header = {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}
    save_file(tensors_of(lora, **_plain()), tmp_path / "a.safetensors", metadata=header)
    with pytest.raises(AdapterError, match="says it is for stable-diffusion-xl-v1-base, the base is z-image"):
        read_lora(tmp_path / "a.safetensors", Z_IMAGE, modules)


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".bin", ".PTH"])
def test_pickles_are_refused_unread(suffix: str, modules: Modules, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"\x80\x04.")
    with pytest.raises(AdapterError, match="is a pickle"):
        read_lora(path, Z_IMAGE, modules)


@pytest.mark.parametrize("raw", [b"", b"\xff" * 64, (2).to_bytes(8, "little") + b"[]", (9).to_bytes(8, "little") + b'{"a":"b"}'])
def test_what_is_no_safetensors_file_is_refused(raw: bytes, modules: Modules, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(raw)
    with pytest.raises(AdapterError, match="no safetensors file"):
        read_lora(tmp_path / "a.safetensors", Z_IMAGE, modules)


def test_a_cut_off_file_is_refused(lora: Lora, modules: Modules, tmp_path: Path) -> None:
    path = export_pairs(lora, Z_IMAGE, tmp_path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(AdapterError, match="cannot be read"):
        read_lora(path, Z_IMAGE, modules)
    assert load_file(export_pairs(lora, Z_IMAGE, tmp_path))
