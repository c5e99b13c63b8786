"""Lumina-Image 2.0 in miniature; its pipeline takes an eightfold autoencoder for granted."""

from __future__ import annotations

from diffusers import AutoencoderKL, Lumina2Pipeline, Lumina2Transformer2DModel
from transformers import Gemma2Model

from tests.training.tiny.parts import flow, gemma2_config, gemma_tokenizer


def build() -> Lumina2Pipeline:
    tokenizer = gemma_tokenizer()
    return Lumina2Pipeline(
        transformer=Lumina2Transformer2DModel(
            sample_size=16,
            in_channels=4,
            hidden_size=24,
            num_layers=2,
            num_refiner_layers=1,
            num_attention_heads=2,
            num_kv_heads=1,
            multiple_of=16,
            axes_dim_rope=(4, 4, 4),
            axes_lens=(512, 32, 32),
            cap_feat_dim=16,
        ),
        scheduler=flow(shift=6.0),
        vae=AutoencoderKL(
            block_out_channels=(8,) * 4,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            norm_num_groups=4,
            layers_per_block=1,
            latent_channels=4,
            scaling_factor=0.36,
            shift_factor=0.12,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        text_encoder=Gemma2Model(gemma2_config(tokenizer)),
        tokenizer=tokenizer,
    )
