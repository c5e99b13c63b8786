"""Qwen-Image-2.1 in miniature: one causal sequence, an autoencoder that reads opacity."""

from __future__ import annotations

from typing import Any

from diffusers import (
    AutoencoderKLQwenImage21,
    QwenImage21Pipeline,
    QwenImage21Transformer2DModel,
)
from transformers import (
    PreTrainedTokenizerFast,  # noqa: F401 (diffusers looks up here what kind of component TextProcessor is)
    Qwen2Tokenizer,
    Qwen3VLForConditionalGeneration,
)

from tests.training.tiny.parts import flow, qwen3_vl_config, qwen_tokenizer


class TextProcessor(Qwen2Tokenizer):
    """What the pipeline asks of Qwen3VLProcessor, whose own class cannot be made without torchvision: text only."""

    @property
    def tokenizer(self) -> TextProcessor:
        return self

    def apply_chat_template(self, messages: list[dict[str, Any]], **options: Any) -> list[list[int]]:
        plain = [{"role": message["role"], "content": message["content"][0]["text"]} for message in messages]
        return [super().apply_chat_template(plain, **options)]


def build() -> QwenImage21Pipeline:
    processor = qwen_tokenizer(TextProcessor)
    return QwenImage21Pipeline(
        scheduler=flow(use_dynamic_shifting=True),
        vae=AutoencoderKLQwenImage21(
            base_dim=8,
            decoder_base_dim=8,
            z_dim=16,
            dim_mult=[1, 1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True, True],
            latents_mean=[-0.75, 0.125, 0.5, -0.25] * 4,
            latents_std=[2.75, 1.5, 2.25, 0.625] * 4,
        ),
        text_encoder=Qwen3VLForConditionalGeneration(qwen3_vl_config(processor, layers=2)),
        processor=processor,
        transformer=QwenImage21Transformer2DModel(
            in_channels=16,
            out_channels=16,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            context_in_dim=16,
            mlp_ratio=2,
            axes_dims_rope=(4, 4, 8),
        ),
    )
