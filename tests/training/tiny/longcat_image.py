"""LongCat-Image in miniature."""

from __future__ import annotations

from diffusers import (
    LongCatImagePipeline,
    LongCatImageTransformer2DModel,
)
from transformers import (
    Qwen2_5_VLForConditionalGeneration,
)

from tests.training.tiny.parts import autoencoder, flow, qwen2_5_vl_config, qwen_tokenizer


def build() -> LongCatImagePipeline:
    tokenizer = qwen_tokenizer()
    return LongCatImagePipeline(
        scheduler=flow(use_dynamic_shifting=True),
        vae=autoencoder(latent_channels=16, scaling_factor=0.36, shift_factor=0.11),  # the pipeline counts on 16 channels
        text_encoder=Qwen2_5_VLForConditionalGeneration(qwen2_5_vl_config(tokenizer)),
        tokenizer=tokenizer,
        text_processor=tokenizer,  # it rewrites prompts, which training turns off
        transformer=LongCatImageTransformer2DModel(
            in_channels=64,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            axes_dims_rope=(4, 4, 8),
        ),
    )
