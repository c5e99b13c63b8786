"""SDXL in miniature."""

from __future__ import annotations

from diffusers import (
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
)
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
)

from tests.training.tiny.parts import autoencoder, clip_config, clip_tokenizer, diffusion, unet


def build() -> StableDiffusionXLPipeline:
    tokenizer = clip_tokenizer()
    config = clip_config(tokenizer)
    return StableDiffusionXLPipeline(
        vae=autoencoder(latent_channels=4, scaling_factor=0.6),
        text_encoder=CLIPTextModel(config),
        text_encoder_2=CLIPTextModelWithProjection(config),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet(
            cross_attention_dim=32,  # both encoders side by side
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 16,
        ),
        scheduler=diffusion(EulerDiscreteScheduler),
        add_watermarker=False,
    )
