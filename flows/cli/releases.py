"""reconcile, retire and gc: the house after a release is live, or should not be any more."""

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.cli.asking import agrees, require_agreed

if TYPE_CHECKING:
    from serving.release.differences import Difference
    from serving.release.platform import Platform
    from serving.release.registry import Registry

Where = Annotated[Literal["sandbox", "fal"], typer.Option(help="sandbox (on loopback) or fal.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


def register(root: typer.Typer) -> None:
    for command in (reconcile, retire, gc):
        root.command()(command)


def reconcile(
    target: Where = "sandbox",
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is safe to mend, and ask about the rest.")] = False,
    wake: Annotated[
        bool, typer.Option("--wake", help="Start a runner where only it can say what runs; on fal that costs.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --repair: do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Hold the registry against the platform. Exit 0 in order or repaired, 5 where something is left.

    Example: lorasmith reconcile --repair
    """
    from flows.targets import open_platform, registry_url
    from serving.release.registry import Registry

    with closing(Registry(registry_url())) as registry, open_platform(target) as platform:
        done, left = _compared(platform, registry, repair=repair, wake=wake, yes=yes)
    if as_json:
        print(json.dumps({"repaired": [one.as_json() for one in done], "left": [one.as_json() for one in left]}, indent=2))
    else:
        print(_table(done, left))
    raise typer.Exit(5 if any(one.level != "notice" for one in left) else 0)


def retire(
    app: Annotated[str, typer.Argument(help="The app of a live release.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the registry and in the mail.")],
    delete: Annotated[bool, typer.Option("--delete/--private", help="Delete the app, or keep it for its owner alone.")] = False,
    lift: Annotated[bool, typer.Option("--lift", help="The other way: let a retired app be published again.")] = False,
    target: Where = "sandbox",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take a release down: a takedown, or licences that bar it now. Callers are refused, scheduled flows leave it alone.

    Example: lorasmith retire emoji-3d --reason "the pictures were withdrawn"
    """
    from flows.errors import JobError
    from flows.retirement import lift_retirement, retire_app
    from serving.release.retire import ANSWERS, Mode

    if not reason.strip():
        raise JobError("--reason: empty; say why, it stands in the registry")
    if lift:
        lift_retirement(app, target, reason=reason)
        print(f"{app} on {target} may be published again: lorasmith publish JOB --target {target}")
        return
    mode: Mode = "delete" if delete else "private"
    print(f"{app} on {target} ({_live(app, target)}): {ANSWERS[mode]}.", file=sys.stderr)
    print("Scheduled flows leave it alone, and publishing it again takes lorasmith retire --lift.", file=sys.stderr)
    require_agreed(f"Retire {app} on {target} ({mode})?", yes, otherwise="not retired")
    row, notes = retire_app(app, target, reason=reason, mode=mode)
    was = row["evidence"]["retirement"]
    print(f"{app} on {target} is retired ({was['mode']}): {was['reason']}")
    print("\n".join(str(path) for path in notes))


def gc(
    target: Where = "sandbox",
    older_than: Annotated[str, typer.Option(help="Leave what is younger alone, such as 30d or 12h.")] = "30d",
    keep: Annotated[int, typer.Option(min=0, help="Revisions to keep on the platform beside those that are needed.")] = 2,
    here: Annotated[bool, typer.Option("--here", help="Look at this disk alone, not at the platform.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Show what nothing needs any more, with sizes, then ask, and remove it: candidates, revisions, artefacts, work, caches, logs.

    Example: lorasmith gc --older-than 7d
    """
    from flows import garbage

    found = garbage.found(target, age=garbage.seconds(older_than), keep=keep, platform=not here)
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        print(found.as_text())
    if not found.items or not (yes or (sys.stdin.isatty() and not as_json)):
        if found.items and not as_json:
            print("nothing was removed: give --yes, or answer the question on a terminal")
        return
    require_agreed("Remove all of this?", yes, otherwise="nothing was removed")
    print(garbage.removed(found, target).as_text(), file=sys.stderr if as_json else sys.stdout)


def _compared(
    platform: "Platform", registry: "Registry", *, repair: bool, wake: bool, yes: bool
) -> tuple[list["Difference"], list["Difference"]]:
    from flows.progress import say
    from serving.release import reconcile as room
    from serving.release.differences import differences

    def agreed(one: "Difference") -> bool:
        return one.level == "safe" or agrees(f"{_said(one)}: {one.remedy}?", yes)

    done, left = [], []
    for view in list(room.look(platform, registry, wake=wake)):
        found = differences(view)
        if repair and any(one.level in ("safe", "ask") for one in found):
            mended, found = room.repair(platform, registry, view.app, agreed=agreed, wake=wake, progress=say)
            done += mended
        left += found
    return done, left


def _table(done: Sequence["Difference"], left: Sequence["Difference"]) -> str:
    lines = [f"repaired  {_said(one)}: {one.remedy}" for one in done]
    lines += [f"{one.level:<8}  {_said(one)} -> {one.remedy}" for one in left]
    return "\n".join(lines) or "registry and platform agree"


def _said(one: "Difference") -> str:
    return f"{one.app} ({one.place}): {one.found}"


def _live(app: str, target: str) -> str:
    """What is about to be retired, in words."""
    from flows.targets import at_present, registry_url
    from serving.release.registry import Registry

    with closing(Registry(registry_url())) as registry:
        live = registry.live(app, target)
    if live is None:
        return "no release of it is live"
    (row,) = at_present([live])
    return f"live as revision {row['revision']} at {row['urls'].get('run', '?')}"
