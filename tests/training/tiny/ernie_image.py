"""ERNIE-Image in miniature: text states padded by their lengths, FLUX.2's autoencoder on a grid of 2x2 patches."""

from __future__ import annotations

import torch
from diffusers import (
    ErnieImagePipeline,
    ErnieImageTransformer2DModel,
)
from transformers import (
    Mistral3Config,
    Mistral3Model,
)

from tests.training.tiny.parts import begun_tokenizer, flow, flux2_vae


def build() -> ErnieImagePipeline:
    tokenizer = begun_tokenizer()
    text = {
        "model_type": "ministral3",
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
    }
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 8}
    denoiser = ErnieImageTransformer2DModel(
        hidden_size=32,
        num_attention_heads=2,
        num_layers=2,
        ffn_hidden_size=32,
        in_channels=16,
        out_channels=16,
        text_in_dim=16,
        rope_axes_dim=(4, 4, 8),
    )
    for layer in (denoiser.adaLN_modulation[-1], denoiser.final_linear):  # made of zeros
        torch.nn.init.normal_(layer.weight, std=0.3)
        torch.nn.init.normal_(layer.bias, std=0.3)
    return ErnieImagePipeline(
        transformer=denoiser,
        vae=flux2_vae(),
        text_encoder=Mistral3Model(Mistral3Config(text_config=text, vision_config={"model_type": "pixtral", **vision})),
        tokenizer=tokenizer,
        scheduler=flow(shift=4.0),
    )
