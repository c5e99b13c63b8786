"""UNets with cross-attention to CLIP states; they predict noise."""

from __future__ import annotations

from training.families.record import ATTENTION, Family

ROWS = (
    Family(
        name="sd15",
        pipeline="StableDiffusionPipeline",
        denoiser="unet",
        call={"guidance_scale": 1.0},
        codec="scale",
        packing="none",
        targets=rf".*\.attn[12]\.{ATTENTION}",
        multiple=64,
        distilled=r"(?i)lcm|turbo|lightning|hyper",
        train_instead="stable-diffusion-v1-5/stable-diffusion-v1-5",
        steps=30,
        guidance=7.5,
        memory=2.9,
    ),
    Family(
        name="sdxl",
        pipeline="StableDiffusionXLPipeline",
        denoiser="unet",
        call={"guidance_scale": 1.0},
        codec="scale_or_mean_std",
        packing="none",
        targets=rf".*\.attn[12]\.{ATTENTION}",
        multiple=64,
        distilled=r"(?i)lcm|turbo|lightning|hyper",
        train_instead="stabilityai/stable-diffusion-xl-base-1.0",
        steps=30,
        guidance=5.0,
        memory=6.7,
    ),
)
