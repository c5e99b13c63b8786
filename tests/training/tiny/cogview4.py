"""CogView4 in miniature: GLM states without a mask, sizes as conditions."""

from __future__ import annotations

from diffusers import (
    CogView4Pipeline,
    CogView4Transformer2DModel,
)
from transformers import (
    GlmConfig,
    GlmModel,
)

from tests.training.tiny.parts import autoencoder, begun_tokenizer, flow


def build() -> CogView4Pipeline:
    tokenizer = begun_tokenizer(padding_side="left")
    return CogView4Pipeline(
        tokenizer=tokenizer,
        text_encoder=GlmModel(
            GlmConfig(
                vocab_size=len(tokenizer),
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=3,
                num_attention_heads=2,
                num_key_value_heads=1,
                head_dim=8,
                pad_token_id=tokenizer.pad_token_id,
            )
        ),
        vae=autoencoder(latent_channels=4, scaling_factor=0.7),
        transformer=CogView4Transformer2DModel(
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            text_embed_dim=16,
            time_embed_dim=8,
            condition_dim=4,
            rope_axes_dim=(32, 32),
        ),
        scheduler=flow(use_dynamic_shifting=True, base_shift=0.25, max_shift=0.75, time_shift_type="linear"),
    )
