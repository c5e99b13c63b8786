"""PixArt-Sigma in miniature: it answers with noise and variance, of which the scheduler is given the noise."""

from __future__ import annotations

from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

from tests.training.tiny.parts import autoencoder, t5_encoder, t5_tokenizer


def build() -> PixArtSigmaPipeline:
    tokenizer = t5_tokenizer()
    return PixArtSigmaPipeline(
        tokenizer=tokenizer,
        text_encoder=t5_encoder(tokenizer, width=16),
        vae=autoencoder(latent_channels=4, scaling_factor=0.6),
        transformer=PixArtTransformer2DModel(
            sample_size=32,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            in_channels=4,
            out_channels=8,
            cross_attention_dim=16,
            caption_channels=16,
            use_additional_conditions=False,
        ),
        scheduler=DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear"),
    )
