"""What is live, as the bundle that it was released from: the adapter that a new one has to beat."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

from flows.errors import GateRejected
from flows.home import home
from flows.job import Job
from flows.store import CONTENT, SEAL, Artefact, file_digest
from flows.targets import Target, registry_url


def champion_of(job: Job, adapter: Artefact, target: Target) -> Artefact | None:
    """The bundle behind the live release of the job's app; None where nothing is live.

    Where the adapter is itself what is live, the one that it was judged against when it was released: a second run finds the first
    one's evaluation. GateRejected where a comparison is demanded and the bundle is not on this disk.
    """
    from training.metadata import tensors_sha256

    package = _live_package(job, target)
    if package is None:
        return None
    bundle = released_from(package)
    if bundle is None:
        if not job.gate.beat_champion:
            return None
        raise GateRejected(
            f"what is live for {job.serving.app} (package {package[:12]}) is not on this disk, so nothing can be compared with it: "
            "publish from where it was made, or set gate.beat_champion: false"
        )
    live = json.loads((bundle.path / "manifest.json").read_text())
    if live["tensors_sha256"] != tensors_sha256(adapter.path / "adapter.safetensors"):  # the metadata differ: one is sealed
        return bundle
    former = made_from(bundle.path.parent).get("champion")
    return _bundle(home() / "store" / "bundle" / former) if former else None


def live_bundle(job: Job, target: Target) -> Artefact | None:
    """The bundle of what is live for the job's app; None where nothing is live, or its bundle is not on this disk."""
    package = _live_package(job, target)
    return released_from(package) if package else None


def _live_package(job: Job, target: Target) -> str | None:
    from serving.release.registry import Registry

    with closing(Registry(registry_url())) as registry:
        row = registry.live(job.serving.app, target)
    return row["package"] if row else None


def released_from(package: str) -> Artefact | None:
    """The bundle that a package was built from, by what its inputs say."""
    wanted = {made_from(folder)["bundle"] for folder in built(package)}
    for manifest in sorted((home() / "store" / "bundle").glob(f"*/{CONTENT}/manifest.json")):
        if file_digest(manifest) in wanted:
            return _bundle(manifest.parent.parent)
    return None


def built(package: str) -> list[Path]:
    """The artefacts on this disk that are the package of this hash."""
    packages = (home() / "store" / "package").glob(f"*/{CONTENT}/package.json")
    return [path.parent.parent for path in packages if json.loads(path.read_text())["hash"] == package]


def _bundle(folder: Path) -> Artefact | None:
    if not (folder / SEAL).is_file():
        return None
    return Artefact(kind="bundle", key=folder.name, path=folder / CONTENT, found=True)


def made_from(folder: Path) -> dict[str, Any]:
    """What a sealed artefact was made from."""
    inputs: dict[str, Any] = json.loads((folder / SEAL).read_text())["inputs"]
    return inputs
