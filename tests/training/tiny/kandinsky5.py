"""Kandinsky 5 text-to-image in miniature: a clip of one frame, channels last."""

from __future__ import annotations

import torch
from diffusers import (
    Kandinsky5T2IPipeline,
    Kandinsky5Transformer3DModel,
)
from transformers import (
    CLIPTextModel,
    Qwen2_5_VLForConditionalGeneration,
)

from tests.training.tiny.parts import autoencoder, clip_config, clip_tokenizer, flow, qwen2_5_vl_config, qwen_tokenizer

# the clock is in float32 and queries and keys are rounded to bfloat16, whatever the weights are
REFUSED = {"transformer": torch.float64}


def build() -> Kandinsky5T2IPipeline:
    tokenizer, clip = qwen_tokenizer(), clip_tokenizer()  # of Qwen2VLProcessor, which needs torchvision, the text part
    denoiser = Kandinsky5Transformer3DModel(
        in_visual_dim=16,
        out_visual_dim=16,
        in_text_dim=16,
        in_text_dim2=16,
        time_dim=16,
        model_dim=32,
        ff_dim=32,
        num_text_blocks=1,
        num_visual_blocks=1,
        axes_dims=(4, 4, 8),
    )
    for name, weight in denoiser.named_parameters():
        if "modulation" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return Kandinsky5T2IPipeline(
        transformer=denoiser,
        vae=autoencoder(levels=4, latent_channels=16, scaling_factor=0.36, shift_factor=0.11),
        text_encoder=Qwen2_5_VLForConditionalGeneration(qwen2_5_vl_config(tokenizer)),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModel(clip_config(clip)),
        tokenizer_2=clip,
        scheduler=flow(shift=5.0),
    )
