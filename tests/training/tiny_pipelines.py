"""Every family in miniature: the real diffusers pipeline over tiny random weights, with real tokenizers trained on the spot.

Offline, seeded, a second or less each. Values that real checkpoints learn and tests must notice (batch-norm statistics, pad tokens,
shifts and scales) are random or odd on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer, UnigramTrainer
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

_CORPUS = [
    "a picture of a small brown dog that runs over the green hill",
    "two white birds above the sea, an old red boat, evening light",
    "system user assistant describe the image by detailing the color, shape, size, texture, quantity, text",
]
_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@cache
def tiny_pipeline(family: str, dtype: torch.dtype = torch.float32) -> Any:
    """The family's pipeline in miniature, built once a precision; tests must leave it as they found it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipe = _BUILDERS[family]()
    for module in pipe.components.values():
        if isinstance(module, torch.nn.Module):
            module.eval().requires_grad_(False)
    return pipe.to(dtype)


def _sd15() -> StableDiffusionPipeline:
    tokenizer = _clip_tokenizer()
    text_encoder = CLIPTextModel(_clip_config(tokenizer))
    parts = {"vae": _autoencoder(latent_channels=4, scaling_factor=0.7), "unet": _unet(cross_attention_dim=16)}
    guards = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return StableDiffusionPipeline(
        tokenizer=tokenizer, text_encoder=text_encoder, scheduler=_diffusion(DDIMScheduler), **parts, **guards
    )


def _sdxl() -> StableDiffusionXLPipeline:
    tokenizer = _clip_tokenizer()
    config = _clip_config(tokenizer)
    return StableDiffusionXLPipeline(
        vae=_autoencoder(latent_channels=4, scaling_factor=0.6),
        text_encoder=CLIPTextModel(config),
        text_encoder_2=CLIPTextModelWithProjection(config),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=_unet(
            cross_attention_dim=32,  # both encoders side by side
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 16,
        ),
        scheduler=_diffusion(EulerDiscreteScheduler),
        add_watermarker=False,
    )


def _flux1() -> FluxPipeline:
    tokenizer, tokenizer_2 = _clip_tokenizer(), _t5_tokenizer()
    return FluxPipeline(
        scheduler=_flow(use_dynamic_shifting=True),
        vae=_autoencoder(latent_channels=4, scaling_factor=1.5, shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=CLIPTextModel(_clip_config(tokenizer)),
        tokenizer=tokenizer,
        text_encoder_2=T5EncoderModel(
            T5Config(vocab_size=len(tokenizer_2), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
        ),
        tokenizer_2=tokenizer_2,
        transformer=FluxTransformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            guidance_embeds=True,
            axes_dims_rope=(4, 4, 8),
        ),
    )


def _flux2_klein() -> Flux2KleinPipeline:
    tokenizer = _qwen_tokenizer()
    vae = AutoencoderKLFlux2(block_out_channels=(8, 8), latent_channels=4, norm_num_groups=4, layers_per_block=1, **_two_blocks())
    vae.bn.running_mean.normal_()
    vae.bn.running_var.uniform_(0.5, 2.0)
    return Flux2KleinPipeline(
        scheduler=_flow(use_dynamic_shifting=True),
        vae=vae,
        text_encoder=Qwen3ForCausalLM(_qwen3_config(tokenizer, layers=27)),  # the pipeline reads hidden states 9, 18 and 27
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


def _qwen_image() -> QwenImagePipeline:
    tokenizer = _qwen_tokenizer()
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.pad_token_id,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
    }
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    return QwenImagePipeline(
        scheduler=_flow(use_dynamic_shifting=True, shift_terminal=0.02),
        vae=AutoencoderKLQwenImage(
            base_dim=8,
            z_dim=4,
            dim_mult=[1, 2],
            num_res_blocks=1,
            temperal_downsample=[False],
            latents_mean=[-0.75, 0.125, 0.5, -0.25],
            latents_std=[2.75, 1.5, 2.25, 0.625],
        ),
        text_encoder=Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=vision)),
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


def _z_image() -> ZImagePipeline:
    tokenizer = _qwen_tokenizer()
    denoiser = ZImageTransformer2DModel(
        in_channels=8,
        dim=96,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[16, 16, 16],
        axes_lens=[512, 32, 32],
    )
    for pad in (denoiser.x_pad_token, denoiser.cap_pad_token):
        torch.nn.init.normal_(pad)
    return ZImagePipeline(
        scheduler=_flow(shift=3.0),
        vae=_autoencoder(latent_channels=8, scaling_factor=0.85, shift_factor=0.014),
        text_encoder=Qwen3Model(_qwen3_config(tokenizer, layers=2)),
        tokenizer=tokenizer,
        transformer=denoiser,
    )


_BUILDERS: Mapping[str, Callable[[], Any]] = {
    "sd15": _sd15,
    "sdxl": _sdxl,
    "flux.1": _flux1,
    "flux.2-klein": _flux2_klein,
    "qwen-image": _qwen_image,
    "z-image": _z_image,
}


def _autoencoder(**config: Any) -> AutoencoderKL:
    return AutoencoderKL(block_out_channels=(8, 8), norm_num_groups=4, layers_per_block=1, **_two_blocks(), **config)


def _two_blocks() -> dict[str, tuple[str, str]]:
    return {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}


def _unet(**config: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        norm_num_groups=4,
        **config,
    )


def _flow(**config: Any) -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(**config)


def _diffusion(scheduler: type[Any]) -> Any:
    return scheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, **_unclipped(scheduler))


def _unclipped(scheduler: type[Any]) -> dict[str, bool]:
    return {"clip_sample": False} if scheduler is DDIMScheduler else {}


def _clip_tokenizer() -> CLIPTokenizer:
    vocabulary, merges = _learnt_bpe(CLIPTokenizer(), ["<|startoftext|>", "<|endoftext|>"], end_of_word_suffix="</w>")
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def _qwen_tokenizer() -> Qwen2Tokenizer:
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary, merges = _learnt_bpe(Qwen2Tokenizer(), specials)
    extra = {"additional_special_tokens": specials[1:], "model_max_length": 2048}
    return Qwen2Tokenizer(vocab=vocabulary, merges=merges, chat_template=_CHAT, **extra)


def _t5_tokenizer() -> T5Tokenizer:
    blank = T5Tokenizer()
    trainer = UnigramTrainer(vocab_size=200, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False)
    blank.backend_tokenizer.train_from_iterator(_CORPUS, trainer)
    model = json.loads(blank.backend_tokenizer.to_str())["model"]
    return T5Tokenizer(vocab=[(piece, score) for piece, score in model["vocab"]], model_max_length=512)


def _learnt_bpe(blank: Any, specials: list[str], **options: Any) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges over the corpus, with the tokenizer's own normalizer and pre-tokenizer; every byte is known."""
    trainer = BpeTrainer(
        vocab_size=400, special_tokens=specials, initial_alphabet=ByteLevel.alphabet(), show_progress=False, **options
    )
    blank.backend_tokenizer.train_from_iterator(_CORPUS, trainer)
    model = json.loads(blank.backend_tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def _clip_config(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=16,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _qwen3_config(tokenizer: Qwen2Tokenizer, layers: int) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        pad_token_id=tokenizer.pad_token_id,
    )
