"""What training has to know of a model family, and the tables that the other rooms read it by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Codec = Literal["scale", "scale_or_mean_std", "shift_scale", "mean_std", "batch_norm", "batch_norm_1e-5"]
Packing = Literal["none", "tokens_2x2", "tokens", "frame_last"]

# Layers of the attention blocks as diffusers names them: of one stream, and of a picture and a text stream side by side.
ATTENTION = r"(to_q|to_k|to_v|to_out\.0)"
JOINT = r"(to_q|to_k|to_v|to_out\.0|add_q_proj|add_k_proj|add_v_proj|to_add_out)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """What training has to know of a family that its pipeline does not already say by running."""

    name: str
    pipeline: str  # the diffusers class that model_index.json names
    denoiser: Literal["transformer", "unet"]  # attribute of the pipeline, and the key prefix of an exported LoRA
    call: Mapping[str, Any]  # arguments of the pipeline's call that turn classifier-free guidance off
    options: Mapping[str, Any] = field(default_factory=dict)  # arguments of every call, in training and when pictures are drawn
    codec: Codec  # how the VAE's latents become the denoiser's
    packing: Packing  # how a latent grid becomes what scheduler.step sees
    frames: bool = False  # the VAE is a video one: a picture is a clip of one frame
    starts_from: Literal["step", "grid"] = "step"  # the layout that the pipeline's own `latents=` argument takes
    targets: str  # regular expression over module names, matched whole (peft)
    multiple: int  # sides of a picture, in pixels
    padded: Mapping[str, str] = field(default_factory=dict)  # text argument -> its mask, where lengths may differ in a batch
    ragged: bool = False  # lengths may differ, and no mask says so: such captions go through the denoiser one after another
    sized: Callable[[Any, int, int], Mapping[str, Any]] | None = None  # (pipeline, height, width) -> its attributes for that size
    train_mode: str = r"(?!)"  # modules whose forward has gradients in training mode only; the others stay in evaluation mode
    checkpoints: bool = True  # diffusers' gradient checkpointing of the denoiser answers as the denoiser does without
    distilled: str = r"(?!)"  # matches a reference to step-distilled weights; the default matches nothing
    train_instead: str = ""  # the undistilled base to train on where these weights are distilled, as a user would write it
    steps: int  # what inference with undistilled weights starts from
    guidance: float
    guidance_argument: str = "guidance_scale"
    shift: float = 1.0  # of noise levels at 1024 x 1024 when the published weights are sampled; 1 leaves them as they are
    # GiB of a step: one picture of 1024 x 1024 (sd15: 512), rank 16, bfloat16, gradient checkpointing where `checkpoints`. From
    # `python bench/flops.py --memory`; None where no base of the family is known without a network.
    memory: float | None = None

    @property
    def lora_prefix(self) -> str:
        """Key prefix that diffusers expects in an adapter file."""
        return self.denoiser
