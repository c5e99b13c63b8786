"""server deploy: pools and deployments on a Prefect server that runs elsewhere."""

from pathlib import Path
from typing import Annotated

import typer


def deploy(
    profile: Annotated[str, typer.Option(help="How runs are run: laptop, gpu-box, docker, kubernetes, or a .yaml of yours.")],
    prefect_file: Annotated[
        Path | None, typer.Option(help="Deployments other than those of prefect.yaml.", exists=True, dir_okay=False)
    ] = None,
) -> None:
    """Make the profile's pools and deploy everything on the server of PREFECT_API_URL, else on this home's; read it back.

    Example: lorasmith server deploy --profile kubernetes
    """
    from flows.home import home
    from flows.orchestration import automating, server_process, worker_process
    from flows.orchestration.orchestrator import adopt
    from flows.orchestration.profiles import load_profile

    load_profile(profile)
    environment = worker_process.environment_of(home(), lambda _: None)
    adopt(environment)
    from flows.orchestration.provisioning import provide

    file = prefect_file.resolve() if prefect_file else server_process.FILE
    for remark in provide(file, environment, automating.FOLDER, profile):
        print(f"! {remark}")
    print(f"deployed to {environment['PREFECT_API_URL']} as {profile}")
