"""How LoRA files spell a denoiser's modules: by diffusers' names, by those of the original checkpoint, dotted or flat.

The original checkpoints often hold one matrix where diffusers has several (query, key and value side by side), so a name of
theirs stands for one or more of ours, in the order of the rows. What sd-scripts (kohya) writes and what ComfyUI reads was looked
up in their key maps; a family that they do not know has no spelling, and `why` says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

Names = Mapping[str, tuple[str, ...]]  # a name in a file -> our modules, in the order of its rows
Layout = Callable[[Collection[str]], Names]  # our modules -> the original checkpoint's


@dataclass(frozen=True, kw_only=True, slots=True)
class Spelling:
    """How a file names a module: a prefix, then our name or the original checkpoint's, with dots or underscores between parts."""

    prefix: str
    original: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Formats:
    """The spellings of a family; None where the format is not known for it."""

    layout: Layout
    kohya: Spelling | None
    comfyui: Spelling | None
    architecture: str  # as the model specification's `modelspec.architecture` names it
    why: str = ""

    def names(self, spelling: Spelling, modules: Collection[str], *, flat: bool) -> Names:
        """The keys of a file for these modules, without `.lora_A.weight` and the like."""
        own = self.layout(modules) if spelling.original else same(modules)
        return {spelling.prefix + (name.replace(".", "_") if flat else name): parts for name, parts in own.items()}


def same(modules: Collection[str]) -> Names:
    """The layout of checkpoints that diffusers took over as they are."""
    return {name: (name,) for name in modules}


def unet(modules: Collection[str]) -> Names:
    """The layout of Stable Diffusion 1 and XL: blocks counted through from the first to the last, attention is part 1 of each."""
    step = 1 + len({name.split(".")[3] for name in modules if name.startswith("down_blocks.0.resnets.")})

    def original(name: str) -> str:
        found = re.fullmatch(r"(down|up)_blocks\.(\d+)\.attentions\.(\d+)\.(.+)", name)
        if found is None:
            return re.sub(r"^mid_block\.attentions\.0\.", "middle_block.1.", name)
        place = step * int(found[2]) + int(found[3])
        return f"input_blocks.{place + 1}.1.{found[4]}" if found[1] == "down" else f"output_blocks.{place}.1.{found[4]}"

    return {original(name): (name,) for name in modules}


def templates(table: Mapping[str, tuple[str, ...]]) -> Layout:
    """A layout from a table of their name -> ours, where {} is a block's number; what the table lacks keeps its name."""
    rules = [
        (re.compile(re.escape(our).replace(r"\{\}", r"(\d+)")), theirs, ours) for theirs, ours in table.items() for our in ours
    ]

    def layout(modules: Collection[str]) -> Names:
        named: dict[str, tuple[str, ...]] = {}
        for name in modules:
            found = next(((match, theirs, ours) for rule, theirs, ours in rules if (match := rule.fullmatch(name))), None)
            if found is None:
                named[name] = (name,)
            else:
                match, theirs, ours = found
                named[theirs.format(*match.groups())] = tuple(our.format(*match.groups()) for our in ours)
        return named

    return layout


def _three(place: str, names: str = "to_q to_k to_v") -> tuple[str, ...]:
    return tuple(f"{place}.{name}" for name in names.split())


_ADDED = "add_q_proj add_k_proj add_v_proj"
_DOUBLE = {
    "double_blocks.{}.img_attn.qkv": _three("transformer_blocks.{}.attn"),
    "double_blocks.{}.txt_attn.qkv": _three("transformer_blocks.{}.attn", _ADDED),
    "double_blocks.{}.img_attn.proj": ("transformer_blocks.{}.attn.to_out.0",),
    "double_blocks.{}.txt_attn.proj": ("transformer_blocks.{}.attn.to_add_out",),
}
_FLUX1 = {
    **_DOUBLE,
    "double_blocks.{}.img_mlp.0": ("transformer_blocks.{}.ff.net.0.proj",),
    "double_blocks.{}.img_mlp.2": ("transformer_blocks.{}.ff.net.2",),
    "double_blocks.{}.txt_mlp.0": ("transformer_blocks.{}.ff_context.net.0.proj",),
    "double_blocks.{}.txt_mlp.2": ("transformer_blocks.{}.ff_context.net.2",),
    "double_blocks.{}.img_mod.lin": ("transformer_blocks.{}.norm1.linear",),
    "double_blocks.{}.txt_mod.lin": ("transformer_blocks.{}.norm1_context.linear",),
    "single_blocks.{}.linear1": (
        *_three("single_transformer_blocks.{}.attn"),
        "single_transformer_blocks.{}.proj_mlp",
    ),
    "single_blocks.{}.linear2": ("single_transformer_blocks.{}.proj_out",),
    "single_blocks.{}.modulation.lin": ("single_transformer_blocks.{}.norm.linear",),
}
_FLUX2 = {
    **_DOUBLE,
    "double_blocks.{}.img_mlp.0": ("transformer_blocks.{}.ff.linear_in",),
    "double_blocks.{}.img_mlp.2": ("transformer_blocks.{}.ff.linear_out",),
    "double_blocks.{}.txt_mlp.0": ("transformer_blocks.{}.ff_context.linear_in",),
    "double_blocks.{}.txt_mlp.2": ("transformer_blocks.{}.ff_context.linear_out",),
    "single_blocks.{}.linear1": ("single_transformer_blocks.{}.attn.to_qkv_mlp_proj",),
    "single_blocks.{}.linear2": ("single_transformer_blocks.{}.attn.to_out",),
}
_MMDIT = {
    "joint_blocks.{}.x_block.attn.qkv": _three("transformer_blocks.{}.attn"),
    "joint_blocks.{}.x_block.attn.proj": ("transformer_blocks.{}.attn.to_out.0",),
    "joint_blocks.{}.x_block.attn2.qkv": _three("transformer_blocks.{}.attn2"),
    "joint_blocks.{}.x_block.attn2.proj": ("transformer_blocks.{}.attn2.to_out.0",),
    "joint_blocks.{}.x_block.mlp.fc1": ("transformer_blocks.{}.ff.net.0.proj",),
    "joint_blocks.{}.x_block.mlp.fc2": ("transformer_blocks.{}.ff.net.2",),
    "joint_blocks.{}.context_block.attn.qkv": _three("transformer_blocks.{}.attn", _ADDED),
    "joint_blocks.{}.context_block.attn.proj": ("transformer_blocks.{}.attn.to_add_out",),
    "joint_blocks.{}.context_block.mlp.fc1": ("transformer_blocks.{}.ff_context.net.0.proj",),
    "joint_blocks.{}.context_block.mlp.fc2": ("transformer_blocks.{}.ff_context.net.2",),
}
_PIXART = {
    "blocks.{}.attn.qkv": _three("transformer_blocks.{}.attn1"),
    "blocks.{}.attn.proj": ("transformer_blocks.{}.attn1.to_out.0",),
    "blocks.{}.cross_attn.q_linear": ("transformer_blocks.{}.attn2.to_q",),
    "blocks.{}.cross_attn.kv_linear": _three("transformer_blocks.{}.attn2", "to_k to_v"),
    "blocks.{}.cross_attn.proj": ("transformer_blocks.{}.attn2.to_out.0",),
    "blocks.{}.mlp.fc1": ("transformer_blocks.{}.ff.net.0.proj",),
    "blocks.{}.mlp.fc2": ("transformer_blocks.{}.ff.net.2",),
}
_AURAFLOW_JOINT = {"w2q": "to_q", "w2k": "to_k", "w2v": "to_v", "w2o": "to_out.0"} | {
    "w1q": "add_q_proj",
    "w1k": "add_k_proj",
    "w1v": "add_v_proj",
    "w1o": "to_add_out",
}
_AURAFLOW_SINGLE = {"w1q": "to_q", "w1k": "to_k", "w1v": "to_v", "w1o": "to_out.0"}
_AURAFLOW_MLP = {"c_fc1": "linear_1", "c_fc2": "linear_2", "c_proj": "out_projection"}
_AURAFLOW = {
    **{f"double_layers.{{}}.attn.{a}": (f"joint_transformer_blocks.{{}}.attn.{b}",) for a, b in _AURAFLOW_JOINT.items()},
    **{f"single_layers.{{}}.attn.{a}": (f"single_transformer_blocks.{{}}.attn.{b}",) for a, b in _AURAFLOW_SINGLE.items()},
    **{f"double_layers.{{}}.mlpX.{a}": (f"joint_transformer_blocks.{{}}.ff.{b}",) for a, b in _AURAFLOW_MLP.items()},
    **{f"double_layers.{{}}.mlpC.{a}": (f"joint_transformer_blocks.{{}}.ff_context.{b}",) for a, b in _AURAFLOW_MLP.items()},
    **{f"single_layers.{{}}.mlp.{a}": (f"single_transformer_blocks.{{}}.ff.{b}",) for a, b in _AURAFLOW_MLP.items()},
}
_STACKS = ("layers", "noise_refiner", "context_refiner")
_LUMINA2 = {
    name: ours
    for stack in _STACKS
    for name, ours in {
        f"{stack}.{{}}.attention.qkv": _three(f"{stack}.{{}}.attn"),
        f"{stack}.{{}}.attention.out": (f"{stack}.{{}}.attn.to_out.0",),
        f"{stack}.{{}}.adaLN_modulation.1": (f"{stack}.{{}}.norm1.linear",),
        **{f"{stack}.{{}}.feed_forward.w{n}": (f"{stack}.{{}}.feed_forward.linear_{n}",) for n in (1, 2, 3)},
    }.items()
}
_Z_IMAGE = {
    name: ours
    for stack in _STACKS
    for name, ours in {
        f"{stack}.{{}}.attention.qkv": _three(f"{stack}.{{}}.attention"),
        f"{stack}.{{}}.attention.out": (f"{stack}.{{}}.attention.to_out.0",),
    }.items()
}
_KREA2_ATTENTION = {"wq": "to_q", "wk": "to_k", "wv": "to_v", "wo": "to_out.0", "gate": "to_gate"}
_KREA2_BLOCKS = {
    "blocks.{}": "transformer_blocks.{}",
    "txtfusion.layerwise_blocks.{}": "text_fusion.layerwise_blocks.{}",
    "txtfusion.refiner_blocks.{}": "text_fusion.refiner_blocks.{}",
}
_KREA2 = {
    f"{theirs}.{name}": (f"{ours}.{our}",)
    for theirs, ours in _KREA2_BLOCKS.items()
    for name, our in {
        **{f"attn.{a}": f"attn.{b}" for a, b in _KREA2_ATTENTION.items()},
        **{f"mlp.{name}": f"ff.{name}" for name in ("gate", "up", "down")},
    }.items()
}

_UNET, _DOTTED = "lora_unet_", "diffusion_model."
_OURS = Spelling(prefix="transformer.", original=False)  # ComfyUI knows diffusers' names for these and finds the rows itself
_FLAT, _FLAT_ORIGINAL = Spelling(prefix=_UNET, original=False), Spelling(prefix=_UNET, original=True)
_GENERIC, _GENERIC_ORIGINAL = Spelling(prefix=_DOTTED, original=False), Spelling(prefix=_DOTTED, original=True)
_MISSING = "neither sd-scripts nor ComfyUI has this family"

FORMATS: Mapping[str, Formats] = {
    "sd15": Formats(layout=unet, kohya=_FLAT, comfyui=_GENERIC_ORIGINAL, architecture="stable-diffusion-v1"),
    "sdxl": Formats(layout=unet, kohya=_FLAT_ORIGINAL, comfyui=_GENERIC_ORIGINAL, architecture="stable-diffusion-xl-v1-base"),
    "sd3.5": Formats(layout=templates(_MMDIT), kohya=_FLAT_ORIGINAL, comfyui=_OURS, architecture="stable-diffusion-3"),
    "flux.1": Formats(layout=templates(_FLUX1), kohya=_FLAT_ORIGINAL, comfyui=_OURS, architecture="flux-1"),
    "chroma": Formats(layout=templates(_FLUX1), kohya=_FLAT_ORIGINAL, comfyui=_OURS, architecture="chroma"),
    "ovis-image": Formats(layout=templates(_FLUX1), kohya=_FLAT_ORIGINAL, comfyui=_OURS, architecture="ovis-image"),
    "longcat-image": Formats(layout=templates(_FLUX1), kohya=_FLAT_ORIGINAL, comfyui=_OURS, architecture="longcat-image"),
    "flux.2": Formats(layout=templates(_FLUX2), kohya=_FLAT_ORIGINAL, comfyui=_OURS, architecture="flux-2"),
    "flux.2-klein": Formats(layout=templates(_FLUX2), kohya=_FLAT_ORIGINAL, comfyui=_OURS, architecture="flux-2-klein"),
    "qwen-image": Formats(layout=same, kohya=_FLAT, comfyui=_GENERIC, architecture="qwen-image"),
    "z-image": Formats(layout=templates(_Z_IMAGE), kohya=_FLAT, comfyui=_GENERIC, architecture="z-image"),
    "pixart-sigma": Formats(layout=templates(_PIXART), kohya=_FLAT_ORIGINAL, comfyui=_OURS, architecture="pixart-sigma"),
    "aura-flow": Formats(layout=templates(_AURAFLOW), kohya=_FLAT_ORIGINAL, comfyui=_OURS, architecture="auraflow"),
    "lumina-2": Formats(layout=templates(_LUMINA2), kohya=_FLAT_ORIGINAL, comfyui=_GENERIC_ORIGINAL, architecture="lumina-2"),
    "krea-2": Formats(layout=templates(_KREA2), kohya=_FLAT_ORIGINAL, comfyui=_GENERIC_ORIGINAL, architecture="krea-2"),
    "hidream": Formats(layout=same, kohya=_FLAT, comfyui=_GENERIC, architecture="hidream-i1"),
    "kandinsky-5": Formats(layout=same, kohya=_FLAT, comfyui=_GENERIC, architecture="kandinsky-5"),
    "ernie-image": Formats(layout=same, kohya=_FLAT, comfyui=_GENERIC, architecture="ernie-image"),
    "cogview4": Formats(layout=same, kohya=None, comfyui=None, architecture="cogview4", why=_MISSING),
    "sana": Formats(layout=same, kohya=None, comfyui=None, architecture="sana", why=_MISSING),
}


def formats_of(family: str) -> Formats:
    """The spellings of a family by name; a family without a row has none."""
    why = f"how sd-scripts and ComfyUI spell the modules of {family} is not recorded"
    return FORMATS.get(family) or Formats(layout=same, kohya=None, comfyui=None, architecture=family, why=why)
