"""The rules by which a pipeline's call is understood, and refused where they do not hold."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor

from training.conditioning import ReplayError, batched_paths
from training.wiring import CLOCKS, EARLY, LATE


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_two_timesteps_of_the_probe_tell_the_clocks_apart(dtype: torch.dtype) -> None:
    """At half precision too, where all but a few timesteps are rounded to the same number by two of them."""
    times = torch.tensor([EARLY, LATE]).to(dtype)
    for one, other in combinations(CLOCKS.values(), 2):
        assert not torch.equal(one(times, 1000), other(times, 1000))


@pytest.mark.parametrize("name", ["t / n", "(n - t) / n", "1 - t / n"])
def test_the_probe_tells_when_a_clock_is_rounded(name: str) -> None:
    times = torch.tensor([EARLY, LATE])
    before, after = CLOCKS[name](times.bfloat16(), 1000), CLOCKS[name](times, 1000).bfloat16()
    assert not torch.equal(before, after)


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (torch.zeros(1, 7, 3), torch.zeros(2, 7, 3), {"text": 0}),
        (torch.zeros(4, 1, 7, 3), torch.zeros(4, 2, 7, 3), {"text": 1}),
        (torch.zeros(7, 3), torch.zeros(7, 3), {}),
        ([torch.zeros(7, 3)], [torch.zeros(7, 3)] * 2, {"text": 0}),
        ({"pooled": torch.zeros(1, 3), "size": None}, {"pooled": torch.zeros(2, 3), "size": None}, {"text.pooled": 0}),
        ((torch.zeros(1, 3), torch.zeros(5)), (torch.zeros(2, 3), torch.zeros(5)), {"text.0": 0}),
    ],
)
def test_the_batch_axis_is_the_one_that_doubles(one: Tensor, two: Tensor, expected: dict[str, int]) -> None:
    assert dict(batched_paths(one, two, "text")) == expected


def test_an_argument_that_grows_otherwise_is_refused() -> None:
    with pytest.raises(ReplayError, match="no way to batch it"):
        dict(batched_paths(torch.zeros(2, 7), torch.zeros(3, 7), "text"))
