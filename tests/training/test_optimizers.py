"""Optimizers by name learn, say what they lack, and schedules run their course."""

import importlib.util
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch

from tests.training.runs import Run, same
from training.config import OptimizerName, TrainConfig
from training.errors import ConfigError
from training.optimizers import SOURCES, make_optimizer, recommended
from training.schedules import learning_rate_at

Make = Callable[..., TrainConfig]
RECIPES: dict[str, dict[str, Any]] = {
    "prodigy": {"learning_rate": 1.0},
    "schedulefree": {"schedule": "constant", "learning_rate": 3e-2},
    "sgd": {"learning_rate": 1.0},
}
HERE = [name for name, source in SOURCES.items() if importlib.util.find_spec(source.package.replace("-", "_")) is not None]


def test_every_name_has_a_source() -> None:
    assert set(SOURCES) == set(get_args(OptimizerName))
    assert {"adamw", "adam", "radam", "sgd", "adafactor", "prodigy", "schedulefree", "came"} <= set(HERE)


@pytest.mark.parametrize("name", HERE)
def test_an_optimizer_learns(name: str, run: Callable[..., Run]) -> None:
    recipe = {"steps": 20, "batch_size": 3, "learning_rate": 5e-2, "log_every": 10, "checkpoint_every": 20, "warmup": 0}
    curve = run("w", **{**recipe, **RECIPES.get(name, {})}, optimizer=name)()
    assert curve[-1].loss < curve[0].loss


@pytest.mark.parametrize("name", sorted({"adamw8bit", "lion8bit", "paged-adamw8bit"} - set(HERE)))
def test_a_missing_package_is_one_line(name: str, run: Callable[..., Run]) -> None:
    with pytest.raises(ConfigError, match="needs the package bitsandbytes, which is not here: pip install bitsandbytes") as caught:
        run("w", optimizer=name)()
    assert caught.value.exit_code == 2


@pytest.fixture
def stepped(run: Callable[..., Run]) -> tuple[Run, torch.optim.Optimizer]:
    training = run("w", optimizer="schedulefree", schedule="constant")
    optimizer = make_optimizer(training.parameters, training.config)
    for seed in range(3):
        for parameter in training.parameters.values():
            parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
        optimizer.step()
    return training, optimizer


def test_weights_as_recommended_are_others_and_leave_no_trace(stepped: tuple[Run, torch.optim.Optimizer]) -> None:
    training, optimizer = stepped
    before = training.state
    with recommended(optimizer, training.parameters):
        assert not same(training.state, before)
    assert same(training.state, before)


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        ("constant", [1.0, 1.0, 1.0, 1.0]),
        ("linear", [1.0, 0.75, 0.5, 0.25]),
        ("cosine", [1.0, 0.854, 0.5, 0.146]),
        ("cosine-restarts", [1.0, 0.5, 1.0, 0.5]),
        ("polynomial", [1.0, 0.562, 0.25, 0.062]),
    ],
)
def test_a_schedule_runs_its_course(schedule: str, wanted: list[float], make_config: Make) -> None:
    config = make_config(steps=100, warmup=0, learning_rate=1.0, schedule=schedule, schedule_cycles=2)
    assert [round(learning_rate_at(step, config), 3) for step in (0, 25, 50, 75)] == wanted


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "cosine-restarts", "polynomial"])
def test_a_warm_up_rises_in_a_line_before_any_schedule(schedule: str, make_config: Make) -> None:
    plain = make_config(steps=100, warmup=0, learning_rate=1.0, schedule=schedule)
    warm = make_config(steps=100, warmup=10, learning_rate=1.0, schedule=schedule)
    for step, part in ((0, 0.1), (4, 0.5), (9, 1.0), (50, 1.0)):
        assert learning_rate_at(step, warm) == pytest.approx(part * learning_rate_at(step, plain))


REFUSED = [
    ({"optimizer": "prodigy", "learning_rate": 1e-4}, "set learning_rate: 1"),
    ({"optimizer": "schedulefree"}, "set schedule: constant"),
    ({"patience": 2}, "set validate_every too"),
    ({"adapter": "dora"}, "drop its dora_scale: use lora or lokr"),
    ({"adapter": "lokr", "rslora": True}, "leave one of them out"),
    ({"batch_size": 2, "gradient_accumulation": 3}, "a batch of 2 has no 3 parts"),
    ({"optimizer": "adamww"}, "Input should be 'adamw'"),
]


@pytest.mark.parametrize(("changes", "said"), REFUSED, ids=lambda value: "+".join(value) if isinstance(value, dict) else "")
def test_a_recipe_that_cannot_be_run_is_refused_with_the_remedy(changes: dict[str, Any], said: str, make_config: Make) -> None:
    with pytest.raises(ValueError, match=said):
        make_config(**changes)
