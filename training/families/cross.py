"""Transformers whose picture attends to itself and, in layers of their own, to the text."""

from __future__ import annotations

from typing import Any

from training.families.record import ATTENTION, Family


def _resolution(pipe: Any, height: int, width: int) -> dict[str, Any]:
    """Kandinsky draws at the resolution of a list that is nearest in shape."""
    return {"resolutions": [(width, height)]}


ROWS = (
    Family(
        name="pixart-sigma",
        pipeline="PixArtSigmaPipeline",
        denoiser="transformer",
        call={"guidance_scale": 1.0},
        # Pictures keep the size that is asked for, and captions their letters whatever cleaners happen to be installed.
        options={"use_resolution_binning": False, "clean_caption": False},
        codec="scale",
        packing="none",
        targets=rf"transformer_blocks\.\d+\.attn[12]\.{ATTENTION}",
        multiple=16,
        distilled=r"(?i)lcm|dmd",
        train_instead="PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
        steps=20,
        guidance=4.5,
        memory=2.7,
    ),
    Family(
        name="sana",
        pipeline="SanaPipeline",
        denoiser="transformer",
        call={"guidance_scale": 1.0},
        options={"use_resolution_binning": False},
        codec="scale",
        packing="none",
        targets=rf"transformer_blocks\.\d+\.attn[12]\.{ATTENTION}",
        multiple=32,
        distilled=r"(?i)sprint",
        train_instead="Efficient-Large-Model/SANA1.5_1.6B_1024px_diffusers",
        steps=20,
        guidance=4.5,
        shift=3.0,
        memory=4.4,
    ),
    Family(
        name="kandinsky-5",
        pipeline="Kandinsky5T2IPipeline",
        denoiser="transformer",
        call={"guidance_scale": 1.0},
        codec="scale",
        packing="frame_last",
        targets=r"(text|visual)_transformer_blocks\.\d+\.(self|cross)_attention\.(to_query|to_key|to_value|out_layer)",
        multiple=16,
        ragged=True,
        sized=_resolution,
        steps=50,
        guidance=3.5,
        memory=14.3,
    ),
)
