"""Krea 2 in miniature: hidden states of several layers of the text encoder, fused by the denoiser."""

from __future__ import annotations

import torch
from diffusers import (
    Krea2Pipeline,
    Krea2Transformer2DModel,
)
from transformers import (
    Qwen3VLModel,
)

from tests.training.tiny.parts import flow, qwen3_vl_config, qwen_image_vae, qwen_tokenizer


def build() -> Krea2Pipeline:
    tokenizer = qwen_tokenizer()
    denoiser = Krea2Transformer2DModel(
        in_channels=16,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=32,
        timestep_embed_dim=16,
        text_hidden_dim=16,
        num_text_layers=2,
        text_num_attention_heads=2,
        text_num_key_value_heads=2,
        text_intermediate_size=32,
        num_layerwise_text_blocks=1,
        num_refiner_text_blocks=1,
        axes_dims_rope=(4, 4, 8),
    )
    for name, weight in denoiser.named_parameters():
        if "scale_shift_table" in name or "norm" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return Krea2Pipeline(
        scheduler=flow(use_dynamic_shifting=True, max_image_seq_len=6400),
        vae=qwen_image_vae(),
        text_encoder=Qwen3VLModel(qwen3_vl_config(tokenizer, layers=3)),
        tokenizer=tokenizer,
        transformer=denoiser,
        text_encoder_select_layers=(1, 3),
    )
