"""What a batch holds and what its loss is: masks, dropped captions, mirrored pictures, posterior noise, weights, the prior."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.runs import Run
from training import batches, losses, objective
from training.batches import Batch, Part, batcher
from training.config import TrainConfig
from training.data.cache import Example
from training.errors import ConfigError
from training.losses import asker

Make = Callable[..., TrainConfig]
CPU = torch.device("cpu")
WHOLE = Part(step=0, index=0, count=1)


@pytest.fixture
def square(examples: tuple[Example, ...]) -> tuple[Example, ...]:
    """Four examples of one bucket."""
    bucket = max({example.bucket for example in examples}, key=[example.bucket for example in examples].count)
    return tuple(example for example in examples if example.bucket == bucket)[:4]


@pytest.fixture
def batch_of(run: Callable[..., Run], make_config: Make) -> Callable[..., Batch]:
    family = run("any").base.family

    def made(examples: tuple[Example, ...], part: Part = WHOLE, **changes: Any) -> Batch:
        return batcher(examples, family, make_config(batch_size=len(examples), **changes), CPU)(range(len(examples)), part)

    return made


def losses_of(training: Run, batch: Batch, **changes: Any) -> Tensor:
    config = training.config.model_copy(update=changes)
    return asker(training.base.family, training.scheduler, config, CPU)(training.denoiser, batch, torch.Generator().manual_seed(1))


def test_the_parts_of_a_step_are_its_pictures_once_each() -> None:
    shares = [Part(step=3, index=index, count=2).of([4, 5, 6, 7]) for index in (0, 1)]
    assert shares == [[4, 6], [5, 7]]
    assert [Part(step=3, index=index, count=2).of([4, 5, 6]) for index in (0, 1)] == [[4, 6], [5, 4]]  # as many in each


def test_parts_have_noise_of_their_own_and_a_single_part_that_of_its_step() -> None:
    seeds = {
        part.generator(0, CPU).initial_seed() for part in (Part(step=step, index=i, count=2) for step in range(3) for i in range(2))
    }
    assert seeds == set(range(6))
    assert Part(step=5, index=0, count=1).generator(1, CPU).initial_seed() == (1 << 32) + 5


@pytest.mark.parametrize(("size", "parts"), [(1, 1), (2, 1), (4, 4), (8, 2), (3, 1)])
def test_noise_levels_are_stratified_over_parts_and_over_steps_of_small_batches(size: int, parts: int, make_config: Make) -> None:
    config = make_config(batch_size=size, gradient_accumulation=parts, seed=5)
    slots = -(-size // parts) * parts
    window = -(-batches.SPREAD // slots)
    for start in (0, window):
        drawn = [
            batches._uniform(slots // parts, Part(step=start + step, index=index, count=parts), config, CPU)
            for step in range(window)
            for index in range(parts)
        ]
        if window == parts == 1:
            assert drawn == [None]  # a batch that is large enough draws its own
            continue
        whole = torch.cat([levels for levels in drawn if levels is not None])
        count = slots * window
        assert sorted((whole * count).long().tolist()) == list(range(count))


def test_the_variance_of_a_small_batchs_levels_is_far_below_that_of_independent_draws(make_config: Make) -> None:
    """The mean level over eight steps of one picture, which is what an optimizer with momentum sees."""
    config = make_config(batch_size=1)
    windows = [
        torch.cat([batches._uniform(1, Part(step=8 * window + step, index=0, count=1), config, CPU) for step in range(8)]).mean()
        for window in range(64)
    ]
    independent = torch.rand(64, 8, generator=torch.Generator().manual_seed(0)).mean(1)
    assert torch.stack(windows).var() < 0.1 * independent.var()


def test_a_mask_says_what_counts(square: tuple[Example, ...], run: Callable[..., Run], batch_of: Callable[..., Batch]) -> None:
    training, plain = run("w"), batch_of(square)
    half = torch.zeros_like(square[0].mean)
    half[..., : half.shape[-1] // 2] = 2.0
    masked = batch_of((replace(square[0], mask=half), *square[1:]))
    assert masked.weights is not None
    whole, first = losses_of(training, plain), losses_of(training, masked)
    assert torch.equal(whole[1:], first[1:])  # the others have no mask: all of them counts
    assert first[0] != whole[0]
    even = batch_of(tuple(replace(example, mask=torch.ones_like(example.mean)) for example in square))
    assert torch.allclose(losses_of(training, even), whole)


def test_captions_are_dropped_in_the_share_asked_for(square: tuple[Example, ...], batch_of: Callable[..., Batch]) -> None:
    marked = tuple(replace(example, empty=replace(example.conditioning, shift=77.0)) for example in square[:1])
    dropped = [
        batch_of(marked, Part(step=step, index=0, count=1), caption_dropout=0.25).conditioning.shift == 77.0 for step in range(200)
    ]
    assert 30 < sum(dropped) < 70
    assert dropped == [
        batch_of(marked, Part(step=step, index=0, count=1), caption_dropout=0.25).conditioning.shift == 77.0 for step in range(200)
    ]
    assert batch_of(marked).conditioning.shift != 77.0


def test_a_symmetric_subject_is_mirrored_half_of_the_time(square: tuple[Example, ...], batch_of: Callable[..., Batch]) -> None:
    both = (replace(square[0], flipped=replace(square[0], mean=-square[0].mean)),)
    mirrored = [torch.equal(batch_of(both, Part(step=step, index=0, count=1)).mean[0], -square[0].mean) for step in range(200)]
    assert 70 < sum(mirrored) < 130


@pytest.mark.parametrize(("changes", "said"), [({"caption_dropout": 0.1}, "empty caption"), ({"prior_weight": 1.0}, "generic")])
def test_examples_that_lack_what_the_recipe_needs_are_named(
    changes: dict[str, Any], said: str, square: tuple[Example, ...], batch_of: Callable[..., Batch]
) -> None:
    with pytest.raises(ConfigError, match=said):
        batch_of(square, **changes)


@pytest.mark.parametrize(
    ("posterior", "spread", "sampled"),
    [("auto", 0.05, True), ("auto", 5.0, False), ("sample", 5.0, True), ("mode", 0.05, False)],
)
def test_posterior_noise_is_drawn_where_its_spread_was_trained(
    posterior: str,
    spread: float,
    sampled: bool,
    square: tuple[Example, ...],
    run: Callable[..., Run],
    batch_of: Callable[..., Batch],
) -> None:
    spreading = tuple(replace(example, std=torch.full_like(example.mean, spread)) for example in square)
    batch = batch_of(spreading, posterior=posterior)
    assert (batch.std is not None) == sampled
    training = run("w")
    plain = losses_of(training, batch_of(square, posterior="mode"))
    assert torch.equal(losses_of(training, batch), plain) != sampled


def test_a_dataset_without_spread_is_trained_on_its_modes(square: tuple[Example, ...], batch_of: Callable[..., Batch]) -> None:
    flat = tuple(replace(example, std=None) for example in square)
    assert batch_of(flat, posterior="sample").std is None


def test_the_base_itself_has_nothing_to_be_held_to(
    square: tuple[Example, ...], run: Callable[..., Run], batch_of: Callable[..., Batch]
) -> None:
    """Prior preservation is the distance to the base's own answer: zero before the first step, and more once the adapter moved."""
    training = run("w")
    held = tuple(replace(example, generic=square[0].conditioning) for example in square)
    batch = batch_of(held, prior_weight=2.0)
    assert torch.equal(losses_of(training, batch, prior_weight=2.0), losses_of(training, batch_of(square)))
    for index, parameter in enumerate(training.parameters.values()):
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(index))
    away = losses_of(training, batch, prior_weight=2.0) - losses_of(training, batch_of(square))
    twice = losses_of(training, batch, prior_weight=4.0) - losses_of(training, batch_of(square))
    assert (away > 0).all()
    assert torch.allclose(twice, 2 * away, rtol=1e-3)
    assert all(parameter.requires_grad for parameter in training.parameters.values())


def test_prior_preservation_keeps_the_adapter_near_the_base(
    square: tuple[Example, ...], run: Callable[..., Run], batch_of: Callable[..., Batch]
) -> None:
    held = tuple(replace(example, generic=example.conditioning) for example in square)
    recipe = {"examples": held, "steps": 20, "batch_size": 4, "learning_rate": 3e-2, "log_every": 100, "checkpoint_every": 100}
    free, kept = run("free", **recipe), run("kept", **recipe, prior_weight=100.0)
    plain = losses_of(run("plain"), batch_of(square))
    moved = []
    for training in (free, kept):
        training()
        moved.append((losses_of(training, batch_of(square)) - plain).abs().mean())
    assert moved[1] < 0.5 * moved[0]


@pytest.mark.parametrize("gamma", [0.5, 5.0])
def test_min_snr_weighs_an_error_of_the_picture_alike_in_every_objective(gamma: float) -> None:
    """An error e of the picture is an error of noise, v or velocity; the weighted loss is min(snr, gamma) e^2 in all three."""
    alpha_bars = torch.linspace(0.999, 0.001, 1000)
    timesteps = torch.tensor([10, 300, 700, 990])
    sigma = torch.tensor([0.05, 0.3, 0.6, 0.95])
    for kind in ("epsilon", "v", "flow"):
        snr = objective.signal_to_noise(kind, sigma, timesteps, alpha_bars)
        clean, noise, error = torch.randn(4, 3), torch.randn(4, 3), torch.randn(4, 3)
        noised, target = objective.question(kind, clean, noise, sigma, timesteps, alpha_bars)
        wrong = clean + error  # what the picture would be by a prediction that is off
        alpha_bar = alpha_bars[timesteps][:, None]
        implied = {
            "epsilon": (noised - alpha_bar.sqrt() * wrong) / (1 - alpha_bar).sqrt(),
            "v": (alpha_bar.sqrt() * noised - wrong) / (1 - alpha_bar).sqrt(),
            "flow": (noised - wrong) / sigma[:, None],
        }[kind]
        weighted = objective.min_snr(kind, snr, sigma, gamma) * objective.squared_error(implied, target)
        assert torch.allclose(weighted, snr.clamp(max=gamma) * error.square().mean(1), rtol=1e-3)


def test_huber_is_the_square_of_small_errors_and_linear_in_large_ones() -> None:
    zeros = torch.zeros(3)
    small, large = torch.tensor([1e-3, -2e-3, 3e-3]), torch.tensor([5.0, -5.0, 10.0])
    assert torch.allclose(objective.huber(small, zeros), objective.squared(small, zeros), rtol=1e-2)
    assert torch.allclose(objective.huber(large, zeros), 2 * objective.HUBER * large.abs(), rtol=0.05)


def test_noise_levels_are_shifted_as_the_conditioning_says(
    square: tuple[Example, ...], run: Callable[..., Run], batch_of: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Tensor] = []
    plain = losses.timesteps_for
    monkeypatch.setattr(losses, "timesteps_for", lambda scheduler, sigma: asked.append(sigma) or plain(scheduler, sigma))
    training, batch = run("w"), batch_of(square)
    for shift in (1.0, 3.0):
        losses_of(training, replace(batch, conditioning=replace(batch.conditioning, shift=shift)))
    assert torch.allclose(asked[1], objective.shifted(asked[0], 3.0))


@pytest.mark.parametrize("changes", [{"loss": "huber"}, {"min_snr_gamma": 1.0}], ids=str)
def test_a_recipe_changes_the_loss(
    changes: dict[str, Any], square: tuple[Example, ...], run: Callable[..., Run], batch_of: Callable[..., Batch]
) -> None:
    training, batch = run("w"), batch_of(square)
    assert not torch.equal(losses_of(training, batch, **changes), losses_of(training, batch))
