"""FLUX.2 [dev] in miniature, with its guidance input and a chat template over lists of parts."""

from __future__ import annotations

from diffusers import Flux2Pipeline, Flux2Transformer2DModel
from transformers import Mistral3Config, Mistral3ForConditionalGeneration

from tests.training.tiny.parts import flow, flux2_vae, qwen_tokenizer

_PARTS = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'][0]['text'] }}<|im_end|>\n{% endfor %}"
)

SHORTENING = {"max_sequence_length": 160}  # the system message alone is 120 tokens


def build() -> Flux2Pipeline:
    tokenizer = qwen_tokenizer(chat_template=_PARTS)
    text = {
        "model_type": "mistral",
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 30,  # the pipeline reads hidden states 10, 20 and 30
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
    }
    vision = {
        "model_type": "pixtral",
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
    }
    return Flux2Pipeline(
        scheduler=flow(use_dynamic_shifting=True),
        vae=flux2_vae(),
        text_encoder=Mistral3ForConditionalGeneration(Mistral3Config(text_config=text, vision_config=vision)),
        tokenizer=tokenizer,
        transformer=Flux2Transformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=48,
            timestep_guidance_channels=16,
            guidance_embeds=True,
            axes_dims_rope=(4, 4, 4, 4),
        ),
    )
