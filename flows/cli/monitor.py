"""monitor: one look at what is live, as text, JSON or Prometheus metrics, and a port that a Prometheus scrapes."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="What the live releases answer, earn and cost.")

Target = Annotated[str | None, typer.Option(help="sandbox or fal; without it both.")]
File = Annotated[Path | None, typer.Option(help="Write the metrics there too, for node_exporter's textfile collector (*.prom).")]


@app.callback(invoke_without_command=True)
def monitor(
    context: typer.Context,
    target: Target = None,
    prometheus: File = None,
    as_json: Annotated[bool, typer.Option("--json", help="Every figure and every finding.")] = False,
) -> None:
    """Look at every live release and judge it by its job's thresholds. Exit 0, 4 where something is an alert, 5 where the platform
    could not be asked.

    Example: lorasmith monitor --prometheus /var/lib/node_exporter/lorasmith.prom
    """
    if context.invoked_subcommand:
        return
    from flows.licensing.recheck import target_named
    from flows.monitoring.round import ask_platform, rounded
    from flows.monitoring.telling import as_json as row_of
    from flows.monitoring.telling import as_text

    reports = rounded(target_named(target), ask_platform)
    rows = [row_of(report) for report in reports]
    if prometheus:
        from flows.monitoring.prometheus import write

        write(prometheus, rows)
    print(json.dumps({"releases": rows}, indent=2) if as_json else as_text(reports), end="\n" if as_json else "")
    raise typer.Exit(5 if any(one.look.fault for one in reports) else 4 if any(one.level == "alert" for one in reports) else 0)


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 9477,
) -> None:
    """Answer Prometheus on http://127.0.0.1:PORT/metrics with the last look, until Ctrl-C; the platform is not asked.

    Example: lorasmith monitor serve --port 9477
    """
    from flows.home import home
    from flows.monitoring.prometheus import served
    from flows.monitoring.round import LAST

    with served(home() / LAST, port) as address:
        print(f"metrics of the last look: {address}/metrics; Ctrl-C ends it", flush=True)
        import threading

        threading.Event().wait()
