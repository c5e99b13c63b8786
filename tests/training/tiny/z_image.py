"""Z-Image in miniature."""

from __future__ import annotations

import torch
from diffusers import (
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import (
    Qwen3Model,
)

from tests.training.tiny.parts import autoencoder, flow, qwen3_config, qwen_tokenizer


def build() -> ZImagePipeline:
    tokenizer = qwen_tokenizer()
    denoiser = ZImageTransformer2DModel(
        in_channels=8,
        dim=96,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[16, 16, 16],
        axes_lens=[512, 32, 32],
    )
    for pad in (denoiser.x_pad_token, denoiser.cap_pad_token):
        torch.nn.init.normal_(pad)
    return ZImagePipeline(
        scheduler=flow(shift=6.0),
        vae=autoencoder(latent_channels=8, scaling_factor=0.85, shift_factor=0.014),
        text_encoder=Qwen3Model(qwen3_config(tokenizer, layers=2)),
        tokenizer=tokenizer,
        transformer=denoiser,
    )
