"""license check, license report and license environment."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="What the licences allow.", no_args_is_help=True)

Base = Annotated[str, typer.Argument(help="Base: owner/name on the Hub, a folder, or a .safetensors file.")]
Revision = Annotated[str | None, typer.Option(help="Commit, tag or branch.")]
Component = Annotated[list[str] | None, typer.Option(help="ROLE=REPO, may be repeated.")]
Dataset = Annotated[str | None, typer.Option(help="Dataset: folder or Hub id.")]
Publisher = Annotated[Path | None, typer.Option(help="publisher.yaml; without it the cautious defaults hold.")]
AsOf = Annotated[str | None, typer.Option(help="Judge as of this day, YYYY-MM-DD; without it today. The verdict says so.")]


Location = Annotated[str, typer.Option(help="With --sarif: the file of your repository that names the base.")]


@app.command()
def check(
    base: Base,
    revision: Revision = None,
    component: Component = None,
    dataset: Dataset = None,
    publisher: Publisher = None,
    as_of: AsOf = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole verdict as JSON.")] = False,
    sarif: Annotated[Path | None, typer.Option(help="Write the reasons there as SARIF 2.1.0, for code scanning.")] = None,
    location: Location = "job.yaml",
) -> None:
    """May this base be trained on and hosted for money? Exit 0 yes, 3 no.

    Example: lorasmith license check black-forest-labs/FLUX.1-dev
    """
    verdict, code = judged(base, revision, component, dataset, publisher, as_of)
    if sarif:
        from licenses.sarif import of_verdict

        write_sarif(sarif, of_verdict(verdict), location)
    if as_json:
        print(json.dumps(verdict, indent=2, ensure_ascii=False))
    else:
        from licenses import report

        print(report.one_line(verdict))
    raise typer.Exit(code)


@app.command()
def report(
    base: Base,
    revision: Revision = None,
    component: Component = None,
    dataset: Dataset = None,
    publisher: Publisher = None,
    as_of: AsOf = None,
    html: Annotated[Path | None, typer.Option(help="Write one self-contained page there.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the verdict there.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the Markdown there, and one line on standard output.")] = None,
) -> None:
    """The verdict as a report: Markdown on standard output, and files where they are asked for. Exit 0 allowed, 3 not.

    Example: lorasmith license report examples/base --dataset examples/emoji/pictures --html report.html
    """
    from flows.books.records import write_json, write_text
    from licenses import report as rendering

    verdict, code = judged(base, revision, component, dataset, publisher, as_of)
    if html:
        write_text(html, rendering.html(verdict))
    if json_file:
        write_json(json_file, verdict)
    if markdown:
        write_text(markdown, rendering.markdown(verdict))
    print(rendering.one_line(verdict) if markdown else rendering.markdown(verdict))
    raise typer.Exit(code)


@app.command()
def live(
    base: Annotated[list[str] | None, typer.Option(help="A base that is waited for, may be repeated.")] = None,
    target: Annotated[str | None, typer.Option(help="sandbox or fal; without it both.")] = None,
    publisher: Publisher = None,
    out: Annotated[Path | None, typer.Option(help="Write report.html, .md, .sarif and .json into this folder, too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Every row, as report.json has it.")] = False,
) -> None:
    """Is what is live still allowed? Each release is asked about again. Exit 0 yes, 3 no, 5 where somebody could not be asked.

    Example: lorasmith license live --out reports
    """
    from flows.job_file import read_publisher
    from flows.licensing import license_files
    from flows.licensing.recheck import target_named

    found = license_files.checked(target_named(target), base or [], read_publisher(publisher) if publisher else {})
    if target is None:
        license_files.keep(found)
    if out:
        license_files.write(found, out)
    print(json.dumps(license_files.as_json(found), indent=2, ensure_ascii=False) if as_json else license_files.page(found))
    codes = {getattr(error, "exit_code", 1) for error in found.errors.values()}
    raise typer.Exit(3 if found.barred else min(codes) if codes else 0)


@app.command()
def drift(
    base: Annotated[list[str] | None, typer.Option(help="A base that is waited for, may be repeated.")] = None,
    target: Annotated[str | None, typer.Option(help="sandbox or fal; without it both.")] = None,
    publisher: Publisher = None,
    as_json: Annotated[bool, typer.Option("--json", help="Every change, with the clauses that came and went.")] = False,
    sarif: Annotated[Path | None, typer.Option(help="Write the changes there as SARIF 2.1.0, for code scanning.")] = None,
    location: Location = "job.yaml",
) -> None:
    """Have the terms of what is live changed since they were accepted? Exit 0 no, 3 yes, 5 where somebody could not be asked.

    Example: lorasmith license drift --sarif drift.sarif
    """
    from flows.job_file import read_publisher
    from flows.licensing import recheck

    chosen = recheck.target_named(target)
    asked = list(recheck.every(chosen, base or [], read_publisher(publisher) if publisher else {}))
    rows = [row for _, row in asked if isinstance(row, dict)]
    faults = [f"{name}: {error}" for name, error in asked if not isinstance(error, dict)]
    if sarif:
        write_sarif(sarif, [one | {"subject": row["app"] or row["base"]} for row in rows for one in row["changes"]], location)
    if as_json:
        print(json.dumps({"releases": rows, "faults": faults}, indent=2, ensure_ascii=False))
    else:
        from flows.licensing.drift_text import as_markdown

        print(as_markdown(rows) if rows or not faults else "", end="")
    for fault in faults:
        print(f"lorasmith: {fault}", file=sys.stderr)
    states = {row["state"] for row in rows}
    codes = {getattr(error, "exit_code", 1) for _, error in asked if not isinstance(error, dict)}
    raise typer.Exit(3 if "re-review" in states else min(codes) if codes else 5 if "unconfirmed" in states else 0)


@app.command()
def reviewed(
    app_name: Annotated[
        str, typer.Argument(metavar="APP_OR_BASE", help="The app of a live release, or a base that is waited for.")
    ],
    by: Annotated[str, typer.Option(help="Who read what changed.")],
    reason: Annotated[str, typer.Option(help="Why it may go on.")],
    target: Annotated[str, typer.Option(help="sandbox or fal.")] = "sandbox",
) -> None:
    """A person has read what changed and it may go on: retraining is free again, later checks compare with these terms.

    Example: lorasmith license reviewed emoji-3d --by "A. Person" --reason "only the address of the licensor changed"
    """
    from flows.licensing import recheck

    accepted = recheck.accept(app_name, recheck.target_named(target) or "sandbox", by=by, reason=reason)
    print(f"{app_name}: accepted as of verdict {accepted[:12]} by {by}")


@app.command()
def environment(
    package: Annotated[list[str] | None, typer.Argument(help="Packages; without any, what a packaged app installs.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every package that is installed here.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Each package with what it declares and what its files hold.")] = False,
) -> None:
    """May these Python packages, and what they require, be deployed? Exit 0 yes, 3 no.

    Example: lorasmith license environment
    """
    from licenses.environment import as_json as plain
    from licenses.environment import installed
    from serving.release.app_toml import requirements

    packages = installed(None if every else package or requirements())
    said = plain(packages)
    if as_json:
        print(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        for name, version, finding in ((one.name, one.version, finding) for one in packages for finding in one.findings):
            print(f"{name} {version}: {finding.code}: {finding.text}")
        print(f"{len(packages)} packages, {sum(bool(one.findings) for one in packages)} that may not be deployed")
    raise typer.Exit(0 if said["verdict"] == "allow" else 3)


def write_sarif(file: Path, findings: list[dict[str, Any]], location: str) -> None:
    from importlib.metadata import version

    from flows.books.records import write_json
    from licenses.sarif import sarif

    write_json(file, sarif(findings, version=version("lorasmith"), location=location))


def judged(
    base: str, revision: str | None, component: list[str] | None, dataset: str | None, publisher: Path | None, as_of: str | None
) -> tuple[dict[str, Any], int]:
    from flows.errors import JobError
    from flows.job_file import read_publisher
    from flows.licensing.rights import trust_for
    from licenses.check import check
    from licenses.publisher import load_publisher

    parts = [text.partition("=") for text in component or []]
    for role, equals, repo in parts:
        if not (role and equals and repo):
            raise JobError(f"--component {role}{equals}{repo}: write ROLE=REPO, such as vae=owner/name")
    profile = load_publisher(read_publisher(publisher) if publisher else {})
    verdict = check(
        base,
        revision=revision,
        components={role: repo for role, _, repo in parts},
        dataset=dataset,
        publisher=profile,
        as_of=as_of,
        trust=trust_for(profile),
    )
    return verdict.as_json(), verdict.exit_code
