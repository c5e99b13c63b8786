"""The last step, from latents to pixels: how it fits into memory, and that numbers come out of it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

_BUFFERS = 12  # layers' inputs and outputs that a decoder holds at once at full size, by its widest full-size layer
_CHANNELS = 128  # of that layer, where the configuration does not say it


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoding:
    """slicing: a call's pictures are decoded one by one, which changes nothing. tiling: in overlapping tiles, which does."""

    slicing: bool
    tiling: bool


def decoding(*, free: int, per_pixel: int, area: int, batch: int) -> Decoding:
    """The cheapest way that fits into `free` bytes, for a batch of pictures of `area` pixels at `per_pixel` bytes.

    Tiling depends on the picture alone, so that a picture is the same alone and in a batch.
    """
    one = area * per_pixel
    return Decoding(slicing=batch > 1 and batch * one > free, tiling=one > free)


def bytes_per_pixel(vae: Any) -> int:
    """What decoding one pixel holds at its peak, estimated from the decoder's width."""
    channels = (getattr(vae.config, "block_out_channels", None) or (_CHANNELS,))[0]
    return int(channels) * _BUFFERS * int(vae.dtype.itemsize)


def decode_so(vae: Any, how: Decoding) -> None:
    """Set the VAE so, as far as it knows these ways."""
    for wanted, name in ((how.slicing, "slicing"), (how.tiling, "tiling")):
        method = getattr(vae, f"{'enable' if wanted else 'disable'}_{name}", None)
        if method is not None:
            method()


@contextmanager
def only_numbers(vae: Any) -> Iterator[None]:
    """Let a call in which a decoded picture holds NaN or infinity fail with FloatingPointError.

    Halves overflow in some decoders, and diffusers would make such a picture black and hand it on with no more than a warning.
    """

    def check(_decoder: Any, _latents: Any, decoded: Any) -> None:
        if not bool(decoded.isfinite().all()):
            raise FloatingPointError("what was decoded is no picture: it holds NaN or infinity")

    hook = vae.decoder.register_forward_hook(check)  # before some VAEs clip what is infinite
    try:
        yield
    finally:
        hook.remove()


def precision_of(vae: Any) -> list[Any]:
    """The type of each of its weights and buffers."""
    return [tensor.dtype for tensor in chain(vae.parameters(), vae.buffers())]


def restore_precision(vae: Any, precision: Sequence[Any]) -> None:
    """Bring back the types of before: SDXL's image-to-image encodes in float32, and leaves it so where that fails half way.

    No value changes, since the wider type holds all of the narrower.
    """
    for tensor, dtype in zip(chain(vae.parameters(), vae.buffers()), precision, strict=True):
        if tensor.dtype != dtype:
            tensor.data = tensor.data.to(dtype)


def memory_for_pictures(device: Any) -> int:
    """Bytes that decoding may take: what is free on this GPU beside the models, or all of a machine without one."""
    if device.type != "cuda":
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    import torch

    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + int(cached)
