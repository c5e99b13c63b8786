"""The forecast of a step against the step itself: on the meta device from a config, and on the CPU with weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tests.training.tiny import tiny_pipeline
from training.adapter import inject
from training.conditioning import Conditioning
from training.denoise import predict, record
from training.families import FAMILIES
from training.forecast.bases import Part
from training.forecast.calls import LONGISH, Arguments, Setting, arguments_for, text_tokens
from training.forecast.study import _balance_experts, latent_cell
from training.forecast.trace import _meter, _weights, trace_peak, trace_step
from training.latents import encode

SIDE = 32
CAPTION = "two white birds above the sea"
TEXTS = ("encoder_hidden_states", "encoder_hidden_states_t5", "text_bth")  # arguments of shape [1, tokens, ...]


@cache
def recorded(family: str) -> Conditioning:
    return record(tiny_pipeline(family), FAMILIES[family], CAPTION, SIDE, SIDE)


def made(family: str, conditioning: Conditioning) -> Arguments:
    """The call as the forecast makes it from config and text length."""
    pipe = tiny_pipeline(family)
    denoiser = getattr(pipe, FAMILIES[family].denoiser)
    cells = SIDE // latent_cell(pipe.vae)
    kind = type(denoiser).__name__
    text, mask = length(conditioning.arguments), conditioning.arguments.get("encoder_attention_mask")
    words = None if mask is None else int(mask.sum())
    setting = Setting(config=denoiser.config, batch=1, height=cells, width=cells, text=text, words=words, dtype=torch.float32)
    return arguments_for(kind, setting)


def length(arguments: Mapping[str, Any]) -> int:
    """Tokens of the recorded caption, padding included."""
    text = next((arguments[name][0] for name in TEXTS if name in arguments), None)
    return len(arguments["cap_feats"][0] if text is None else text)


def with_adapter(family: str) -> nn.Module:
    denoiser = copy.deepcopy(getattr(tiny_pipeline(family), FAMILIES[family].denoiser))
    inject(denoiser, FAMILIES[family], rank=4, alpha=4, seed=0)
    return denoiser


def weightless(family: str) -> nn.Module:
    """The denoiser from its config alone, adapter in it."""
    denoiser = getattr(tiny_pipeline(family), FAMILIES[family].denoiser)
    made = Part(library="diffusers", kind=type(denoiser).__name__, config=dict(denoiser.config)).build()
    with torch.device("meta"):
        inject(made, FAMILIES[family], rank=4, alpha=4, seed=0)
    _balance_experts(made)
    return made


def kept_by_autograd(denoiser: nn.Module, answer: Callable[[], Tensor]) -> int:
    """Bytes of the storages that a real forward saves for its backward, weights not counted."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in denoiser.parameters()}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = answer()
    assert loss.requires_grad
    return sum(tensor.untyped_storage().nbytes() for place, tensor in saved.items() if place not in weights)


def shapes(node: Any) -> Any:
    if isinstance(node, Tensor):
        return tuple(node.shape)
    if isinstance(node, dict):
        return {key: shapes(value) for key, value in node.items() if not is_nothing(value)}
    return [shapes(value) for value in node] if isinstance(node, (list, tuple)) else node


def is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(map(is_nothing, value.values())))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_call_made_from_a_config_has_the_shapes_that_the_pipeline_records(family: str) -> None:
    conditioning = recorded(family)
    apart = {conditioning.wiring.latents, conditioning.wiring.timestep, "return_dict"}
    call = {name: node for name, node in made(family, conditioning).items() if name not in apart}
    if conditioning.arguments.get("guidance") is None and "guidance" in call:
        call["guidance"] = None  # only weights that take guidance as an input read it
    assert shapes(call) == shapes({name: node for name, node in conditioning.arguments.items() if name not in apart})


@pytest.mark.parametrize("family", FAMILIES)
def test_saved_activations_are_forecast_within_a_twentieth_of_what_autograd_keeps(family: str) -> None:
    conditioning, pipe = recorded(family), tiny_pipeline(family)
    forecast = trace_step(weightless(family), made(family, conditioning))
    denoiser = with_adapter(family)
    latents = torch.randn(encode(pipe, FAMILIES[family], torch.zeros(1, 3, SIDE, SIDE)).shape)
    measured = kept_by_autograd(
        denoiser, lambda: predict(denoiser, FAMILIES[family], latents, torch.tensor([500.0]), conditioning).square().mean()
    )
    assert forecast.saved_bytes == pytest.approx(measured, rel=0.05)
    assert forecast.saved_bytes > 100_000


@pytest.mark.parametrize("family", ["sd15", "z-image"])
def test_kept_bytes_are_what_lives_after_a_forward_with_checkpointing(family: str) -> None:
    conditioning, denoiser = recorded(family), weightless(family)
    forecast = trace_step(denoiser, made(family, conditioning))
    denoiser.enable_gradient_checkpointing()  # type: ignore[operator]
    with _meter(_weights(denoiser)) as meter:
        answer = denoiser(**made(family, conditioning))
    assert answer is not None  # its graph is what holds them
    assert meter.alive == pytest.approx(forecast.kept_bytes, rel=0.1)
    assert forecast.kept_bytes < 0.6 * forecast.saved_bytes
    assert forecast.largest_block_bytes < forecast.saved_bytes
    assert forecast.block_flops <= forecast.forward_flops


def test_operations_are_those_of_torchs_own_counter() -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 16), nn.Linear(16, 4))

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model()

        def forward(self, picture: Tensor) -> tuple[Tensor]:
            return (self.inner(picture),)

    picture = torch.randn(2, 3, 8, 8)
    with FlopCounterMode(display=False) as counter:
        Wrapped()(picture)[0].square().mean().backward()
    with torch.device("meta"):
        trace = trace_step(Wrapped(), {"picture": picture.to("meta")})
    assert trace.forward_flops + trace.backward_flops == counter.get_total_flops()
    assert trace.block_flops == 0  # nothing here can be checkpointed
    assert trace.kept_bytes == trace.saved_bytes


def test_a_frozen_base_costs_no_weight_gradients() -> None:
    trace = trace_step(weightless("flux.1"), made("flux.1", recorded("flux.1")))
    assert 1.5 < trace.step_flops(checkpointing=False) / trace.forward_flops < 3  # 3 is what training all weights takes
    assert trace.step_flops(checkpointing=True) == trace.step_flops(checkpointing=False) + trace.block_flops


def test_attention_is_counted_without_its_scores_and_with_its_products() -> None:
    class Attention(nn.Module):
        def forward(self, states: Tensor) -> tuple[Tensor]:
            return (torch.nn.functional.scaled_dot_product_attention(states, states, states),)

    tokens, width = 256, 16
    states = torch.empty(1, 2, tokens, width, device="meta", requires_grad=True)
    trace = trace_step(Attention(), {"states": states})
    assert trace.forward_flops == 2 * 2 * (2 * tokens * tokens * width)
    assert trace.backward_flops == 2 * trace.forward_flops
    assert trace.saved_bytes < tokens * tokens * 4


def test_a_peak_without_gradients_counts_what_lives_at_once() -> None:
    layers = nn.Sequential(*(nn.Linear(64, 64, bias=False, device="meta") for _ in range(5)))
    assert (
        trace_peak(layers, lambda: layers(torch.empty(100, 64, device="meta"))) == 3 * 100 * 64 * 4
    )  # input, output, the one between


def test_experts_share_evenly() -> None:
    trace = trace_step(weightless("hidream"), made("hidream", recorded("hidream")))
    assert trace.step_flops(checkpointing=False) > trace.forward_flops > 0


def test_text_that_is_masked_is_skipped_where_the_denoiser_skips_it() -> None:
    conditioning = recorded("lumina-2")
    call = made("lumina-2", conditioning)
    whole = {**call, "encoder_attention_mask": torch.ones_like(call["encoder_attention_mask"])}
    assert trace_step(weightless("lumina-2"), whole).saved_bytes > 1.2 * trace_step(weightless("lumina-2"), call).saved_bytes


def test_captions_are_as_long_as_the_pipeline_pads_them() -> None:
    assert text_tokens("FluxTransformer2DModel", 7) == 512
    assert text_tokens("QwenImageTransformer2DModel", 7) == 7
    assert text_tokens("QwenImageTransformer2DModel") == LONGISH


def test_autocast_is_as_it_was_after_a_trace() -> None:
    before = torch.autocast
    trace_step(weightless("ernie-image"), made("ernie-image", recorded("ernie-image")))
    assert torch.autocast is before
