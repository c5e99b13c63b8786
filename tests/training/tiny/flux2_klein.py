"""FLUX.2 [klein] in miniature."""

from __future__ import annotations

from diffusers import (
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
)
from transformers import (
    Qwen3ForCausalLM,
)

from tests.training.tiny.parts import flow, flux2_vae, qwen3_config, qwen_tokenizer

SHORTENING = {"max_sequence_length": 64}


def build() -> Flux2KleinPipeline:
    tokenizer = qwen_tokenizer()
    return Flux2KleinPipeline(
        scheduler=flow(use_dynamic_shifting=True),
        vae=flux2_vae(),
        text_encoder=Qwen3ForCausalLM(qwen3_config(tokenizer, layers=27)),  # the pipeline reads hidden states 9, 18 and 27
        tokenizer=tokenizer,
        transformer=Flux2Transformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=48,
            timestep_guidance_channels=16,
            guidance_embeds=False,
            axes_dims_rope=(4, 4, 4, 4),
        ),
    )
