"""The loop learns, resumes bit for bit, refuses foreign work, ends cleanly, and waits for the device at log points only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.runs import Run, same
from training import checkpoint, loop, losses
from training.data.cache import Example
from training.errors import CheckpointError, DivergedError, Interrupted
from training.events import Events
from training.families import FAMILIES
from training.optimizers import make_optimizer


class Killed(Exception):
    """Stands for the end of a process in the middle of a step."""


class FatalEvents(Events):
    """Events that end the process when a step is reported."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def emit(self, event: str, **fields: object) -> None:
        if fields.get("step") == self.at:
            raise Killed


def test_the_loss_falls_and_only_the_adapter_moves(run: Callable[..., Run]) -> None:
    training = run("w", steps=40, batch_size=4, learning_rate=3e-2, log_every=10, checkpoint_every=40)
    frozen = {name: value.clone() for name, value in training.denoiser.state_dict().items() if "lora_" not in name}
    curve = training()
    assert [point.step for point in curve] == [10, 20, 30, 40]
    assert curve[-1].loss < 0.95 * curve[0].loss
    after = training.denoiser.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in frozen.items())


def test_the_same_seed_is_the_same_adapter_and_another_is_not(run: Callable[..., Run]) -> None:
    one, two, other = run("1"), run("2"), run("3", seed=1)
    for training in (one, two, other):
        training()
    assert same(one.state, two.state)
    assert not same(one.state, other.state)


@pytest.mark.parametrize("killed_at", [3, 4])
def test_a_killed_run_goes_on_bit_for_bit(killed_at: int, run: Callable[..., Run]) -> None:
    straight = run("straight")
    straight()
    with pytest.raises(Killed):
        run("w")(FatalEvents(killed_at))
    resumed = run("w")
    curve = resumed()
    assert curve[0].step > 2  # it went on from the checkpoint at step 2, not from the start
    assert same(resumed.state, straight.state)


def test_a_finished_run_has_nothing_left_to_do(run: Callable[..., Run]) -> None:
    first, again = run("w"), run("w")
    first()
    assert again() == []
    assert same(first.state, again.state)


def test_a_stop_keeps_the_step_it_finished(run: Callable[..., Run]) -> None:
    straight, stopped = run("straight"), run("w", checkpoint_every=100)
    straight()
    answers = iter([False, False, True, True, True])
    with pytest.raises(Interrupted, match="at step 3 of 6"):
        stopped(stopped=lambda: next(answers))
    resumed = run("w", checkpoint_every=100)
    assert resumed()[0].step > 3
    assert same(resumed.state, straight.state)


def test_a_damaged_checkpoint_is_named(run: Callable[..., Run]) -> None:
    training = run("w")
    training()
    (path,) = training.work.iterdir()
    path.write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match="delete it to begin again"):
        run("w")()


def test_a_loss_that_is_no_number_ends_it_and_keeps_the_last_good_checkpoint(
    run: Callable[..., Run], examples: tuple[Example, ...]
) -> None:
    answers = iter([False, True, True, True])
    with pytest.raises(Interrupted):
        run("w", checkpoint_every=3)(stopped=lambda: next(answers))
    broken = tuple(replace(example, mean=example.mean * float("nan")) for example in examples)
    spoilt = run("w", checkpoint_every=3, examples=broken)
    with pytest.raises(DivergedError, match="loss is nan by step 3"):
        spoilt()
    assert [path.name for path in spoilt.work.iterdir()] == ["step-00000002.safetensors"]


def test_checkpoints_are_whole_and_one_is_kept(run: Callable[..., Run]) -> None:
    training = run("w")
    training()
    assert [path.name for path in training.work.iterdir()] == ["step-00000006.safetensors"]
    fresh = run("w")
    optimizer = make_optimizer(fresh.parameters, fresh.config)
    assert checkpoint.resume(fresh.work, fresh.parameters, optimizer, fresh.config.terms()) == (6, [])
    assert same(fresh.state, training.state)


class Syncs:
    """Counts the moments in which Python reads a tensor's value, where an accelerator would make it wait; see `watched`."""

    NAMES = ("item", "tolist", "numpy", "nonzero", "cpu", "__bool__", "__float__", "__int__", "__index__")

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.off = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in self.NAMES:
                patch.setattr(Tensor, name, self._counting(name, getattr(Tensor, name)))
            patch.setattr(losses, "predict", self._denoiser(losses.predict))
            yield

    def _counting(self, name: str, plain: Any) -> Any:
        def read(tensor: Tensor, *args: Any, **options: Any) -> Any:
            if not self.off:
                self.seen.append(name)
            return plain(tensor, *args, **options)

        return read

    def _denoiser(self, plain: Any) -> Any:
        """What the base's own forward reads is not ours."""

        def predict(*args: Any) -> Tensor:
            self.off = True
            try:
                return plain(*args)
            finally:
                self.off = False

        return predict


def reads_of(training: Run) -> int:
    """Reads between the first and the second log point of a run whose log points are at 2 and at 6."""
    syncs, counts = Syncs(), {}

    class Marks(Events):
        def emit(self, event: str, **fields: Any) -> None:
            counts[fields["step"]] = len(syncs.seen)

    with syncs.watched():
        training(Marks())
    return counts[6] - counts[2]


QUIET = {"steps": 6, "log_every": 2, "checkpoint_every": 100}


@pytest.mark.parametrize(
    "changes",
    [{}, {"loss": "huber", "min_snr_gamma": 5.0}, {"gradient_accumulation": 3}, {"batch_size": 1}, {"posterior": "sample"}],
    ids=lambda changes: "+".join(changes) or "plain",
)
def test_a_step_reads_no_tensor_between_log_points(changes: dict[str, Any], run: Callable[..., Run]) -> None:
    """Two log points lie between 2 and 6, so each of them costs the same single read, and the steps between cost none."""
    assert reads_of(run("w", **{**QUIET, **changes})) == 2


def test_the_counter_of_reads_sees_one(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = losses.objective.squared

    def careless(prediction: Tensor, target: Tensor) -> Tensor:
        errors = plain(prediction, target)
        return errors if errors.mean() < 1e9 else errors * 0

    monkeypatch.setitem(losses._ERRORS, "mse", careless)
    assert reads_of(run("w", **QUIET)) == 2 + 4


def test_a_gradient_that_is_no_number_is_found_although_the_loss_is_one(run: Callable[..., Run]) -> None:
    training = run("w", log_every=1)
    next(iter(training.parameters.values())).register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(DivergedError, match="gradient is nan by step 1"):
        training()
    assert not list(training.work.glob("*"))


ROOM = Path(loop.__file__).parent


def test_the_loop_is_short_and_knows_no_family_and_no_flow() -> None:
    story = [
        ROOM / f"{name}.py"
        for name in ("loop", "logpoint", "batches", "losses", "optimizers", "schedules", "checkpoint", "patience")
    ]
    assert len((ROOM / "loop.py").read_text().splitlines()) < 150
    words = {name for name in FAMILIES if not name.isalpha()} | {"prefect", "flows", "transformer", "unet"}
    for path in story:
        text = path.read_text().lower()
        assert [word for word in words if word in text] == [], path.name
