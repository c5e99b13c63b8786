"""Did the adapter learn, what else did it do, and is it better than what is live? Losses and pictures at equal noise and seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from training import measures
from training.adapter import strength
from training.comparison import Losses, against, by_level, noise_floor, unmeasured, verdict
from training.config import TrainConfig
from training.data.cache import Example
from training.data.manifest import Dataset
from training.errors import AdapterError
from training.export import answer_of, load_adapter
from training.families import Family
from training.grid import grid
from training.looks import PARTS, Eye, Look
from training.sample import save_picture
from training.scores import Scorers
from training.shelf import Shelf
from training.shots import STRENGTHS, Shots, counted, shots_of
from training.validation import HeldOut

SCHEMA = "lorasmith/evaluation/1"

Progress = Callable[[str, int, int], None]  # part ("loss", "samples"), done, total


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is evaluated: the plain base in a pipeline, the adapter file, the dataset and its held-out pictures, encoded.

    `champion` is the adapter file that is live, None where nothing is, or the reason why it can not be measured. `twin` is the file
    of a second training of the same recipe, None where none was made; `repeats` says that trainings repeat bit for bit.
    """

    pipe: Any
    family: Family
    adapter: Path
    dataset: Dataset
    held_out: HeldOut
    probe: Example  # asked at strength zero
    scorers: Scorers
    champion: Path | str | None = None
    twin: Path | None = None
    repeats: bool = True


def evaluate(subject: Subject, config: TrainConfig, out: Path, *, progress: Progress) -> dict[str, Any]:
    """Measure base, live adapter and new adapter, write samples/ below `out` and return the evaluation.

    The base is measured before any adapter is loaded; at strength zero the loaded adapter must answer bit for bit as the base.
    What can not be measured is None or {"unmeasured": reason}, never zero.
    """
    shots = shots_of(subject.dataset)
    eye = _eye(subject, config, shots, progress)
    base = eye.look(*PARTS)
    plain = answer_of(subject.pipe, subject.family, subject.probe)
    champion = _champion(eye, subject.champion)
    twin = _twin(eye, subject)

    load_adapter(subject.pipe, subject.adapter)
    with strength(eye.denoiser, 0.0):
        unchanged = torch.equal(plain, answer_of(subject.pipe, subject.family, subject.probe))
    adapter = eye.look(*PARTS)
    strip = eye.strip(base, adapter)

    looks = {"base": base, **({"champion": champion} if isinstance(champion, Look) else {}), "adapter": adapter}
    return {
        "schema": SCHEMA,
        "held_out": len(subject.held_out),
        **verdict(_each(base), _each(adapter)),
        "champion": against(_each(champion), _each(adapter)) if isinstance(champion, Look) else champion,
        "twin": twin if isinstance(twin, dict) else noise_floor(_each(adapter), twin.mean(axis=1)),
        "levels": by_level({name: look.losses for name, look in looks.items()}),
        "per_picture": _per_picture(subject.held_out, looks),
        "strength_zero_equal": unchanged,
        **_measured(subject, shots, looks),
        "samples": _save_samples(shots, looks, subject.dataset, out),
        "grid": "samples/grid.png",
        "strip": _save_strip(shots, strip, out),
    }


def _eye(subject: Subject, config: TrainConfig, shots: Shots, progress: Progress) -> Eye:
    champion, twin = isinstance(subject.champion, Path), _is_twin(subject)
    asked = len(subject.held_out) * (2 + champion + twin)
    parts = (*PARTS, *PARTS, *(["own"] if champion else []))
    drew = sum(len(getattr(shots, part)) for part in parts) + len(set(STRENGTHS) - {0.0, 1.0})
    return Eye(
        pipe=subject.pipe,
        family=subject.family,
        held_out=subject.held_out,
        shots=shots,
        config=config,
        asked=counted(progress, "loss", asked),
        drew=counted(progress, "samples", drew),
    )


def _champion(eye: Eye, champion: Path | str | None) -> Look | dict[str, Any] | None:
    """What the live adapter does, None where nothing is live, or why it was not measured."""
    if not isinstance(champion, Path):
        return unmeasured(champion) if champion else None
    try:
        with eye.wearing(champion):
            return eye.look("own")
    except AdapterError as error:
        return unmeasured(str(error))


def _twin(eye: Eye, subject: Subject) -> Losses | dict[str, Any]:
    """Losses of the second training, or the noise floor where it needs no measuring, or why there is none."""
    if subject.twin is None:
        return {"floor": 0.0} if subject.repeats else unmeasured("no second training of the same recipe was made")
    if not _is_twin(subject):
        return {"floor": 0.0}
    with eye.wearing(subject.twin):
        return eye.losses()


def _is_twin(subject: Subject) -> bool:
    """Whether there is a second training that came out otherwise."""
    return subject.twin is not None and subject.twin.read_bytes() != subject.adapter.read_bytes()


def _each(look: Look) -> Losses:
    """Loss of each picture [pictures]."""
    means: Losses = look.losses.mean(axis=1)
    return means


def _per_picture(held_out: HeldOut, looks: Mapping[str, Look]) -> list[dict[str, Any]]:
    means = {name: _each(look) for name, look in looks.items()}
    return [
        {"caption": picture.caption, **{name: float(losses[row]) for name, losses in means.items()}}
        for row, (picture, _) in enumerate(held_out)
    ]


def _measured(subject: Subject, shots: Shots, looks: Mapping[str, Look]) -> dict[str, Any]:
    """The sections that are taken from pictures."""
    dataset, look = subject.dataset, subject.scorers.looks
    train, held_out = Shelf(dataset, "train"), Shelf(dataset, "held_out")
    own, neutral, varied = ({name: getattr(look, part) for name, look in looks.items()} for part in ("own", "neutral", "varied"))
    samples = _named("adapter", own["base"], own["adapter"])
    recalled = _named("recalled", _recalled(looks["base"]), _recalled(looks["adapter"]))
    prompts = [shot.prompt for shot in shots.neutral]
    return {
        "scores": measures.scores(
            subject.scorers, own, [picture.generic or picture.caption for picture in shots.shown], held_out or train
        ),
        "drift": measures.drift(look, own, neutral, prompts=prompts, trigger=dataset.trigger is not None),
        "diversity": measures.diversity(look, varied, prompt=shots.varied[0].prompt, seeds=[shot.seed for shot in shots.varied]),
        "memorisation": measures.memorisation(look, samples, recalled, train, held_out),
    }


def _named(name: str, base: Sequence[Image.Image], adapter: Sequence[Image.Image]) -> measures.Named:
    return {_sample(name, index): pair for index, pair in enumerate(zip(base, adapter, strict=True))}


def _recalled(look: Look) -> list[Image.Image]:
    """One picture of each training caption that was asked."""
    return [*look.varied[:1], *look.recalled]


def _save_samples(shots: Shots, looks: Mapping[str, Look], dataset: Dataset, out: Path) -> list[dict[str, Any]]:
    """The pictures one by one and side by side: base | champion | new | real, a row a held-out caption."""
    columns = {name: look.own for name, look in looks.items()} | {"real": Shelf(dataset, "held_out") or Shelf(dataset, "train")}
    listed = []
    for index, shot in enumerate(shots.own):
        names = {name: _sample(name, index) for name in columns}
        for name, file in names.items():
            save_picture(columns[name][index], out / file)
        listed.append({"prompt": shot.prompt, "seed": shot.seed, **names})
    for index, picture in enumerate(_recalled(looks["adapter"])):
        save_picture(picture, out / _sample("recalled", index))
    rows = [(shot.prompt, [pictures[index] for pictures in columns.values()]) for index, shot in enumerate(shots.own)]
    headings = ["new" if name == "adapter" and "champion" in columns else name for name in columns]
    save_picture(grid(rows, columns=headings), out / "samples" / "grid.png")
    return listed


def _save_strip(shots: Shots, pictures: Sequence[Image.Image], out: Path) -> dict[str, Any]:
    """The first sample at every strength, side by side."""
    headings = [f"{value:g}" for value in STRENGTHS]
    save_picture(grid([(shots.own[0].prompt, pictures)], columns=headings), out / "samples" / "strip.png")
    return {"prompt": shots.own[0].prompt, "seed": shots.own[0].seed, "strengths": list(STRENGTHS), "sheet": "samples/strip.png"}


def _sample(name: str, index: int) -> str:
    return f"samples/{name}_{index:02d}.png"
