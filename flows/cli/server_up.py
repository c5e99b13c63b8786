"""server up, down, status: the Prefect server of this home, with everything that a worker needs on it."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import server_deploy

app = typer.Typer(help="Prefect's server for schedules, queues and approvals, on 127.0.0.1.", no_args_is_help=True)
app.command()(server_deploy.deploy)


@app.command()
def up(
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.", show_default="4200")] = None,
    background: Annotated[bool, typer.Option("--background", help="Return when it is up; it goes on.")] = False,
    prefect_file: Annotated[
        Path | None, typer.Option(help="Deployments other than those of prefect.yaml.", exists=True, dir_okay=False)
    ] = None,
    profile: Annotated[
        str, typer.Option(help="How runs are run: laptop, gpu-box, docker, kubernetes, or a .yaml of yours.")
    ] = "gpu-box",
) -> None:
    """Start it, make the profile's pools, deploy everything, make the automations; then resume what crashes, until it is stopped.

    Example: lorasmith server up --background
    """
    from flows.home import home
    from flows.orchestration import server_process, server_state
    from flows.orchestration.profiles import load_profile

    load_profile(profile)
    if background and server_state.keeper(home()) is None:
        arguments = [
            *(("--port", str(port)) if port is not None else ()),
            *(("--prefect-file", str(prefect_file.resolve())) if prefect_file else ()),
            *("--profile", profile),
        ]
        server_process.chosen_port(port)
        print(
            "Prefect's server starts, and is given pools, deployments and automations: half a minute", file=sys.stderr, flush=True
        )
        state = server_process.start_in_background(home(), arguments)
        where = f"http://127.0.0.1:{state.port}"
        print(f"Prefect's server is up on {where}/api (process {state.pid}); its pages: {where}; the end: lorasmith server down")
        return
    file = prefect_file.resolve() if prefect_file else server_process.FILE
    if not server_process.serve(home(), port=port, file=file, profile=profile, say=lambda line: print(line, flush=True)):
        up_already = server_state.running(home())
        where = f"on http://127.0.0.1:{up_already.port}/api (process {up_already.pid})" if up_already else "and about to be ready"
        print(f"Prefect's server is up already {where}")


@app.command()
def down(
    workers: Annotated[bool, typer.Option("--workers", help="The workers of this home on this machine, too.")] = False,
) -> None:
    """Stop it. What it knows stays for the next start; runs that are under way wait for it a while.

    Example: lorasmith server down --workers
    """
    from flows.home import home
    from flows.orchestration import server_process, worker_process

    for name in worker_process.stop(home()) if workers else ():
        print(f"worker {name} stopped")
    print("Prefect's server stopped" if server_process.stop(home()) else "no Prefect server was up")


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Whether it is up and answers, and which workers of this home are up on this machine.

    Example: lorasmith server status --json
    """
    from dataclasses import asdict

    from flows.home import home
    from flows.orchestration import server_state, worker_process
    from flows.orchestration.orchestrator import address

    state, workers = server_state.running(home()), worker_process.workers_of(home())
    well = state is not None and server_state.answers(address(state.port))
    if as_json:
        server = asdict(state) | {"address": address(state.port), "answers": well} if state else None
        print(json.dumps({"server": server, "workers": [asdict(one) for one in workers]}, indent=2))
    elif state:
        said = "up" if well else "there and does not answer"
        print(f"Prefect's server is {said} on {address(state.port)} (process {state.pid}) since {state.since}")
    elif (keeper := server_state.keeper(home())) is not None:
        print(f"Prefect's server is starting (process {keeper})")
    else:
        print("no Prefect server is up; `lorasmith server up --background` starts one")
    if not as_json:
        for one in workers:
            print(f"worker {one.name} of pool {one.pool} (process {one.pid}): {len(one.runs)} runs")
