"""Parts that tiny pipelines share: autoencoders, schedulers, tokenizers trained on the spot, text encoder configurations."""

from __future__ import annotations

import json
from typing import Any

from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    UNet2DConditionModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer, UnigramTrainer
from transformers import (
    CLIPTextConfig,
    CLIPTokenizer,
    Gemma2Config,
    GemmaTokenizer,
    Qwen2_5_VLConfig,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3VLConfig,
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


def autoencoder(levels: int = 2, **config: Any) -> AutoencoderKL:
    """Sides shrink by 2 at each level but the first."""
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * levels, "up_block_types": ("UpDecoderBlock2D",) * levels}
    return AutoencoderKL(block_out_channels=(8,) * levels, norm_num_groups=4, layers_per_block=1, **blocks, **config)


def flux2_vae() -> AutoencoderKLFlux2:
    vae = AutoencoderKLFlux2(block_out_channels=(8, 8), latent_channels=4, norm_num_groups=4, layers_per_block=1, **two_blocks())
    vae.bn.running_mean.normal_()
    vae.bn.running_var.uniform_(0.5, 2.0)
    return vae


def two_blocks() -> dict[str, tuple[str, str]]:
    return {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}


def unet(**config: Any) -> UNet2DConditionModel:
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


def flow(**config: Any) -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(**config)


def diffusion(scheduler: type[Any]) -> Any:
    return scheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, **_unclipped(scheduler))


def _unclipped(scheduler: type[Any]) -> dict[str, bool]:
    return {"clip_sample": False} if scheduler is DDIMScheduler else {}


def clip_tokenizer() -> CLIPTokenizer:
    specials = ["<|startoftext|>", "<|endoftext|>"]
    vocabulary, merges = _learnt_bpe(CLIPTokenizer(), specials, end_of_word_suffix="</w>")
    # Tokens that end a word are numbered as a hash map has them, and ties among merges go by those numbers: order both.
    tokens = [*specials, *sorted(vocabulary.keys() - set(specials))]
    numbered = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=numbered, merges=sorted(merges, key=lambda pair: (len("".join(pair)), pair)), model_max_length=77)


def qwen_tokenizer(kind: type[Qwen2Tokenizer] = Qwen2Tokenizer, **options: Any) -> Any:
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary, merges = _learnt_bpe(Qwen2Tokenizer(), specials)
    extra = {"additional_special_tokens": specials[1:], "model_max_length": 2048}
    return kind(vocab=vocabulary, merges=merges, **{"chat_template": _CHAT, **extra, **options})


def begun_tokenizer(**options: Any) -> Qwen2Tokenizer:
    """One that puts a token before every text, as GLM's and Llama's do: an empty caption is not empty."""
    tokenizer = qwen_tokenizer(**options)
    start = "<|im_start|>"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{start} $A", special_tokens=[(start, tokenizer.convert_tokens_to_ids(start))]
    )
    return tokenizer


def t5_tokenizer() -> T5Tokenizer:
    blank = T5Tokenizer()
    trainer = UnigramTrainer(vocab_size=200, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False)
    blank.backend_tokenizer.train_from_iterator(_CORPUS, trainer)
    model = json.loads(blank.backend_tokenizer.to_str())["model"]
    specials, learnt = model["vocab"][:3], model["vocab"][3:]
    # Its sums are over a hash map: pieces and scores differ in their last digits and order from one process to the next.
    pieces = sorted((piece, round(score, 6)) for piece, score in learnt)
    return T5Tokenizer(vocab=[*((piece, score) for piece, score in specials), *pieces], model_max_length=512)


def gemma_tokenizer(*texts: str) -> GemmaTokenizer:
    """One that knows the words of `texts` as well, so that they are short in tokens."""
    letters = {"initial_alphabet": [chr(code) for code in range(33, 127)] + ["▁"], "vocab_size": 400 if not texts else 1200}
    vocabulary, merges = _learnt_bpe(GemmaTokenizer(), ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"], texts, **letters)
    return GemmaTokenizer(vocab=vocabulary, merges=merges, model_max_length=2048)


def _learnt_bpe(
    blank: Any, specials: list[str], texts: tuple[str, ...] = (), **options: Any
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges over the corpus, with the tokenizer's own normalizer and pre-tokenizer; every byte is known."""
    learnt = {"vocab_size": 400, "initial_alphabet": ByteLevel.alphabet(), **options}
    trainer = BpeTrainer(special_tokens=specials, show_progress=False, **learnt)
    blank.backend_tokenizer.train_from_iterator([*_CORPUS, *texts], trainer)
    model = json.loads(blank.backend_tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def clip_config(tokenizer: CLIPTokenizer, **config: Any) -> CLIPTextConfig:
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
        **config,
    )


def t5_encoder(tokenizer: T5Tokenizer, width: int = 16) -> T5EncoderModel:
    return T5EncoderModel(T5Config(vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2))


def gemma2_config(tokenizer: GemmaTokenizer) -> Gemma2Config:
    return Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        query_pre_attn_scalar=8,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


def qwen3_config(tokenizer: Qwen2Tokenizer, layers: int) -> Qwen3Config:
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


def qwen2_5_vl_config(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLConfig:
    text = _vl_text(tokenizer, layers=2)
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision)


def qwen3_vl_config(tokenizer: Qwen2Tokenizer, layers: int) -> Qwen3VLConfig:
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    text = {**_vl_text(tokenizer, layers), "head_dim": 8}
    return Qwen3VLConfig(text_config=text, vision_config={**vision, "deepstack_visual_indexes": [0], "num_position_embeddings": 16})


def _vl_text(tokenizer: Qwen2Tokenizer, layers: int) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.pad_token_id,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
    }


def qwen_image_vae() -> AutoencoderKLQwenImage:
    return AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2],
        num_res_blocks=1,
        temperal_downsample=[False],
        latents_mean=[-0.75, 0.125, 0.5, -0.25],
        latents_std=[2.75, 1.5, 2.25, 0.625],
    )
