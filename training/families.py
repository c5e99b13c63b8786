"""The model families that can be trained: one row each, and nowhere else a branch on a family's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from training.errors import BaseModelError

if TYPE_CHECKING:
    from training.objective import Objective

Codec = Literal["scale", "scale_or_mean_std", "shift_scale", "mean_std", "batch_norm"]
Packing = Literal["none", "tokens_2x2", "tokens"]


class UnknownFamily(BaseModelError):
    """The base's pipeline or objective is not one that can be trained here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """What training has to know of a family that its pipeline does not already say by running."""

    name: str
    pipeline: str  # the diffusers class that model_index.json names
    denoiser: Literal["transformer", "unet"]  # attribute of the pipeline, and the key prefix of an exported LoRA
    call: Mapping[str, Any]  # arguments of the pipeline's call that turn classifier-free guidance off
    codec: Codec  # how the VAE's latents become the denoiser's
    packing: Packing  # how a latent grid becomes what scheduler.step sees
    frames: bool = False  # the VAE is a video one: a picture is a clip of one frame
    starts_from: Literal["step", "grid"] = "step"  # the layout that the pipeline's own `latents=` argument takes
    targets: str  # regular expression over module names, matched whole (peft)
    multiple: int  # sides of a picture, in pixels
    padded: Mapping[str, str] = field(default_factory=dict)  # text argument -> its mask, where lengths may differ in a batch
    distilled: str = r"(?!)"  # matches a reference to step-distilled weights; the default matches nothing
    steps: int  # what inference with undistilled weights starts from
    guidance: float
    guidance_argument: str = "guidance_scale"

    @property
    def lora_prefix(self) -> str:
        """Key prefix that diffusers expects in an adapter file."""
        return self.denoiser


_ATTENTION = r"(to_q|to_k|to_v|to_out\.0)"
_JOINT = r"(to_q|to_k|to_v|to_out\.0|add_q_proj|add_k_proj|add_v_proj|to_add_out)"

_ROWS = (
    Family(
        name="sd15",
        pipeline="StableDiffusionPipeline",
        denoiser="unet",
        call={"guidance_scale": 1.0},
        codec="scale",
        packing="none",
        targets=rf".*\.attn[12]\.{_ATTENTION}",
        multiple=64,
        distilled=r"(?i)lcm|turbo|lightning|hyper",
        steps=30,
        guidance=7.5,
    ),
    Family(
        name="sdxl",
        pipeline="StableDiffusionXLPipeline",
        denoiser="unet",
        call={"guidance_scale": 1.0},
        codec="scale_or_mean_std",
        packing="none",
        targets=rf".*\.attn[12]\.{_ATTENTION}",
        multiple=64,
        distilled=r"(?i)lcm|turbo|lightning|hyper",
        steps=30,
        guidance=5.0,
    ),
    Family(
        name="flux.1",
        pipeline="FluxPipeline",
        denoiser="transformer",
        # Where the weights take guidance as an input (dev), 1.0 asks for the data's own distribution; others ignore it.
        call={"guidance_scale": 1.0, "true_cfg_scale": 1.0},
        codec="shift_scale",
        packing="tokens_2x2",
        targets=rf"(single_)?transformer_blocks\.\d+\.attn\.{_JOINT}",
        multiple=16,
        distilled=r"(?i)schnell|turbo|hyper",
        steps=28,
        guidance=3.5,
    ),
    Family(
        name="flux.2-klein",
        pipeline="Flux2KleinPipeline",
        denoiser="transformer",
        call={"guidance_scale": 1.0},
        codec="batch_norm",
        packing="tokens",
        starts_from="grid",
        targets=rf"transformer_blocks\.\d+\.attn\.{_JOINT}|single_transformer_blocks\.\d+\.attn\.(to_qkv_mlp_proj|to_out)",
        multiple=16,
        distilled=r"(?i)klein-(?!base)",
        steps=50,
        guidance=4.0,
    ),
    Family(
        name="qwen-image",
        pipeline="QwenImagePipeline",
        denoiser="transformer",
        call={"true_cfg_scale": 1.0},
        codec="mean_std",
        frames=True,
        packing="tokens_2x2",
        targets=rf"transformer_blocks\.\d+\.attn\.{_JOINT}",
        multiple=16,
        padded={"encoder_hidden_states": "encoder_hidden_states_mask"},
        distilled=r"(?i)lightning|turbo",
        steps=50,
        guidance=4.0,
        guidance_argument="true_cfg_scale",
    ),
    Family(
        name="z-image",
        pipeline="ZImagePipeline",
        denoiser="transformer",
        call={"guidance_scale": 0.0},
        codec="shift_scale",
        packing="none",
        # with the feed-forward layers the held-out loss falls further for the same steps
        targets=rf"(layers|noise_refiner|context_refiner)\.\d+\.(attention\.{_ATTENTION}|feed_forward\.w[123])",
        multiple=16,
        distilled=r"(?i)turbo",
        steps=50,
        guidance=4.0,
    ),
)

FAMILIES: Mapping[str, Family] = {row.name: row for row in _ROWS}


def family_of(model_index: Mapping[str, Any]) -> Family:
    """The family whose pipeline a parsed model_index.json names; UnknownFamily lists what is supported."""
    pipeline = model_index.get("_class_name")
    for family in _ROWS:
        if family.pipeline == pipeline:
            return family
    supported = ", ".join(f"{family.name} ({family.pipeline})" for family in _ROWS)
    raise UnknownFamily(f"model_index.json names the pipeline {pipeline!r}, which cannot be trained here; supported: {supported}")


def is_distilled(family: Family, reference: str, model_index: Mapping[str, Any]) -> bool:
    """Whether the weights look step-distilled, so that a LoRA trained on them would undo the distillation.

    `reference` is the repository or folder name; a pipeline that says so itself (`is_distilled`) is believed first.
    """
    declared = model_index.get("is_distilled")
    return bool(declared) if declared is not None else re.search(family.distilled, reference) is not None


def objective_of(scheduler: Any) -> Objective:
    """What the prediction at `scheduler.step` means: flow velocity, noise or v."""
    config = scheduler.config
    kind = config.get("prediction_type") or "flow"
    if "FlowMatch" in type(scheduler).__name__ or kind in ("flow", "flow_prediction"):
        return "flow"
    if kind == "epsilon":
        return "epsilon"
    if kind == "v_prediction":
        return "v"
    raise UnknownFamily(f"scheduler predicts {kind!r}; training knows flow, epsilon and v_prediction: use a base with one of these")
