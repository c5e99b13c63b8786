"""license check and license report."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="What the licences allow.", no_args_is_help=True)

Base = Annotated[str, typer.Argument(help="Base: owner/name on the Hub, or a folder.")]
Revision = Annotated[str | None, typer.Option(help="Commit, tag or branch.")]
Component = Annotated[list[str] | None, typer.Option(help="ROLE=REPO, may be repeated.")]
Dataset = Annotated[str | None, typer.Option(help="Dataset: folder or Hub id.")]
Publisher = Annotated[Path | None, typer.Option(help="publisher.yaml; without it the cautious defaults hold.")]


@app.command()
def check(
    base: Base,
    revision: Revision = None,
    component: Component = None,
    dataset: Dataset = None,
    publisher: Publisher = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole verdict as JSON.")] = False,
) -> None:
    """May this base be trained on and hosted for money? Exit 0 yes, 3 no.

    Example: lorasmith license check black-forest-labs/FLUX.1-dev
    """
    verdict, code = judged(base, revision, component, dataset, publisher)
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
    html: Annotated[Path | None, typer.Option(help="Write one self-contained page there.")] = None,
) -> None:
    """The verdict as a report: Markdown on standard output, and a page with --html.

    Example: lorasmith license report examples/base --dataset examples/emoji/pictures --html report.html
    """
    from licenses import report as rendering

    verdict, code = judged(base, revision, component, dataset, publisher)
    print(rendering.markdown(verdict))
    if html:
        html.write_text(rendering.html(verdict), encoding="utf-8")
    raise typer.Exit(code)


def judged(
    base: str, revision: str | None, component: list[str] | None, dataset: str | None, publisher: Path | None
) -> tuple[dict[str, Any], int]:
    from flows.errors import JobError
    from flows.job_file import read_publisher
    from licenses.check import check
    from licenses.publisher import load_publisher

    parts = [text.partition("=") for text in component or []]
    for role, equals, repo in parts:
        if not (role and equals and repo):
            raise JobError(f"--component {role}{equals}{repo}: write ROLE=REPO, such as vae=owner/name")
    verdict = check(
        base,
        revision=revision,
        components={role: repo for role, _, repo in parts},
        dataset=dataset,
        publisher=load_publisher(read_publisher(publisher) if publisher else {}),
    )
    return verdict.as_json(), verdict.exit_code
