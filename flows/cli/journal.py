"""journal: what happened to each release, in order, proven line by line."""

import json
from pathlib import Path
from typing import Annotated

import typer


def register(root: typer.Typer) -> None:
    root.command()(journal)


def journal(
    app: Annotated[str | None, typer.Argument(help="Only lines of this app; the whole chain is proven all the same.")] = None,
    export: Annotated[Path | None, typer.Option(help="Write the whole journal there, one JSON object a line.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, whole rows.")] = False,
) -> None:
    """Prove the journal's chain of hashes, and show it or write it down. Exit 2 where a line is not what was written.

    Example: lorasmith journal --export journal.jsonl
    """
    from contextlib import closing

    from flows.targets import registry_url
    from serving.release.registry import Registry

    with closing(Registry(registry_url())) as registry:
        number = registry.verify_journal()
        lines = [line for line in registry.journal() if app in (None, line["row"].get("app"))]
        if export:
            registry.export_jsonl(export)
    if as_json:
        print(json.dumps(lines, indent=2, default=str))
        return
    for line in lines:
        row = line["row"]
        of = f"{row.get('app', '-')} ({row.get('target', '-')})"
        package = row.get("package") or row.get("subject", {}).get("package", "-")  # of a release, or of what was approved
        print(f"{line['seq']:>5}  {line['at']}  {line['event']:<10} {of} package {package[:12]}")
    print(f"{number} lines, all proven{f'; written to {export}' if export else ''}")
