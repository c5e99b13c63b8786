"""Ovis-Image in miniature."""

from __future__ import annotations

from diffusers import (
    OvisImagePipeline,
    OvisImageTransformer2DModel,
)
from transformers import (
    Qwen3Model,
)

from tests.training.tiny.parts import autoencoder, flow, qwen3_config, qwen_tokenizer


def build() -> OvisImagePipeline:
    tokenizer = qwen_tokenizer()
    return OvisImagePipeline(
        scheduler=flow(use_dynamic_shifting=True),
        vae=autoencoder(latent_channels=4, scaling_factor=0.36, shift_factor=0.11, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=Qwen3Model(qwen3_config(tokenizer, layers=2)),
        tokenizer=tokenizer,
        transformer=OvisImageTransformer2DModel(
            in_channels=16,
            out_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(4, 4, 8),
        ),
    )
