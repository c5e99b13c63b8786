"""Qwen-Image in miniature."""

from __future__ import annotations

from diffusers import (
    QwenImagePipeline,
    QwenImageTransformer2DModel,
)
from transformers import (
    Qwen2_5_VLForConditionalGeneration,
)

from tests.training.tiny.parts import flow, qwen2_5_vl_config, qwen_image_vae, qwen_tokenizer

_LAST = "the text stream of the last block is dropped"
DEAD = {"transformer_blocks.1.attn.add_q_proj": _LAST, "transformer_blocks.1.attn.to_add_out": _LAST}


def build() -> QwenImagePipeline:
    tokenizer = qwen_tokenizer()
    return QwenImagePipeline(
        scheduler=flow(use_dynamic_shifting=True, max_shift=0.9, max_image_seq_len=8192, shift_terminal=0.02),
        vae=qwen_image_vae(),
        text_encoder=Qwen2_5_VLForConditionalGeneration(qwen2_5_vl_config(tokenizer)),
        tokenizer=tokenizer,
        transformer=QwenImageTransformer2DModel(
            in_channels=16,
            out_channels=4,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(4, 4, 8),
        ),
    )
