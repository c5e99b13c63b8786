"""The two stories of a run, each from one folder to the next: train an adapter, evaluate it into a bundle."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from training import checkpoint, loop
from training.adapter import adapter_state
from training.base import Base, load_pipeline, locate, sha256_of, weight_dtype
from training.bundle import write_bundle, write_json
from training.config import TrainConfig
from training.data.cache import Example, Wants, encode_pictures
from training.data.manifest import Dataset, Picture, read_dataset
from training.errors import AdapterError, ConfigError, DatasetError
from training.evaluate import Subject, evaluate
from training.events import Events
from training.export import FILE, Trained, answer_of, check_reloaded, export
from training.export_formats import write_formats
from training.fit import fit_for, free_memory
from training.forecast import memory_needed
from training.sample import read_bundle
from training.scores import open_scorers
from training.signals import noted
from training.trainee import held_out_loss, make_trainee, require_undistilled, wants_of

SCHEMA = "lorasmith/training/1"
LOG = "events.jsonl"


def train_adapter(config: TrainConfig, out: Path, *, work: Path, events: Events) -> dict[str, Any]:
    """Encode, train, export and prove the export; adapter.safetensors and training.json in `out`, the latter returned.

    `work` keeps the checkpoint by which a stopped run goes on.
    """
    accelerator = _accelerator(config)
    dataset, base = _inputs(config)
    pictures = dataset.split("train")
    if not pictures:
        raise DatasetError(f"dataset '{config.dataset}' has no picture to train on: add pictures or hold out fewer")
    require_undistilled(base, config, events)
    device = accelerator.device
    memory = memory_needed(config) if device.type == "cuda" else None
    fit = fit_for(config, device=device.type, free=free_memory(device), memory=memory)
    dtype = weight_dtype(fit.precision, accelerator.device)
    events.emit("stage", stage="encode", total=len(pictures))
    pipe = load_pipeline(base, dtype, fit.precision)
    with accelerator.main_process_first():
        examples, made = _encoded(dataset, pictures, pipe, base, config, accelerator.device, events, wants=wants_of(config))
        held_out = _held_out(dataset, pipe, base, config, accelerator.device, events)

    events.emit("stage", stage="train", total=config.steps)
    buckets = {example.bucket for example in examples}
    trainee = make_trainee(pipe, base, config, fit, device=accelerator.device, shapes=len(buckets))
    terms = {**config.terms(), "dataset": dataset.hash, "base": base.weights_sha256}
    began = time.perf_counter()
    with noted() as stopped:
        curve = loop.train(
            trainee.denoiser,
            trainee.parameters,
            base.family,
            pipe.scheduler,
            examples,
            config,
            accelerator=accelerator,
            work=work,
            terms=terms,
            events=events,
            stopped=stopped,
            held_out_loss=held_out_loss(trainee.denoiser, pipe.scheduler, base.family, held_out, rows=config.batch_size),
        )
    seconds = time.perf_counter() - began

    record: dict[str, Any] = {"schema": SCHEMA, "terms": terms, "config": config.model_dump(mode="json"), "encoded": made}
    record |= {"curve": [asdict(point) for point in curve], "best": checkpoint.best_step(work), "how": trainee.how}
    record |= {"seconds": round(seconds, 1), "repeats": repeats(config, accelerator.device)}
    if accelerator.is_main_process:
        events.emit("stage", stage="export", total=1)
        path = export(trainee.denoiser, base.family, out)
        answer = answer_of(pipe, base.family, examples[0])
        exact = config.adapter == "lora" and not trainee.how["compiled"]
        trained = Trained(state=adapter_state(trainee.denoiser), answer=answer, exact=exact)
        del pipe, trainee  # the fresh pipeline of the check needs the room
        check_reloaded(path, base, dtype, trained, examples[0], device=accelerator.device, precision=fit.precision)
        write_json(out / "training.json", {**record, "adapter_sha256": sha256_of(path)})
    accelerator.wait_for_everyone()
    return record


def evaluate_adapter(
    config: TrainConfig, adapter: Path, out: Path, *, events: Events, champion: Path | None = None, twin: Path | None = None
) -> dict[str, Any]:
    """Evaluate a trained adapter against its base; `out` becomes the adapter bundle, its manifest is returned.

    `champion` is the bundle of the adapter that is live, measured on the same pictures; `twin` a second training of this one's
    recipe, which says how much of a difference is chance.
    """
    accelerator = _accelerator(config)
    dataset, base = _inputs(config)
    record, *_ = [_check_belongs(training, config, dataset, base) for training in (adapter, twin) if training]
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
        scorers=open_scorers(config.evaluation, accelerator.device),
        champion=_champion(champion, base) if champion else None,
        twin=twin / FILE if twin else None,
        repeats="adopted" in record or repeats(config, accelerator.device),
    )
    events.emit("stage", stage="evaluate", total=len(held_out))

    def report(part: str, done: int, total: int) -> None:
        events.emit("step", stage="evaluate", part=part, step=done, total=total)

    evaluation = evaluate(subject, config, out, progress=report)
    formats = write_formats(out / FILE, getattr(subject.pipe, base.family.denoiser), base.family)
    return write_bundle(out, evaluation, config=config, base=base, dataset=dataset, formats=formats, adopted=record.get("adopted"))


def repeats(config: TrainConfig, device: torch.device) -> bool:
    """Whether a second training of the same configuration gives the same bytes: then every difference counts."""
    return config.deterministic or device.type == "cpu"


def _champion(bundle: Path, base: Base) -> Path | str:
    """The adapter file of a bundle, or why it can not be compared: losses on another base mean something else."""
    made_for = read_bundle(bundle)["base"]
    if made_for["weights_sha256"] != base.weights_sha256:
        return f"the live adapter was made for another base, '{made_for['ref']}'"
    return bundle / FILE


def _accelerator(config: TrainConfig) -> Any:
    from accelerate import Accelerator

    if config.threads:
        torch.set_num_threads(config.threads)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the device is first used
    torch.use_deterministic_algorithms(config.deterministic)
    return Accelerator()


def _inputs(config: TrainConfig) -> tuple[Dataset, Base]:
    dataset = read_dataset(config.dataset)
    if dataset.resolution != config.resolution:
        message = f"resolution: dataset '{config.dataset}' was prepared at {dataset.resolution}, got {config.resolution}"
        raise ConfigError(f"{message}: prepare it again or set resolution {dataset.resolution}")
    return dataset, locate(config.base, config.revision)


def _encoded(
    dataset: Dataset,
    pictures: Sequence[Picture],
    pipe: Any,
    base: Base,
    config: TrainConfig,
    device: torch.device,
    events: Events,
    *,
    wants: Wants = Wants(),  # noqa: B008 (frozen)
) -> tuple[tuple[Example, ...], dict[str, int]]:
    def report(done: int, total: int) -> None:
        events.emit("step", stage="encode", step=done, total=total)

    encoding = encode_pictures(dataset, pictures, pipe.to(device), base, config.cache, wants=wants, progress=report)
    return encoding.examples, {"latents": encoding.latents_made, "conditioning": encoding.conditioning_made}


def _held_out(
    dataset: Dataset, pipe: Any, base: Base, config: TrainConfig, device: torch.device, events: Events
) -> tuple[tuple[Picture, Example], ...]:
    """The held-out pictures, encoded, where the job measures on them between steps."""
    if config.validate_every is None:
        return ()
    pictures = dataset.split("held_out")
    if not pictures:
        raise DatasetError(f"validate_every measures on held-out pictures and '{config.dataset}' has none: set dataset.held_out")
    return tuple(zip(pictures, _encoded(dataset, pictures, pipe, base, config, device, events)[0], strict=True))


def _check_belongs(adapter: Path, config: TrainConfig, dataset: Dataset, base: Base) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((adapter / "training.json").read_text(encoding="utf-8"))
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
    return record
