"""Fitting a device: the ladder by the forecast, checkpointing and compilation without a change of result, missing libraries."""

import copy
import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from tests.training.runs import Run, same
from tests.training.tiny import tiny_pipeline
from training.base import Base, load_pipeline
from training.compiling import compile_blocks, compile_where_it_pays
from training.config import TrainConfig
from training.errors import ConfigError
from training.fit import LADDER, Fit, checkpoint_gradients, fit_for
from training.quantised import PACKAGES

Make = Callable[..., TrainConfig]
GIB = 2**30
NEEDS = {"fp32": 48.0, "bf16": 24.0, "int8": 14.0, "nf4": 8.0}


def memory(precision: str, checkpointing: bool) -> float:
    return NEEDS[precision] * (0.5 if checkpointing else 1.0) * GIB


@pytest.fixture
def everything_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.fit.importlib.util.find_spec", lambda package: package)


@pytest.mark.parametrize(
    ("changes", "free", "wanted"),
    [
        ({}, 80, ("bf16", False)),
        ({}, 20, ("bf16", True)),
        ({}, 10, ("int8", True)),
        ({}, 5, ("nf4", True)),
        ({"gradient_checkpointing": "off"}, 20, ("int8", False)),
        ({"gradient_checkpointing": "on"}, 80, ("bf16", True)),
        ({"precision": "fp32"}, 80, ("fp32", False)),
        ({"precision": "nf4"}, 80, ("nf4", False)),
        ({"precision": "bf16"}, 16, ("bf16", True)),
    ],
)
def test_no_more_is_given_up_than_the_forecast_asks(
    changes: dict[str, Any], free: float, wanted: tuple[str, bool], make_config: Make, everything_here: None
) -> None:
    fit = fit_for(make_config(**changes), device="cuda", free=free * GIB, memory=memory)
    assert (fit.precision, fit.checkpointing) == wanted


def test_what_fits_nowhere_is_said_in_one_line(make_config: Make, everything_here: None) -> None:
    with pytest.raises(ConfigError, match=r"needs 4.0 GiB by the forecast, 1.0 GiB are free on the device: lower resolution"):
        fit_for(make_config(), device="cuda", free=GIB, memory=memory)


def test_quantised_weights_are_no_way_out_where_their_library_is_missing(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.fit.importlib.util.find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=r"needs 12\.0 GiB"):
        fit_for(make_config(), device="cuda", free=5 * GIB, memory=memory)


@pytest.mark.parametrize(("asked", "wanted"), [("auto", False), ("off", False), ("on", True)])
def test_on_the_cpu_auto_is_plain(asked: str, wanted: bool, make_config: Make) -> None:
    config = make_config(gradient_checkpointing=asked)
    assert fit_for(config, device="cpu", free=0.0, memory=memory) == Fit(precision="fp32", checkpointing=wanted)
    assert fit_for(config, device="cuda", free=0.0, memory=None) == Fit(precision="bf16", checkpointing=wanted)


def test_the_ladder_gives_up_speed_before_quality() -> None:
    plain = [fit.precision not in PACKAGES for fit in LADDER]
    assert plain == sorted(plain, reverse=True)


def test_gradient_checkpointing_saves_activations_and_changes_no_bit(run: Callable[..., Run]) -> None:
    kept = []
    states = []
    for name, wanted in (("plain", False), ("checkpointed", True)):
        training = run(name, steps=3)
        assert checkpoint_gradients(training.denoiser, training.config, wanted=wanted) == wanted
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, sizes=sizes: sizes.append(tensor.nbytes) or tensor, lambda t: t
        ):
            training()
        kept.append(sum(sizes))
        states.append(training.state)
    assert same(*states)
    assert kept[1] < kept[0]


def test_a_denoiser_without_checkpointing_is_named_where_it_was_asked_for(make_config: Make) -> None:
    with pytest.raises(ConfigError, match="gradient_checkpointing: Linear does not offer it"):
        checkpoint_gradients(nn.Linear(2, 2), make_config(gradient_checkpointing="on"), wanted=True)
    assert not checkpoint_gradients(nn.Linear(2, 2), make_config(), wanted=True)


@pytest.fixture
def graphs() -> Any:
    """A compiler that runs what it is given, and counts it."""
    torch._dynamo.reset()
    counted: list[int] = []

    def compiler(graph: Any, inputs: Any) -> Any:
        counted.append(len(inputs))
        return graph.forward

    compiler.counted = counted  # type: ignore[attr-defined]
    yield compiler
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # the compiler looks at one, and hides it
def test_blocks_are_compiled_once_for_every_token_count_and_answer_alike(run: Callable[..., Run], graphs: Any) -> None:
    plain, compiled = run("plain", steps=4, log_every=1), run("compiled", steps=4, log_every=1)
    shapes = len({example.bucket for example in compiled.examples})
    names = list(compiled.parameters)
    compile_blocks(compiled.denoiser, shapes=shapes, backend=graphs)
    before, after = plain(), compiled()
    assert [point.loss for point in after] == [point.loss for point in before]
    first = len(graphs.counted)
    assert first > 0
    again = run("again", steps=4, log_every=1)
    again.denoiser = compiled.denoiser
    again.parameters = compiled.parameters
    again()
    assert len(graphs.counted) == first  # the same token counts again: nothing is compiled anew
    assert list(compiled.parameters) == names


def test_a_denoiser_that_names_no_blocks_is_compiled_by_its_stacks(graphs: Any) -> None:
    denoiser = copy.deepcopy(tiny_pipeline("sana").transformer)
    assert not getattr(denoiser, "_repeated_blocks", None)
    compile_blocks(denoiser, shapes=1, backend=graphs)
    assert any(module._compiled_call_impl is not None for module in denoiser.transformer_blocks)


@pytest.mark.parametrize(("asked", "device", "wanted"), [("auto", "cpu", False), ("off", "cuda", False)])
def test_compilation_is_left_out_where_it_does_not_pay(asked: str, device: str, wanted: bool, make_config: Make) -> None:
    assert compile_where_it_pays(nn.Linear(2, 2), make_config(compile=asked), device=device, shapes=1) == wanted


def test_a_denoiser_without_blocks_is_refused_only_where_compilation_was_asked_for(make_config: Make) -> None:
    assert not compile_where_it_pays(nn.Linear(2, 2), make_config(compile="auto"), device="cuda", shapes=1)
    with pytest.raises(ConfigError, match="Linear repeats no block"):
        compile_where_it_pays(nn.Linear(2, 2), make_config(compile="on"), device="cpu", shapes=1)


MISSING = sorted(precision for precision, package in PACKAGES.items() if importlib.util.find_spec(package) is None)


@pytest.mark.parametrize("precision", MISSING)
def test_a_quantised_base_without_its_library_is_one_line(precision: str, base: Base) -> None:
    package = PACKAGES[precision]
    with pytest.raises(ConfigError, match=f"'{precision}' needs the package {package}, which is not here: pip install") as caught:
        load_pipeline(base, torch.bfloat16, precision)
    assert str(caught.value).count("\n") == 0
