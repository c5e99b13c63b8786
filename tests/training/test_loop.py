"""The loop learns, resumes bit for bit, refuses foreign work, ends cleanly, and waits for the device at log points only."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from training import checkpoint, loop
from training.adapter import adapter_state, inject
from training.base import Base, load_pipeline, locate
from training.config import TrainConfig
from training.data.cache import Example, encode_pictures
from training.data.manifest import read_dataset
from training.errors import CheckpointError, DivergedError, Interrupted
from training.events import Events

Make = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def base(base_folder: Path) -> Base:
    return locate(str(base_folder))


@pytest.fixture(scope="module")
def examples(base: Base, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Example, ...]:
    dataset = read_dataset(dataset_folder)
    pipe = load_pipeline(base, torch.float32)
    cache = tmp_path_factory.getbasetemp() / "cache"
    return encode_pictures(dataset, dataset.split("train"), pipe, base, cache).examples


class Run:
    """One process's worth of training: a fresh denoiser, trained until the loop ends or raises."""

    def __init__(self, base: Base, examples: tuple[Example, ...], config: TrainConfig, work: Path) -> None:
        self.base, self.examples, self.config, self.work = base, examples, config, work
        self.pipe = load_pipeline(base, torch.float32)
        self.denoiser: nn.Module = self.pipe.transformer
        self.parameters = inject(self.denoiser, base.family, rank=config.rank, alpha=config.alpha, seed=config.seed)

    def __call__(self, events: Events | None = None, stopped: Callable[[], bool] = lambda: False) -> list[loop.Progress]:
        return loop.train(
            self.denoiser,
            self.parameters,
            self.base.family,
            self.pipe.scheduler,
            self.examples,
            self.config,
            accelerator=Accelerator(cpu=True),
            work=self.work,
            terms=self.config.terms(),
            events=events or Events(),
            stopped=stopped,
        )

    @property
    def state(self) -> dict[str, Tensor]:
        return adapter_state(self.denoiser)


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture
def run(base: Base, examples: tuple[Example, ...], make_config: Make, tmp_path: Path) -> Callable[..., Run]:
    def start(work: str, *, examples: tuple[Example, ...] = examples, **changes: Any) -> Run:
        return Run(base, examples, make_config(**changes), tmp_path / work)

    return start


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


@pytest.mark.parametrize(("changes", "said"), [({"rank": 4}, "rank 2 there, 4 here"), ({"learning_rate": 0.5}, "learning_rate")])
def test_a_foreign_checkpoint_is_refused_by_name(changes: dict[str, Any], said: str, run: Callable[..., Run]) -> None:
    run("w")()
    with pytest.raises(CheckpointError, match=said):
        run("w", **changes)()


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
    broken = tuple(replace(example, latents=example.latents * float("nan")) for example in examples)
    spoilt = run("w", checkpoint_every=3, examples=broken)
    with pytest.raises(DivergedError, match="loss is nan by step 3"):
        spoilt()
    assert [path.name for path in spoilt.work.iterdir()] == ["step-00000002.safetensors"]


def test_checkpoints_are_whole_and_one_is_kept(run: Callable[..., Run]) -> None:
    training = run("w")
    training()
    assert [path.name for path in training.work.iterdir()] == ["step-00000006.safetensors"]
    fresh = run("w")
    optimizer = torch.optim.AdamW(fresh.parameters.values())
    assert checkpoint.resume(fresh.work, fresh.parameters, optimizer, fresh.config.terms()) == 6
    assert same(fresh.state, training.state)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every moment in which Python reads a tensor's value; on an accelerator it would wait there."""
    seen: list[str] = []
    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "numpy"):
        plain = getattr(Tensor, name)

        def read(self: Tensor, *args: Any, _plain: Any = plain, _name: str = name, **options: Any) -> Any:
            seen.append(_name)
            return _plain(self, *args, **options)

        monkeypatch.setattr(Tensor, name, read)
    return seen


def test_a_step_reads_no_tensor(run: Callable[..., Run], reads: list[str]) -> None:
    counts = []
    for steps in (2, 6):
        training = run(f"w{steps}", steps=steps, log_every=100, checkpoint_every=100)
        reads.clear()
        training()
        counts.append(len(reads))
    assert counts[0] == counts[1] > 0  # the loss, at the one log point


def test_the_learning_rate_warms_up_and_decays_to_zero(make_config: Make) -> None:
    config = make_config(steps=100, warmup=10, learning_rate=1.0)
    assert loop.learning_rate_at(0, config) == pytest.approx(0.1)
    assert loop.learning_rate_at(9, config) == pytest.approx(1.0 * 0.91)
    assert loop.learning_rate_at(50, config) == pytest.approx(0.5)
    cosine = make_config(steps=100, warmup=0, learning_rate=1.0, schedule="cosine")
    assert [round(loop.learning_rate_at(step, cosine), 3) for step in (0, 50, 100)] == [1.0, 0.5, 0.0]
