"""Chroma in miniature: FLUX.1's blocks with one approximator in place of their modulations."""

from __future__ import annotations

import warnings

from diffusers import (
    ChromaPipeline,
    ChromaTransformer2DModel,
)

from tests.training.tiny.parts import autoencoder, flow, t5_encoder, t5_tokenizer


def build() -> ChromaPipeline:
    tokenizer = t5_tokenizer()
    return ChromaPipeline(
        scheduler=flow(use_dynamic_shifting=True),
        vae=autoencoder(latent_channels=4, scaling_factor=0.36, shift_factor=0.11, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=t5_encoder(tokenizer),
        tokenizer=tokenizer,
        transformer=_denoiser(),
    )


def _denoiser() -> ChromaTransformer2DModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # diffusers' own use of a class that it has moved
        return ChromaTransformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(4, 4, 8),
            approximator_num_channels=16,
            approximator_hidden_dim=32,
            approximator_layers=1,
        )
