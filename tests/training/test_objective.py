"""Forward processes and targets against the schedulers that inference uses, and the draw of noise levels."""

import pytest
import torch
from diffusers import DDPMScheduler

from training import objective


def test_flow_walks_a_straight_line_and_its_target_is_the_slope() -> None:
    clean, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    sigma = torch.tensor([0.0, 1.0])
    assert torch.equal(objective.flow_noised(clean, noise, sigma), torch.stack([clean[0], noise[1]]))
    near, far = (objective.flow_noised(clean, noise, torch.full((2,), level)) for level in (0.25, 0.75))
    assert torch.allclose((far - near) / 0.5, objective.flow_target(clean, noise), atol=1e-6)


@pytest.mark.parametrize("kind", ["epsilon", "v"])
def test_diffusion_questions_are_those_of_the_scheduler(kind: objective.Objective) -> None:
    scheduler = DDPMScheduler()
    clean, noise, timesteps = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8), torch.tensor([0, 500, 999])
    noised, target = objective.question(kind, clean, noise, timesteps / 1000, timesteps, scheduler.alphas_cumprod)
    assert torch.allclose(noised, scheduler.add_noise(clean, noise, timesteps), atol=1e-6)
    wanted = noise if kind == "epsilon" else scheduler.get_velocity(clean, noise, timesteps)
    assert torch.allclose(target, wanted, atol=1e-6)


def test_squared_error_is_a_number_a_picture() -> None:
    zeros, ones = torch.zeros(2, 3, 4), torch.ones(2, 3, 4, dtype=torch.bfloat16)
    assert torch.equal(objective.squared_error(zeros, ones), torch.ones(2))


@pytest.mark.parametrize("count", [1, 2, 16])
def test_a_batch_has_one_draw_in_each_stratum(count: int) -> None:
    draws = objective.stratified(count, torch.Generator().manual_seed(3))
    assert sorted((draws * count).long().tolist()) == list(range(count))


def test_draws_repeat_with_the_seed_and_differ_without() -> None:
    first, again, other = (objective.stratified(8, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_logit_normal_levels_have_its_quartiles() -> None:
    quartiles = objective.logit_normal(torch.tensor([0.25, 0.5, 0.75]))
    assert torch.allclose(quartiles, torch.tensor([0.3375, 0.5, 0.6625]), atol=1e-3)


def test_a_shift_keeps_the_ends_and_raises_the_middle() -> None:
    assert torch.allclose(objective.shifted(torch.tensor([0.0, 0.5, 1.0]), 3.0), torch.tensor([0.0, 0.75, 1.0]))
