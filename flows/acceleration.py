"""How far the pictures of a job's acceleration are from exact ones: measured once for a base, an adapter and a way of calling."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from flows.home import home
from flows.job import Job
from flows.progress import bar, say
from flows.store import file_digest, make, tree_digest

if TYPE_CHECKING:
    from serving.app.settings import Acceleration
    from serving.release.package import AppSettings

SERVING = Path(__file__).resolve().parent.parent / "serving"
CODE = ("quality.py", "quality_child.py", "likeness.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class Accelerated:
    """For settings.json, with the worst picture's quality, and for quality.json."""

    acceleration: "Acceleration"
    report: dict[str, Any]


def require_possible(job: Job) -> None:
    """PackageError where the base's denoiser can not be accelerated so; of a Hub base that is not here yet it is found later."""
    if job.base.folder and job.serving.acceleration != "none":
        from serving.release import quality

        quality.require_possible(job.serving.acceleration, job.base.folder)


def accelerated(job: Job, bundle: Path, exact: "AppSettings", *, base: Any, revision: str | None) -> Accelerated | None:
    """The level that the job names, measured on the samples of its evaluation; None where it names none.

    base: what the base's weights are known by. revision: commit of a base on the Hub.
    """
    level = job.serving.acceleration
    if level == "none":
        return None
    from serving.app.settings import Acceleration
    from serving.release import quality
    from serving.release.package import package_settings

    manifest, evaluation = (json.loads((bundle / name).read_text()) for name in ("manifest.json", "evaluation.json"))
    folder = job.base.folder or quality.cached_base(job.base.repo, revision or "")
    quality.require_possible(level, folder, ref=job.base.ref)
    assert folder
    settings = package_settings(exact, manifest, base=folder, base_ref=folder.name, base_revision=revision)
    inputs = {
        "level": level,
        "base": base,
        "bundle": file_digest(bundle / "manifest.json"),
        "samples": evaluation["samples"],
        "call": to_jsonable_python([settings.inference, settings.default_size, settings.pipeline]),
        "code": [tree_digest(SERVING / "app", "*.py"), *(file_digest(SERVING / "release" / name) for name in CODE)],
    }

    def measure(out: Path) -> None:
        with bar("accelerate"):
            found = quality.measured(
                level,
                base=folder,
                adapter=bundle / "adapter.safetensors",
                exact=settings,
                evaluation=evaluation,
                log=home() / "logs" / "acceleration.log",
            )
        (out / "acceleration.json").write_text(found.acceleration.model_dump_json())
        (out / "quality.json").write_text(json.dumps(found.report))
        say(f"  {level}: {json.dumps(found.speed)}")

    kept = make(home(), "quality", inputs, measure).path
    report = json.loads((kept / "quality.json").read_text())
    return Accelerated(acceleration=Acceleration.model_validate_json((kept / "acceleration.json").read_text()), report=report)
