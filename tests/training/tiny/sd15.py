"""Stable Diffusion 1.5 in miniature."""

from __future__ import annotations

from diffusers import (
    DDIMScheduler,
    StableDiffusionPipeline,
)
from transformers import (
    CLIPTextModel,
)

from tests.training.tiny.parts import autoencoder, clip_config, clip_tokenizer, diffusion, unet


def build() -> StableDiffusionPipeline:
    tokenizer = clip_tokenizer()
    text_encoder = CLIPTextModel(clip_config(tokenizer))
    parts = {"vae": autoencoder(latent_channels=4, scaling_factor=0.7), "unet": unet(cross_attention_dim=16)}
    guards = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return StableDiffusionPipeline(
        tokenizer=tokenizer, text_encoder=text_encoder, scheduler=diffusion(DDIMScheduler), **parts, **guards
    )
