"""Pictures to the latents that `scheduler.step` sees, and back: every codec is (z - mean) / std, every packing a reshape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

from training.families import Codec, Family, Packing


def posterior(pipe: Any, family: Family, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Mean and standard deviation of the VAE's posterior, both in step layout, so that its noise can stay fresh.

    `pixels` [B, 3, H, W] in [-1, 1]; H and W multiples of `family.multiple` (of what the VAE and the packing need, at least).
    A plain autoencoder has no deviation: None.
    """
    with _full_precision(pipe.vae) as vae, torch.no_grad():
        picture = _opaque(vae, pixels.to(vae.device, vae.dtype))
        encoded = vae.encode(picture.unsqueeze(2) if family.frames else picture)
        centre, spread = CODECS[family.codec](vae)
        pack = PACKINGS[family.packing][0]
        belief = getattr(encoded, "latent_dist", None)
        if belief is None:
            return pack((_grid(family, encoded.latent) - centre) / spread), None
        return pack((_grid(family, belief.mean) - centre) / spread), pack(_grid(family, belief.std) / spread)


def encode(pipe: Any, family: Family, pixels: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Latents in step layout for `pixels` [B, 3, H, W] in [-1, 1]: a posterior sample, or its mode without a generator."""
    mean, std = posterior(pipe, family, pixels)
    if generator is None or std is None:
        return mean
    noise = torch.randn(mean.shape, generator=generator, device=generator.device, dtype=mean.dtype)
    return mean + std * noise.to(mean.device)


def decode(pipe: Any, family: Family, latents: Tensor, height: int, width: int) -> Tensor:
    """Pixels [B, 3, height, width] for latents in step layout; nominally in [-1, 1], not clamped."""
    with _full_precision(pipe.vae) as vae, torch.no_grad():
        centre, spread = CODECS[family.codec](vae)
        grid = _unpack(pipe, family, latents, height, width).to(vae.device, vae.dtype) * spread + centre
        if family.codec in _FOLDED:
            grid = pixel_shuffle(grid, 2)
        pixels: Tensor = vae.decode(grid.unsqueeze(2) if family.frames else grid, return_dict=False)[0]
        return (pixels[:, :, 0] if family.frames else pixels)[:, :3]


def as_pipeline_input(pipe: Any, family: Family, latents: Tensor, height: int, width: int) -> Tensor:
    """Step-layout latents in the layout that the pipeline's own `latents=` argument takes."""
    return latents if family.starts_from == "step" else _unpack(pipe, family, latents, height, width)


def _scale(vae: Any) -> tuple[Tensor, Tensor]:
    return _channels(vae, [0.0]), _channels(vae, [1 / vae.config.scaling_factor])


def _shift_scale(vae: Any) -> tuple[Tensor, Tensor]:
    return _channels(vae, [vae.config.shift_factor]), _channels(vae, [1 / vae.config.scaling_factor])


def _mean_std(vae: Any) -> tuple[Tensor, Tensor]:
    return _channels(vae, vae.config.latents_mean), _channels(vae, vae.config.latents_std)


def _scale_or_mean_std(vae: Any) -> tuple[Tensor, Tensor]:
    """Some relatives (Playground v2.5) whiten each channel first; the pipeline decides by the VAE's config, and so do we."""
    if vae.config.get("latents_mean") is None or vae.config.get("latents_std") is None:
        return _scale(vae)
    mean, std = _mean_std(vae)
    return mean, std / vae.config.scaling_factor


def _batch_norm(vae: Any) -> tuple[Tensor, Tensor]:
    """Statistics over 2x2 patches, kept in the VAE's batch norm."""
    variance = vae.bn.running_var.view(1, -1, 1, 1)
    return vae.bn.running_mean.view(1, -1, 1, 1), (variance + vae.config.batch_norm_eps).sqrt()


def _batch_norm_1e5(vae: Any) -> tuple[Tensor, Tensor]:
    """The same where the pipeline takes an epsilon of its own, whatever the VAE's is."""
    variance = vae.bn.running_var.view(1, -1, 1, 1)
    return vae.bn.running_mean.view(1, -1, 1, 1), (variance + 1e-5).sqrt()


def _channels(vae: Any, values: list[float]) -> Tensor:
    return torch.tensor(values, device=vae.device, dtype=vae.dtype).view(1, -1, 1, 1)


def _to_tokens(grid: Tensor) -> Tensor:
    return grid.flatten(2).transpose(1, 2)


def _to_grid(tokens: Tensor, height: int, width: int) -> Tensor:
    return tokens.transpose(1, 2).reshape(len(tokens), -1, height, width)


CODECS: Mapping[Codec, Callable[[Any], tuple[Tensor, Tensor]]] = {
    "scale": _scale,
    "scale_or_mean_std": _scale_or_mean_std,
    "shift_scale": _shift_scale,
    "mean_std": _mean_std,
    "batch_norm": _batch_norm,
    "batch_norm_1e-5": _batch_norm_1e5,
}
_FOLDED = frozenset({"batch_norm", "batch_norm_1e-5"})  # codecs whose statistics are over 2x2 patches

# packing -> (grid to step layout, step layout to grid given the grid's height and width)
PACKINGS: Mapping[Packing, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, int, int], Tensor]]] = {
    "none": (lambda grid: grid, lambda latents, height, width: latents),
    "frame_last": (lambda grid: grid.movedim(1, -1).unsqueeze(1), lambda latents, height, width: latents.squeeze(1).movedim(-1, 1)),
    "tokens": (_to_tokens, _to_grid),
    "tokens_2x2": (
        lambda grid: _to_tokens(pixel_unshuffle(grid, 2)),
        lambda tokens, height, width: pixel_shuffle(_to_grid(tokens, height // 2, width // 2), 2),
    ),
}


def _grid(family: Family, encoded: Tensor) -> Tensor:
    grid = encoded[:, :, 0] if family.frames else encoded
    return pixel_unshuffle(grid, 2) if family.codec in _FOLDED else grid


def _opaque(vae: Any, picture: Tensor) -> Tensor:
    """Some VAEs read a fourth channel, how opaque a picture is: ours are, everywhere."""
    return pad(picture, (0, 0, 0, 0, 0, 1), value=1.0) if vae.config.get("in_channels") == 4 else picture


def _unpack(pipe: Any, family: Family, latents: Tensor, height: int, width: int) -> Tensor:
    side = _scale_factor(pipe) * (2 if family.codec in _FOLDED else 1)
    return PACKINGS[family.packing][1](latents, height // side, width // side)


def _scale_factor(pipe: Any) -> int:
    """Pixels along a side of one latent; video pipelines tell it apart from their scale in time."""
    return int(getattr(pipe, "vae_scale_factor", None) or pipe.vae_scale_factor_spatial)


@contextmanager
def _full_precision(vae: Any) -> Iterator[Any]:
    """Some VAEs overflow in float16 and say so (`force_upcast`); they work in float32 for the while."""
    if vae.dtype != torch.float16 or not vae.config.get("force_upcast"):
        yield vae
        return
    vae.to(torch.float32)
    try:
        yield vae
    finally:
        vae.to(torch.float16)
