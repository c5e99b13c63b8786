"""The two stories of a run, each from one folder to the next: train an adapter, evaluate it into a bundle."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from training import loop
from training.adapter import adapter_state, inject
from training.base import Base, load_pipeline, locate, sha256_of, weight_dtype
from training.bundle import write_bundle, write_json
from training.config import TrainConfig
from training.data.cache import Example, encode_pictures
from training.data.manifest import Dataset, Picture, read_dataset
from training.errors import AdapterError, ConfigError, DatasetError
from training.evaluate import Subject, evaluate
from training.events import Events
from training.export import FILE, Trained, answer_of, check_reloaded, export
from training.families import is_distilled
from training.signals import noted

SCHEMA = "lorasmith/training/1"
LOG = "events.jsonl"
DISTILLED = "base '{base}' is distilled to few steps, which a LoRA undoes: train on its undistilled sibling if there is one"


def train_adapter(config: TrainConfig, out: Path, *, work: Path, events: Events) -> dict[str, Any]:
    """Encode, train, export and prove the export; adapter.safetensors and training.json in `out`, the latter returned.

    `work` keeps the checkpoint by which a stopped run goes on.
    """
    accelerator = _accelerator(config)
    dataset, base = _inputs(config)
    pictures = dataset.split("train")
    if not pictures:
        raise DatasetError(f"dataset '{config.dataset}' has no picture to train on: add pictures or hold out fewer")
    if is_distilled(base.family, base.ref, json.loads((base.folder / "model_index.json").read_text(encoding="utf-8"))):
        events.emit("warning", message=DISTILLED.format(base=base.ref))
    dtype = weight_dtype(config.precision, accelerator.device)
    events.emit("stage", stage="encode", total=len(pictures))
    pipe = load_pipeline(base, dtype)
    with accelerator.main_process_first():
        examples, made = _encoded(dataset, pictures, pipe, base, config, accelerator.device, events)

    events.emit("stage", stage="train", total=config.steps)
    denoiser = _only_denoiser(pipe, base, accelerator.device)
    parameters = inject(denoiser, base.family, rank=config.rank, alpha=config.alpha, seed=config.seed)
    terms = {**config.terms(), "dataset": dataset.hash, "base": base.weights_sha256}
    began = time.perf_counter()
    with noted() as stopped:
        curve = loop.train(
            denoiser,
            parameters,
            base.family,
            pipe.scheduler,
            examples,
            config,
            accelerator=accelerator,
            work=work,
            terms=terms,
            events=events,
            stopped=stopped,
        )
    seconds = time.perf_counter() - began

    record: dict[str, Any] = {"schema": SCHEMA, "terms": terms, "config": config.model_dump(mode="json"), "encoded": made}
    record |= {"curve": [asdict(point) for point in curve], "seconds": round(seconds, 1)}
    if accelerator.is_main_process:
        events.emit("stage", stage="export", total=1)
        path = export(denoiser, base.family, out, rank=config.rank, alpha=config.alpha)
        trained = Trained(state=adapter_state(denoiser), answer=answer_of(pipe, base.family, examples[0]))
        del pipe, denoiser, parameters  # the fresh pipeline of the check needs the room
        check_reloaded(path, base, dtype, trained, examples[0], device=accelerator.device)
        write_json(out / "training.json", {**record, "adapter_sha256": sha256_of(path)})
    accelerator.wait_for_everyone()
    return record


def evaluate_adapter(config: TrainConfig, adapter: Path, out: Path, *, events: Events) -> dict[str, Any]:
    """Evaluate a trained adapter against its base; `out` becomes the adapter bundle, its manifest is returned."""
    accelerator = _accelerator(config)
    dataset, base = _inputs(config)
    _check_belongs(adapter, config, dataset, base)
    pictures = dataset.split("held_out") or dataset.split("train")[:1]
    if not pictures:
        raise DatasetError(f"dataset '{config.dataset}' has no pictures: prepare it again")
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(adapter / FILE, out / FILE)
    events.emit("stage", stage="encode", total=len(pictures))
    pipe = load_pipeline(base, weight_dtype(config.precision, accelerator.device))
    examples, _ = _encoded(dataset, pictures, pipe, base, config, accelerator.device, events)
    held_out = tuple(zip(pictures, examples, strict=True)) if dataset.split("held_out") else ()
    subject = Subject(
        pipe=pipe.to(accelerator.device),
        family=base.family,
        adapter=out / FILE,
        dataset=dataset,
        held_out=held_out,
        probe=examples[0],
    )
    events.emit("stage", stage="evaluate", total=len(held_out))

    def report(part: str, done: int, total: int) -> None:
        events.emit("step", stage="evaluate", part=part, step=done, total=total)

    evaluation = evaluate(subject, config, out, progress=report)
    return write_bundle(out, evaluation, config=config, base=base, dataset=dataset)


def _accelerator(config: TrainConfig) -> Any:
    from accelerate import Accelerator

    if config.threads:
        torch.set_num_threads(config.threads)
    return Accelerator()


def _inputs(config: TrainConfig) -> tuple[Dataset, Base]:
    dataset = read_dataset(config.dataset)
    if dataset.resolution != config.resolution:
        message = f"resolution: dataset '{config.dataset}' was prepared at {dataset.resolution}, got {config.resolution}"
        raise ConfigError(f"{message}: prepare it again or set resolution {dataset.resolution}")
    return dataset, locate(config.base, config.revision)


def _encoded(
    dataset: Dataset, pictures: Sequence[Picture], pipe: Any, base: Base, config: TrainConfig, device: torch.device, events: Events
) -> tuple[tuple[Example, ...], dict[str, int]]:
    def report(done: int, total: int) -> None:
        events.emit("step", stage="encode", step=done, total=total)

    encoding = encode_pictures(dataset, pictures, pipe.to(device), base, config.cache, progress=report)
    return encoding.examples, {"latents": encoding.latents_made, "conditioning": encoding.conditioning_made}


def _only_denoiser(pipe: Any, base: Base, device: torch.device) -> torch.nn.Module:
    """The denoiser on the device, the encoders out of its way."""
    for component in pipe.components.values():
        if isinstance(component, torch.nn.Module):
            component.to("cpu")
    denoiser: torch.nn.Module = getattr(pipe, base.family.denoiser)
    return denoiser.to(device)


def _check_belongs(adapter: Path, config: TrainConfig, dataset: Dataset, base: Base) -> None:
    try:
        record = json.loads((adapter / "training.json").read_text(encoding="utf-8"))
        terms, said = record["terms"], record["adapter_sha256"]
        found = sha256_of(adapter / FILE)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AdapterError(f"'{adapter}' holds no finished training ({type(error).__name__}): train first") from error
    if found != said:
        raise AdapterError(f"'{adapter / FILE}' is not the file that training wrote: train again")
    ours = {**config.terms(), "dataset": dataset.hash, "base": base.weights_sha256}
    different = [key for key in ours if ours[key] != terms.get(key)]
    if different:
        raise AdapterError(f"'{adapter}' was trained under another {', '.join(different)}: evaluate it with its own configuration")
