"""sample and doctor."""

from pathlib import Path
from typing import Annotated

import typer


def register(root: typer.Typer) -> None:
    root.command()(sample)
    root.command()(doctor)


def sample(
    bundle: Annotated[Path, typer.Argument(help="Folder of the adapter (see `lorasmith train`).")],
    prompt: Annotated[str, typer.Option(help="What to draw.")],
    out: Annotated[Path, typer.Option(help="Picture to write: .png, .jpg or .webp.")] = Path("sample.png"),
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 0,
    scale: Annotated[float, typer.Option(min=0, max=2, help="Strength of the adapter.")] = 1.0,
    base: Annotated[str | None, typer.Option(help="Base, where it is not where the adapter was trained.")] = None,
) -> None:
    """Draw one picture with an adapter.

    Example: lorasmith sample $(lorasmith train job.yaml) --prompt "a red apple" --out apple.png
    """
    from training.sample import sample as draw

    print(draw(bundle, prompt, seed=seed, scale=scale, out=out, base=base))


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what is missing for training and for fal, and how to mend it.

    Example: lorasmith doctor
    """
    import json
    from dataclasses import asdict

    from flows.cli.doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([asdict(each) for each in findings], indent=2))
        return
    for each in findings:
        print(f"{'ok     ' if each.ok else 'missing'} {each.name:<12} {each.found}{'' if each.ok else f' -> {each.mend}'}")
