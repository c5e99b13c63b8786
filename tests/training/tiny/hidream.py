"""HiDream-I1 in miniature: four text encoders, experts, and Llama states of every layer."""

from __future__ import annotations

from diffusers import (
    HiDreamImagePipeline,
    HiDreamImageTransformer2DModel,
)
from transformers import (
    CLIPTextModelWithProjection,
    LlamaConfig,
    LlamaForCausalLM,
)

from tests.training.tiny.parts import autoencoder, begun_tokenizer, clip_config, clip_tokenizer, flow, t5_encoder, t5_tokenizer


def build() -> HiDreamImagePipeline:
    clip, t5, llama = clip_tokenizer(), t5_tokenizer(), begun_tokenizer()
    words = clip_config(clip, max_position_embeddings=248)
    return HiDreamImagePipeline(
        scheduler=flow(shift=3.0),
        vae=autoencoder(latent_channels=4, scaling_factor=0.4, shift_factor=0.12),
        text_encoder=CLIPTextModelWithProjection(words),
        tokenizer=clip,
        text_encoder_2=CLIPTextModelWithProjection(words),
        tokenizer_2=clip,
        text_encoder_3=t5_encoder(t5),
        tokenizer_3=t5,
        text_encoder_4=LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(llama),
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=3,
                num_attention_heads=2,
                pad_token_id=llama.pad_token_id,
                bos_token_id=llama.pad_token_id,
                eos_token_id=llama.pad_token_id,
                attn_implementation="eager",  # the pipeline asks for attention maps
            )
        ),
        tokenizer_4=llama,
        transformer=HiDreamImageTransformer2DModel(
            patch_size=2,
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            caption_channels=[16, 16],
            text_emb_dim=32,
            num_routed_experts=4,
            num_activated_experts=2,
            axes_dims_rope=(4, 4, 8),
            max_resolution=(32, 32),
            llama_layers=[0, 2],
        ),
    )
