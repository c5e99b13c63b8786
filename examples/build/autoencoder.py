"""Train the embedded base's autoencoder on flat Fluent emoji: f = 4, 8 latent channels, 1.4 M parameters.

    python autoencoder.py --packages packages --out work [--steps 7000] [--threads 2]

Batches are a function of the step, so a run that was stopped and started again ends where an unbroken one ends.
"""

import argparse
import math
import time
from pathlib import Path

import state
import torch
from diffusers import AutoencoderKL
from pictures import as_array, emojis
from torch import Tensor


def build() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 48, 96),
        layers_per_block=1,
        latent_channels=8,
        norm_num_groups=8,
        sample_size=64,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.0,
        scaling_factor=1.0,
    )


def augmented(batch: Tensor, g: torch.Generator) -> Tensor:
    """Mirrored, recoloured, lit from a side or softened: the decoder must also serve styles that it never saw."""
    if torch.rand((), generator=g) < 0.5:
        batch = batch.flip(3)
    if torch.rand((), generator=g) < 0.5:
        batch = batch[:, torch.randperm(3, generator=g)]
    if torch.rand((), generator=g) < 0.4:
        batch = lit(batch, g)
    if torch.rand((), generator=g) < 0.1:
        soft = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(batch, (2, 2, 2, 2), mode="replicate"), 5, 1)
        batch = (soft * torch.rand(len(batch), 1, 1, 1, generator=g) + batch * 0.5).clamp(-1, 1)
    return batch


def lit(batch: Tensor, g: torch.Generator) -> Tensor:
    """A soft light of a random colour and direction on each picture. batch [B, 3, S, S] in [-1, 1]."""
    line = torch.linspace(-1, 1, batch.shape[-1])
    angle = torch.rand(len(batch), 1, 1, generator=g) * 2 * math.pi
    ramp = angle.cos() * line + angle.sin() * line[:, None]
    colour = torch.randn(len(batch), 3, 1, 1, generator=g) * 0.25
    return ((batch + 1) * (1 + colour * ramp.unsqueeze(1)) - 1).clamp(-1, 1)


def reconstruction_loss(result: Tensor, target: Tensor) -> Tensor:
    """L1 + L2 + L1 of the image gradients."""
    edges = sum((result.diff(dim=axis) - target.diff(dim=axis)).abs().mean() for axis in (2, 3))
    return (result - target).abs().mean() + (result - target).square().mean() + 0.5 * edges


@torch.no_grad()
def psnr(vae: AutoencoderKL, pictures: Tensor) -> float:
    """Peak signal-to-noise ratio of encode -> decode, in dB."""
    result = torch.cat([vae.decode(vae.encode(part).latent_dist.mode()).sample for part in torch.split(pictures, 50)])
    return float(10 * torch.log10(4 / (result.clamp(-1, 1) - pictures).square().mean()))


def train(pictures: Tensor, checkpoint: Path, steps: int) -> AutoencoderKL:
    torch.manual_seed(0)
    vae = build()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=6e-4, betas=(0.9, 0.99), weight_decay=0.0)
    begun = state.load(checkpoint, vae, optimizer, {})
    clock = time.monotonic()
    for step in range(begun, steps):
        g = torch.Generator().manual_seed(step)
        for group in optimizer.param_groups:
            group["lr"] = 6e-4 * min(1, (step + 1) / 100) * (1 - step / steps) ** 0.7 + 1e-5
        batch = augmented(pictures[torch.randint(len(pictures), (8,), generator=g)], g)
        with torch.autocast("cpu", torch.bfloat16):  # 2.3 times the pictures a second
            mean = vae.encode(batch).latent_dist.mean.float()
            noise = torch.randn(mean.shape, generator=g) * 0.05 * mean.detach().std()
            result = vae.decode(mean + noise).sample.float()
        loss = reconstruction_loss(result, batch) + 1e-3 * mean.square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 3.0)
        optimizer.step()
        if (step + 1) % 500 == 0 or step + 1 == steps:
            state.save(checkpoint, step + 1, vae, optimizer, {})
            rate = (step + 1 - begun) * 8 / (time.monotonic() - clock)
            print(f"{step + 1}/{steps} loss {loss.item():.4f} {rate:.0f} pictures/s", flush=True)
    return vae


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    found = emojis(arguments.packages)
    flat = torch.from_numpy(as_array([emoji.flat for emoji in found]))
    vae = train(flat, arguments.out / "autoencoder.safetensors", arguments.steps).eval()
    with torch.no_grad():
        latents = torch.cat([vae.encode(part).latent_dist.mode() for part in torch.split(flat, 64)])
    vae.register_to_config(shift_factor=float(latents.mean()), scaling_factor=float(1 / latents.std()))
    vae.save_pretrained(arguments.out / "vae")
    solid = torch.from_numpy(as_array([emoji.solid for emoji in found[:: math.ceil(len(found) / 200)]]))
    print(f"{sum(value.numel() for value in vae.parameters()) / 1e6:.1f} M parameters")
    print(f"PSNR: flat {psnr(vae, flat[::7]):.1f} dB, 3D (never seen) {psnr(vae, solid):.1f} dB")


if __name__ == "__main__":
    main()
