"""The kohya and ComfyUI files of every family are the adapter when read again, by us and by the loaders of diffusers that can."""

import copy
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from safetensors.torch import load_file

from tests.training.tiny import tiny_pipeline
from training.adapter import inject
from training.adopt import modules_of, read_lora
from training.errors import AdapterError
from training.export import FILE, export, export_pairs, load_adapter, pairs_of
from training.export_formats import FILES, spelled, write_formats
from training.families import FAMILIES, Family
from training.keys import FORMATS, formats_of
from training.pairs import Pair, different, joined, parted

# What loaders of diffusers 0.42 take in, at any size; FLUX.1's and Lumina2's know one size of the real model only.
READ_BY_DIFFUSERS = {
    "kohya": {"sd15", "sdxl", "flux.2", "flux.2-klein", "qwen-image", "z-image"},
    "comfyui": {
        "sd3.5",
        "aura-flow",
        "flux.1",
        "chroma",
        "flux.2",
        "flux.2-klein",
        "qwen-image",
        "z-image",
        "hidream",
        "krea-2",
        "ernie-image",
    },
}
# One key a file that its readers would look for.
KEYS = [
    ("sd15", "kohya", "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q.alpha"),
    ("sd15", "comfyui", "diffusion_model.input_blocks.3.1.transformer_blocks.0.attn1.to_q.lora_A.weight"),
    ("sdxl", "kohya", "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_out_0.lora_up.weight"),
    ("sdxl", "comfyui", "diffusion_model.output_blocks.1.1.transformer_blocks.0.attn1.to_k.lora_B.weight"),
    ("sd3.5", "kohya", "lora_unet_joint_blocks_0_x_block_attn_qkv.lora_down.weight"),
    ("flux.1", "kohya", "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight"),
    ("flux.1", "kohya", "lora_unet_single_blocks_0_linear1.lora_up.weight"),
    ("flux.1", "comfyui", "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight"),
    ("flux.2-klein", "kohya", "lora_unet_single_blocks_0_linear2.lora_down.weight"),
    ("qwen-image", "kohya", "lora_unet_transformer_blocks_0_attn_add_q_proj.lora_down.weight"),
    ("qwen-image", "comfyui", "diffusion_model.transformer_blocks.0.attn.to_out.0.lora_A.weight"),
    ("z-image", "kohya", "lora_unet_layers_0_attention_to_out_0.lora_down.weight"),
    ("z-image", "comfyui", "diffusion_model.noise_refiner.0.feed_forward.w1.lora_B.weight"),
    ("lumina-2", "comfyui", "diffusion_model.layers.0.attention.qkv.lora_A.weight"),
    ("pixart-sigma", "kohya", "lora_unet_blocks_0_cross_attn_kv_linear.lora_down.weight"),
    ("aura-flow", "kohya", "lora_unet_double_layers_0_attn_w2q.lora_down.weight"),
    ("krea-2", "comfyui", "diffusion_model.blocks.0.attn.wo.lora_A.weight"),
]
PUBLISHED = sorted(name for name in FAMILIES if formats_of(name).kohya)


@dataclass(frozen=True, kw_only=True)
class Work:
    """A family's denoiser with a random adapter inside, and the folder of its files."""

    family: Family
    denoiser: Any
    folder: Path
    written: dict[str, Any]


def adapted(family: Family, alpha: float) -> Any:
    denoiser = copy.deepcopy(getattr(tiny_pipeline(family.name), family.denoiser))
    for index, parameter in enumerate(inject(denoiser, family, rank=4, alpha=alpha, seed=0).values()):
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(index))
    return denoiser


def files_of(denoiser: Any, family: Family, folder: Path) -> dict[str, Any]:
    """What a bundle gets for the adapter inside a denoiser."""
    return write_formats(export(denoiser, family, folder), denoiser, family)


@pytest.fixture(scope="module", params=PUBLISHED)
def work(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Work:
    family, folder = FAMILIES[request.param], tmp_path_factory.mktemp("formats")
    denoiser = adapted(family, alpha=6.0)
    return Work(family=family, denoiser=denoiser, folder=folder, written=files_of(denoiser, family, folder))


@pytest.mark.parametrize("name", FILES)
def test_a_file_read_again_is_the_adapter_bit_for_bit_and_loads_as_it(name: str, work: Work, tmp_path: Path) -> None:
    lora = pairs_of(work.denoiser)
    read = read_lora(work.folder / work.written[name]["file"], work.family, modules_of(work.denoiser))
    assert different(read.lora, lora) == []
    straight = export_pairs(lora, work.family, tmp_path / "straight")
    assert export_pairs(read.lora, work.family, tmp_path / "again").read_bytes() == straight.read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_a_loader_of_diffusers_that_reads_the_file_makes_the_same_of_it(name: str, work: Work, tmp_path: Path) -> None:
    pipe = copy.copy(tiny_pipeline(work.family.name))
    setattr(pipe, work.family.denoiser, copy.deepcopy(getattr(pipe, work.family.denoiser)))
    path = work.folder / work.written[name]["file"]
    if name == "comfyui":  # those loaders know no alpha beside A and B, so theirs has to be the rank
        path = tmp_path / files_of(adapted(work.family, alpha=4.0), work.family, tmp_path)["comfyui"]["file"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            pipe.load_lora_weights(path.parent, weight_name=path.name, adapter_name="default", local_files_only=True)
        read = pairs_of(getattr(pipe, work.family.denoiser))
    except (AttributeError, ValueError, RuntimeError, AssertionError):
        read = {}
    assert bool(read) == (work.family.name in READ_BY_DIFFUSERS[name])
    strength = 1.0 if name == "comfyui" else 1.5
    for module, pair in read.items():
        given = pairs_of(work.denoiser)[module]
        ours, theirs = (one.up.flatten(1) @ one.down.flatten(1) for one in (given, pair))
        torch.testing.assert_close(theirs * pair.scale, ours * strength)
    assert not read or read.keys() == pairs_of(work.denoiser).keys()


@pytest.mark.parametrize(("family", "name", "key"), KEYS)
def test_keys_are_those_that_the_readers_look_for(family: str, name: str, key: str) -> None:
    denoiser = adapted(FAMILIES[family], alpha=6.0)
    modules, formats = modules_of(denoiser), formats_of(family)
    spelling = formats.kohya if name == "kohya" else formats.comfyui
    assert spelling is not None
    flat = name == "kohya"
    assert key in spelled(pairs_of(denoiser), formats.names(spelling, modules, flat=flat), modules, kohya=flat)


def test_the_kohya_file_of_flux_1_at_its_real_size_is_read_by_diffusers() -> None:
    with torch.device("meta"):
        modules = modules_of(FluxTransformer2DModel(num_layers=1, num_single_layers=1))
    chosen = [name for name in modules if ".attn." in name]
    noise = torch.Generator().manual_seed(0)
    lora = {
        name: Pair(
            down=torch.randn(2, modules[name][1], generator=noise), up=torch.randn(modules[name][0], 2, generator=noise), alpha=2.0
        )
        for name in chosen
    }
    formats = formats_of("flux.1")
    assert formats.kohya is not None
    read: Any = FluxPipeline.lora_state_dict(
        spelled(lora, formats.names(formats.kohya, modules, flat=True), modules, kohya=True), return_alphas=False
    )
    for name, pair in lora.items():
        assert torch.equal(read[f"transformer.{name}.lora_A.weight"], pair.down)
        assert torch.equal(read[f"transformer.{name}.lora_B.weight"], pair.up)
    others = {key for key in read if key.split(".lora_")[0].removeprefix("transformer.") not in lora}
    assert all(not read[key].any() for key in others)  # rows that the fused matrix has and the adapter does not change


def test_a_family_without_a_known_spelling_leaves_the_file_out_and_says_why(tmp_path: Path) -> None:
    family = FAMILIES["sana"]
    written = files_of(adapted(family, alpha=4.0), family, tmp_path)
    assert written == {name: {"file": None, "why": FORMATS["sana"].why} for name in FILES}
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert "not recorded" in formats_of("of tomorrow").why


def test_a_row_for_a_family_is_not_forgotten() -> None:
    assert set(FORMATS) <= set(FAMILIES)


def _pair(rank: int, alpha: float) -> Pair:
    return Pair(down=torch.ones(rank, 3), up=torch.ones(2, rank), alpha=alpha)


def test_parts_of_unlike_rank_or_strength_are_not_joined() -> None:
    for other in (_pair(1, 1.0), _pair(2, 1.0)):
        with pytest.raises(AdapterError, match="unlike rank or alpha"):
            joined([_pair(2, 2.0), other], [2, 2])


def test_a_fused_pair_that_is_not_diagonal_goes_whole_to_each_part() -> None:
    whole = Pair(down=torch.rand(4, 3), up=torch.rand(6, 4) + 1, alpha=2.0)
    one, two = parted(whole, [4, 2])
    assert one is not None
    assert two is not None
    assert torch.equal(
        torch.cat([one.up @ one.down * one.scale, two.up @ two.down * two.scale]), whole.up @ whole.down * whole.scale
    )


def test_an_adapter_with_unlike_ranks_loads_as_written(tmp_path: Path) -> None:
    family = FAMILIES["z-image"]
    pipe = copy.copy(tiny_pipeline("z-image"))
    pipe.transformer = copy.deepcopy(pipe.transformer)
    lora = dict(pairs_of(adapted(family, alpha=6.0)))
    first, second, *_ = sorted(lora)
    lora[first] = Pair(down=lora[first].down[:2].clone(), up=lora[first].up[:, :2].clone(), alpha=5.0)
    lora[second] = Pair(down=lora[second].down, up=lora[second].up, alpha=1.0)
    path = export_pairs(lora, family, tmp_path)
    load_adapter(pipe, path)
    assert different(pairs_of(pipe.transformer), lora) == []
    assert different(read_lora(path, family, modules_of(pipe.transformer)).lora, lora) == []
    assert load_file(path).keys() == {f"transformer.{name}.lora_{side}.weight" for name in lora for side in "AB"}
