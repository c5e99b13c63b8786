"""AuraFlow in miniature."""

from __future__ import annotations

from diffusers import AuraFlowPipeline, AuraFlowTransformer2DModel
from transformers import UMT5Config, UMT5EncoderModel

from tests.training.tiny.parts import autoencoder, flow, t5_tokenizer


def build() -> AuraFlowPipeline:
    tokenizer = t5_tokenizer()
    config = UMT5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return AuraFlowPipeline(
        tokenizer=tokenizer,
        text_encoder=UMT5EncoderModel(config),
        vae=autoencoder(latent_channels=4, scaling_factor=0.6),
        transformer=AuraFlowTransformer2DModel(
            sample_size=16,
            in_channels=4,
            num_mmdit_layers=1,
            num_single_dit_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            caption_projection_dim=16,
            pos_embed_max_size=1024,
        ),
        scheduler=flow(shift=1.73),
    )
