"""Train the embedded base: a Z-Image denoiser with a small Qwen3 text encoder, on flat emoji of animals, plants, food and drink.

    python denoiser.py --packages packages --out work [--steps 4000] [--threads 2]     (after autoencoder.py)

Flow matching on latents; caption dropout for guidance. Batches are a function of the step: stop it anywhere, start it again.
The learning rate is constant, then falls to zero over the last fifth. The weights saved are the moving average, in float16.
"""

import argparse
import json
import time
from pathlib import Path

import state
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from pictures import ANIMALS_AND_NATURE, FOOD_AND_DRINK, Emoji, as_array, emojis
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

TEXT_WIDTH, WIDTH, LAYERS, LATENT = 160, 192, 6, 8


def build_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """WordPiece over the emoji names and tags; the chat template is the bare prompt."""
    model = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    model.normalizer = normalizers.Lowercase()
    model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    model.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=2048, special_tokens=["[PAD]", "[UNK]", "[BOS]"]))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="[PAD]", unk_token="[UNK]", bos_token="[BOS]", model_max_length=64, padding_side="right"
    )
    tokenizer.chat_template = "[BOS] {{ messages[0]['content'] }}"
    return tokenizer


class Base(nn.Module):
    """Text encoder and denoiser, trained together."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.text_encoder = Qwen3Model(
            Qwen3Config(
                vocab_size=len(tokenizer),
                hidden_size=TEXT_WIDTH,
                intermediate_size=416,
                num_hidden_layers=3,
                num_attention_heads=4,
                num_key_value_heads=4,
                head_dim=40,
                max_position_embeddings=128,
                pad_token_id=0,
            )
        )
        self.transformer = ZImageTransformer2DModel(
            in_channels=LATENT,
            dim=WIDTH,
            n_layers=LAYERS,
            n_refiner_layers=1,
            n_heads=WIDTH // 48,
            n_kv_heads=WIDTH // 48,
            cap_feat_dim=TEXT_WIDTH,
            axes_dims=[16, 16, 16],
            axes_lens=[1024, 64, 64],
        )

    def encode(self, captions: list[str]) -> list[Tensor]:
        """What `ZImagePipeline` feeds the denoiser: the last hidden state but one, padding cut off."""
        batch = self.tokenizer([f"[BOS] {caption}" for caption in captions], padding=True, return_tensors="pt")
        seen = self.text_encoder(batch.input_ids, attention_mask=batch.attention_mask, output_hidden_states=True)
        return [row[mask] for row, mask in zip(seen.hidden_states[-2], batch.attention_mask.bool(), strict=True)]

    def forward(self, clean: Tensor, noise: Tensor, sigma: Tensor, captions: list[str]) -> Tensor:
        """Flow-matching loss a sample. clean, noise [B, C, H, W]; sigma [B] in (0, 1)."""
        mix = sigma.view(-1, 1, 1, 1)
        noisy = (1 - mix) * clean + mix * noise
        velocity = self.transformer(list(noisy.unsqueeze(2)), 1 - sigma, self.encode(captions), return_dict=False)[0]
        return (-torch.stack(velocity).squeeze(2).float() - (noise - clean)).square().flatten(1).mean(1)


def caption(emoji: Emoji, g: torch.Generator) -> str:
    """The name; sometimes with tags; sometimes nothing, for classifier-free guidance."""
    draw = float(torch.rand((), generator=g))
    if draw < 0.1:
        return ""
    if draw < 0.25 and emoji.tags:
        chosen = torch.randperm(len(emoji.tags), generator=g)[:3]
        return " ".join([emoji.name, *(emoji.tags[int(i)] for i in chosen)])
    return emoji.name


@torch.no_grad()
def stable_loss(base: Base, latents: Tensor, names: list[str]) -> float:
    """Loss at fixed noise and evenly spread sigmas, so that two checkpoints can be compared."""
    g = torch.Generator().manual_seed(1)
    noise, sigma = torch.randn(latents.shape, generator=g), torch.linspace(0.05, 0.95, len(latents))
    parts = [base(latents[i : i + 40], noise[i : i + 40], sigma[i : i + 40], names[i : i + 40]) for i in range(0, len(latents), 40)]
    return float(torch.cat(parts).mean())


@torch.no_grad()
def encoded(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Normalised latents [N, C, H, W]."""
    latents: Tensor = torch.cat([vae.encode(part).latent_dist.mode() for part in torch.split(pictures, 64)])
    normalised: Tensor = (latents - vae.config.shift_factor) * vae.config.scaling_factor
    return normalised


def train(base: Base, latents: Tensor, chosen: list[Emoji], checkpoint: Path, steps: int, batch: int) -> None:
    """Leaves the moving average in `base`. latents [N, C, H, W]."""
    parameters = dict(base.named_parameters())
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01)
    ema = {name: value.detach().clone() for name, value in parameters.items()}
    begun = state.load(checkpoint, base, optimizer, ema)
    clock, losses = time.monotonic(), []
    for step in range(begun, steps):
        g = torch.Generator().manual_seed(step)
        rate = 1e-3 * min(1, (step + 1) / 200) * min(1, (steps - step) / (0.2 * steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        rows = torch.randint(len(chosen), (batch,), generator=g)
        captions = [caption(chosen[int(row)], g) for row in rows]
        clean = latents[rows]
        noise, sigma = torch.randn(clean.shape, generator=g), torch.sigmoid(torch.randn(batch, generator=g))
        with torch.autocast("cpu", torch.bfloat16):
            velocity_loss = base(clean, noise, sigma, captions)
        loss = velocity_loss.float().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        decay = min(0.999, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in parameters.items():
                ema[name].lerp_(value, 1 - decay)
        if (step + 1) % 100 == 0:
            speed = (step + 1 - begun) * batch / (time.monotonic() - clock)
            print(f"{step + 1}/{steps} loss {sum(losses[-100:]) / len(losses[-100:]):.4f} {speed:.1f} pictures/s", flush=True)
        if (step + 1) % 200 == 0 or step + 1 == steps:
            state.save(checkpoint, step + 1, base, optimizer, ema)
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(ema[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    every = emojis(arguments.packages)
    chosen = [emoji for emoji in every if emoji.group in (ANIMALS_AND_NATURE, FOOD_AND_DRINK)]
    vae = AutoencoderKL.from_pretrained(arguments.out / "vae").eval()
    latents = encoded(vae, torch.from_numpy(as_array([emoji.flat for emoji in chosen])))
    base = Base(build_tokenizer([text for emoji in every for text in (emoji.name, " ".join(emoji.tags))]))
    train(base, latents, chosen, arguments.out / "denoiser.safetensors", arguments.steps, arguments.batch)
    for part in (base.text_encoder, base.transformer):
        print(f"{type(part).__name__}: {sum(value.numel() for value in part.parameters()) / 1e6:.1f} M parameters")
    print(f"stable loss on {len(chosen)} names: {stable_loss(base, latents, [emoji.name for emoji in chosen]):.4f}")
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0, use_dynamic_shifting=False)
    pipeline = ZImagePipeline(scheduler, vae, base.text_encoder, base.tokenizer, base.transformer)
    pipeline.to(torch.float16).save_pretrained(arguments.out / "base")
    for file in (arguments.out / "base").glob("*/config.json"):  # where the parts lay is nobody's business
        config = {key: value for key, value in json.loads(file.read_text()).items() if key != "_name_or_path"}
        file.write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
