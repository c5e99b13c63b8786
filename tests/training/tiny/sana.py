"""Sana in miniature: a deep-compression autoencoder without a posterior, and a solver that counts flow in its own words."""

from __future__ import annotations

import inspect

from diffusers import AutoencoderDC, DPMSolverMultistepScheduler, SanaPipeline, SanaTransformer2DModel
from transformers import Gemma2Model

from tests.training.tiny.parts import gemma2_config, gemma_tokenizer


def build() -> SanaPipeline:
    instruction = inspect.signature(SanaPipeline.__call__).parameters["complex_human_instruction"].default
    tokenizer = gemma_tokenizer(*instruction)  # else it would be a thousand tokens before every caption
    return SanaPipeline(
        tokenizer=tokenizer,
        text_encoder=Gemma2Model(gemma2_config(tokenizer)),
        vae=_autoencoder(),
        transformer=SanaTransformer2DModel(
            in_channels=4,
            out_channels=4,
            num_layers=2,
            num_attention_heads=2,
            attention_head_dim=8,
            num_cross_attention_heads=2,
            cross_attention_head_dim=8,
            cross_attention_dim=16,
            caption_channels=16,
            sample_size=32,
        ),
        scheduler=DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
    )


def _autoencoder() -> AutoencoderDC:
    sides = {"block_types": ("ResBlock", "EfficientViTBlock"), "block_out_channels": (8, 16), "layers_per_block": (1, 1)}
    scales = {"qkv_multiscales": ((), (5,))}
    halves = {f"{half}_{name}": value for half in ("encoder", "decoder") for name, value in {**sides, **scales}.items()}
    return AutoencoderDC(latent_channels=4, attention_head_dim=8, scaling_factor=0.41407, **halves)
