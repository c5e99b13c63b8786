"""The arguments of one denoiser call, as shapes made from its config: what a recording would hold, before anything is downloaded.

One row a diffusers class. Floating-point inputs live on the meta device; ids and masks are real, since denoisers count in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.errors import BaseModelError

Arguments = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """A batch of pictures before a denoiser: its config, the latents' sides in cells of the VAE's grid, text length in tokens."""

    config: Mapping[str, Any]
    batch: int
    height: int
    width: int
    text: int
    words: int | None = None  # tokens of the caption itself, where the pipeline pads and masks the rest; None: nothing is masked
    dtype: torch.dtype
    device: str = "meta"

    @property
    def tokens(self) -> int:
        """Picture tokens of 2 x 2 cells."""
        return self.height // 2 * (self.width // 2)

    def states(self, *shape: int) -> Tensor:
        """One entry a picture, in the denoiser's precision."""
        return self._empty(self.batch, *shape)

    def clock(self) -> Tensor:
        """A timestep a picture."""
        return torch.empty(self.batch, device=self.device)

    def ids(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return torch.zeros(shape, dtype=dtype or self.dtype)

    def mask(self, length: int, dtype: torch.dtype) -> Tensor:
        """One where there is something."""
        return torch.ones(self.batch, length, dtype=dtype)

    def words_mask(self) -> Tensor:
        """True at the caption's own tokens."""
        return (torch.arange(self.text) < (self.text if self.words is None else self.words)).expand(self.batch, -1)

    def _empty(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=self.dtype, device=self.device)


def arguments_for(denoiser: str, setting: Setting) -> Arguments:
    """The call of a denoiser class; BaseModelError for a class that has no row here."""
    return _row(denoiser).call(setting)


def text_tokens(denoiser: str, given: int | None = None) -> int:
    """Text length in tokens: what the pipeline pads to, or for pipelines that do not pad, `given` or a longish caption."""
    row = _row(denoiser)
    return row.text if row.text is not None else given or LONGISH


LONGISH = 128  # tokens of a caption, where the pipeline pads none


@dataclass(frozen=True, slots=True)
class _Call:
    call: Callable[[Setting], Arguments]
    text: int | None  # tokens that the pipeline pads every caption to; None where it does not


def _row(denoiser: str) -> _Call:
    if denoiser not in _CALLS:
        raise BaseModelError(f"no forecast for the denoiser {denoiser!r}: its call is not in training/forecast/calls.py")
    return _CALLS[denoiser]


def _unet(at: Setting) -> Arguments:
    extra = None
    if at.config.get("addition_embed_type") == "text_time":
        pooled = at.config["projection_class_embeddings_input_dim"] - 6 * at.config["addition_time_embed_dim"]
        extra = {"text_embeds": at.states(pooled), "time_ids": at.states(6)}
    return {
        "sample": at.states(at.config["in_channels"], at.height, at.width),
        "timestep": at.clock(),
        "encoder_hidden_states": at.states(at.text, at.config["cross_attention_dim"]),
        "added_cond_kwargs": extra,
        "return_dict": False,
    }


def _grid(at: Setting) -> Tensor:
    return at.states(at.config["in_channels"], at.height, at.width)


def _flux1(at: Setting) -> Arguments:
    return _chroma(at, masked=False) | {"pooled_projections": at.states(at.config["pooled_projection_dim"]), "guidance": at.clock()}


def _chroma(at: Setting, *, masked: bool = True) -> Arguments:
    mask = {"attention_mask": at.mask(at.text + at.tokens, at.dtype)} if masked else {}
    return mask | {
        "hidden_states": at.states(at.tokens, at.config["in_channels"]),
        "timestep": at.clock(),
        "encoder_hidden_states": at.states(at.text, at.config["joint_attention_dim"]),
        "txt_ids": at.ids(at.text, 3),
        "img_ids": at.ids(at.tokens, 3),
        "return_dict": False,
    }


def _ovis(at: Setting) -> Arguments:
    return _chroma(at, masked=False)


def _longcat(at: Setting) -> Arguments:
    return _chroma(at, masked=False) | {"guidance": None}


def _flux2(at: Setting) -> Arguments:
    return {
        "hidden_states": at.states(at.tokens, at.config["in_channels"]),
        "timestep": at.clock(),
        "encoder_hidden_states": at.states(at.text, at.config["joint_attention_dim"]),
        "txt_ids": at.ids(at.batch, at.text, 4, dtype=torch.int64),
        "img_ids": at.ids(at.batch, at.tokens, 4, dtype=torch.int64),
        "guidance": at.clock() if at.config["guidance_embeds"] else None,
        "return_dict": False,
    }


def _qwen(at: Setting) -> Arguments:
    return {
        "hidden_states": at.states(at.tokens, at.config["in_channels"]),
        "timestep": at.clock(),
        "encoder_hidden_states": at.states(at.text, at.config["joint_attention_dim"]),
        "encoder_hidden_states_mask": None,
        "img_shapes": [[(1, at.height // 2, at.width // 2)]] * at.batch,
        "return_dict": False,
    }


def _z_image(at: Setting) -> Arguments:
    return {
        "x": list(_grid(at).unsqueeze(2).unbind(0)),
        "t": at.clock(),
        "cap_feats": list(at.states(at.text, at.config["cap_feat_dim"]).unbind(0)),
        "return_dict": False,
    }


def _sd3(at: Setting) -> Arguments:
    return {
        "hidden_states": _grid(at),
        "timestep": at.clock(),
        "encoder_hidden_states": at.states(at.text, at.config["joint_attention_dim"]),
        "pooled_projections": at.states(at.config["pooled_projection_dim"]),
        "return_dict": False,
    }


def _sana(at: Setting) -> Arguments:
    return {
        "hidden_states": _grid(at),
        "timestep": at.clock(),
        "encoder_hidden_states": at.states(at.text, at.config["caption_channels"]),
        "encoder_attention_mask": at.mask(at.text, torch.int64),
        "return_dict": False,
    }


def _pixart(at: Setting) -> Arguments:
    return _sana(at) | {"added_cond_kwargs": {"resolution": None, "aspect_ratio": None}}


def _lumina2(at: Setting) -> Arguments:
    return {
        "hidden_states": _grid(at),
        "timestep": at.clock(),
        "encoder_hidden_states": at.states(at.text, at.config["cap_feat_dim"]),
        "encoder_attention_mask": at.words_mask(),
        "return_dict": False,
    }


def _auraflow(at: Setting) -> Arguments:
    return {
        "hidden_states": _grid(at),
        "timestep": at.clock(),
        "encoder_hidden_states": at.states(at.text, at.config["joint_attention_dim"]),
        "return_dict": False,
    }


def _cogview4(at: Setting) -> Arguments:
    sizes = {name: at.states(2) for name in ("original_size", "target_size", "crop_coords")}
    return sizes | {
        "hidden_states": _grid(at),
        "timestep": at.clock(),
        "encoder_hidden_states": at.states(at.text, at.config["text_embed_dim"]),
        "return_dict": False,
    }


def _krea2(at: Setting) -> Arguments:
    return {
        "hidden_states": at.states(at.tokens, at.config["in_channels"]),
        "timestep": at.clock(),
        "encoder_hidden_states": at.states(at.text, at.config["num_text_layers"], at.config["text_hidden_dim"]),
        "position_ids": at.ids(at.text + at.tokens, 3, dtype=torch.float32),
        "encoder_attention_mask": at.mask(at.text, torch.bool),
        "return_dict": False,
    }


def _kandinsky5(at: Setting) -> Arguments:
    sides = (1, at.height // 2, at.width // 2)
    return {
        "hidden_states": at.states(1, at.height, at.width, at.config["in_visual_dim"]),
        "timestep": at.clock(),
        "encoder_hidden_states": at.states(at.text, at.config["in_text_dim"]),
        "pooled_projections": at.states(at.config["in_text_dim2"]),
        "visual_rope_pos": [torch.arange(side) for side in sides],
        "text_rope_pos": torch.arange(at.text),
        "scale_factor": [1.0, 1.0, 1.0],
        "sparse_params": None,
    }


def _hidream(at: Setting) -> Arguments:
    t5, llama = at.config["caption_channels"]
    blocks = at.config["num_layers"] + at.config["num_single_layers"]
    layers = max(at.config["llama_layers"] or range(blocks)) + 1
    return {
        "hidden_states": _grid(at),
        "timesteps": at.clock(),
        "encoder_hidden_states_t5": at.states(at.text, t5),
        "encoder_hidden_states_llama3": at.states(layers, at.text, llama).transpose(0, 1),
        "pooled_embeds": at.states(at.config["text_emb_dim"]),
        "return_dict": False,
    }


def _ernie(at: Setting) -> Arguments:
    return {
        "hidden_states": at.states(at.config["in_channels"], at.height // 2, at.width // 2),
        "timestep": at.clock(),
        "text_bth": at.states(at.text, at.config["text_in_dim"]),
        "text_lens": torch.full((at.batch,), at.text),
        "return_dict": False,
    }


def _qwen21(at: Setting) -> Arguments:
    slots = at.tokens  # of the encoder's sequence, each for 2 x 2 tokens of the picture
    return {
        "hidden_states": at.states(at.height * at.width, at.config["in_channels"]),
        "timestep": at.clock(),
        "encoder_hidden_states": at.states(at.text, at.config["context_in_dim"]),
        "encoder_hidden_states_mask": None,
        "img_shapes": [[(1, at.height, at.width)]] * at.batch,
        "img_mask": (torch.arange(at.text + slots) >= at.text).expand(at.batch, -1),
        "return_dict": False,
    }


_CALLS: Mapping[str, _Call] = {
    "UNet2DConditionModel": _Call(_unet, 77),
    "SD3Transformer2DModel": _Call(_sd3, 77 + 256),
    "FluxTransformer2DModel": _Call(_flux1, 512),
    "Flux2Transformer2DModel": _Call(_flux2, 512),
    "ChromaTransformer2DModel": _Call(_chroma, 512),
    "OvisImageTransformer2DModel": _Call(_ovis, 256),
    "LongCatImageTransformer2DModel": _Call(_longcat, 512),
    "QwenImageTransformer2DModel": _Call(_qwen, None),
    "ZImageTransformer2DModel": _Call(_z_image, None),
    "SanaTransformer2DModel": _Call(_sana, 300),
    "PixArtTransformer2DModel": _Call(_pixart, 300),
    "Lumina2Transformer2DModel": _Call(_lumina2, 256),
    "AuraFlowTransformer2DModel": _Call(_auraflow, 256),
    "CogView4Transformer2DModel": _Call(_cogview4, None),
    "Krea2Transformer2DModel": _Call(_krea2, 514),
    "Kandinsky5Transformer3DModel": _Call(_kandinsky5, None),
    "HiDreamImageTransformer2DModel": _Call(_hidream, 128),
    "ErnieImageTransformer2DModel": _Call(_ernie, None),
    "QwenImage21Transformer2DModel": _Call(_qwen21, None),
}
