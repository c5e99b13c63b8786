"""A whole publish that can be killed anywhere: its steps, its files, its commits, the verbs of the platform, its trainer."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.failpoints.effects import Effects, watch_files, watch_registry, watched
from tests.operations import drill_world as drill
from tests.operations.hook import sitecustomize as hook

STEPS = {
    "steps": ("check_licences", "prepare_dataset", "evaluate_adapter", "gate_adapter", "package_app", "deploy_app"),
    "adapter_steps": ("adapter_of", "seal_bundle"),
    "listing_steps": ("draw_gallery", "draft_listing", "lay_out_listing"),
    "publish": ("require_approval", "record_run"),
}
MADE = ("verdict", "dataset", "adapter", "bundle", "package", "gallery", "listing")


class Publish:
    """`lorasmith publish`, in one process with its trainer."""

    asking = False

    def prepare(self, home: Path) -> None:
        import flows.publish  # noqa: F401  (loaded once, for all children)

        drill.make(home)

    def run(self, home: Path, effects: Effects) -> None:
        from flows.cli.server import prefect_ready
        from flows.job_file import load_job

        drill.enter(home)
        (home / hook.FLOW).write_text(str(os.getpid()))
        with prefect_ready():
            from flows.publish import publish

            watch(home, effects)
            publish(load_job(home / "job.yaml"), "sandbox")

    def struck(self, home: Path) -> str:
        drill.require_no_orphan(home)
        states = drill.consistent(home).values()
        made = [kind for kind in MADE if drill.finished(home, kind)]
        steps = max(drill.checkpoints(home), default=0)
        trained = f"; step {steps} of {drill.STEPS}" if steps and "adapter" not in made else ""
        return ", ".join(made or ["nothing"]) + trained + "".join(f"; release {state}" for state in states)

    def ended(self, home: Path) -> str:
        drill.require_no_orphan(home)
        assert list(drill.consistent(home).values()) == ["live"]
        for kind in MADE:
            keys = drill.finished(home, kind)
            assert len(keys) == len(set(keys)), f"{kind} was made twice: {keys}"
        deploys = drill.Sandbox(home / "platform.json").deploys
        assert sorted(place for _, place, _ in deploys) == ["candidate", "main"], deploys
        steps = drill.checkpoints(home)
        assert steps == sorted(set(steps)), f"steps were trained again: {steps}"
        assert not drill.half_written(home), drill.half_written(home)
        assert (home / "home" / "runs" / "last.json").is_file()
        return "Completed; trained and deployed once"


def watch(world: Path, effects: Effects) -> None:
    """Tell `effects` of all that this process does, and of its trainer. For the rest of this process."""
    from flows import adapter_steps, steps
    from flows import publish as _  # noqa: F401

    watch_registry(effects)
    watch_files(effects, world / "home", named)
    platform = watched(drill.Sandbox(world / "platform.json"), effects)
    drill.use(world, platform)
    for module in (steps, adapter_steps):
        module.launch_trainer = launching(module.launch_trainer, effects)  # type: ignore[attr-defined]
    watch_steps(effects)


def watch_steps(effects: Effects) -> None:
    import sys

    for module, names in STEPS.items():
        place = sys.modules[f"flows.{module}"]
        for name in names:
            setattr(place, name, beginning(getattr(place, name), name, effects))


def beginning(step: Callable[..., Any], name: str, effects: Effects) -> Callable[..., Any]:
    def told(*arguments: Any, **named: Any) -> Any:
        with effects.around(f"step: {name.replace('_', ' ')}", changes=False):
            pass
        return step(*arguments, **named)

    return told


def launching(launch: Callable[..., Any], effects: Effects) -> Callable[..., Any]:
    """The trainer as an effect, with the moment in it when it has told of its work."""

    def told(arguments: list[str], *, events: Path, **named: Any) -> Any:
        events.unlink(missing_ok=True)
        effects.midway["at work"] = lambda: partial(has_told, events)
        with effects.around(f"trainer: {arguments[0]}"):
            return launch(arguments, events=events, **named)

    return told


def has_told(events: Path) -> bool:
    return events.exists() and events.read_bytes().count(b"\n") > 2


def named(path: Path) -> str:
    """Kinds of artefacts and files, without what differs from run to run."""
    if path.parts[0] == "store":
        inside = len(path.parts) > 3 and path.parts[2].startswith(".")
        return ("in " if inside else "") + " ".join(path.parts[:2]) + (" signature" if len(path.parts) == 4 and not inside else "")
    return "runs/last.json" if path.name == "last.json" else path.parts[0]
