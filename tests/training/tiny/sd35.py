"""Stable Diffusion 3.5 in miniature: three text encoders, a block of two attentions and a last block that drops the text."""

from __future__ import annotations

from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline
from transformers import CLIPTextModelWithProjection

from tests.training.tiny.parts import autoencoder, clip_config, clip_tokenizer, flow, t5_encoder, t5_tokenizer

DEAD = {"transformer_blocks.1.attn.add_q_proj": "the text stream of the last block is dropped"}


def build() -> StableDiffusion3Pipeline:
    tokenizer, tokenizer_3 = clip_tokenizer(), t5_tokenizer()
    config = clip_config(tokenizer)
    transformer = SD3Transformer2DModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        caption_projection_dim=16,
        pooled_projection_dim=32,  # both CLIP encoders side by side
        pos_embed_max_size=32,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=flow(shift=3.0),
        vae=autoencoder(latent_channels=4, scaling_factor=1.5, shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=CLIPTextModelWithProjection(config),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(config),
        tokenizer_2=tokenizer,
        text_encoder_3=t5_encoder(tokenizer_3, width=32),
        tokenizer_3=tokenizer_3,
    )
