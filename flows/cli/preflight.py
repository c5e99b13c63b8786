"""preflight: what speaks against a deploy, and what fal does not tell beforehand, before anything costs money."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from serving.release.preflight import Finding

Target = Literal["sandbox", "fal"]
MARKS = {"passed": "✓", "failed": "✗", "warning": "!", "unknown": "?"}


def register(root: typer.Typer) -> None:
    root.command()(preflight)


def preflight(
    file: Annotated[Path, typer.Argument(help="job.yaml")],
    target: Annotated[Target, typer.Option(help="sandbox (on loopback) or fal.")] = "sandbox",
    probe: Annotated[bool, typer.Option("--probe", help="Try what can not be asked, with a tiny app; on fal this costs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the probe.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say whether a job can be deployed: key, machine, secrets, package, licences, budget. Without --probe nothing costs.

    Exit 0 where nothing speaks against it, else the code of the first thing that does; what is unknown stops nothing.

    Example: lorasmith preflight examples/emoji/job.yaml
    """
    from flows.cli.publish import ask_before_cost
    from flows.job_file import load_job
    from flows.preflight import findings_of, merged, probed
    from serving.release.preflight import failures

    job = load_job(file)
    findings = findings_of(job, target)
    if probe and not any(finding.check == "key" and finding.state == "failed" for finding in findings):
        ask_before_cost(target, yes)
        findings = merged(findings, probed(target))
    failed = failures(findings)
    record = {"job": job.name, "target": target, "ready": not failed, "findings": [row(finding) for finding in findings]}
    print(json.dumps(record, indent=2) if as_json else "\n".join(map(line, findings)))
    raise typer.Exit(failed[0].exit_code if failed else 0)


def row(finding: "Finding") -> dict[str, Any]:
    return {name: value for name, value in asdict(finding).items() if name != "exit_code" or finding.state == "failed"}


def line(finding: "Finding") -> str:
    """One finding; what is to be done about it stands below."""
    mend = f"\n  {'':<18} {finding.do}" if finding.do and finding.state != "passed" else ""
    return f"{MARKS[finding.state]} {finding.check:<18} {finding.got}{mend}"
