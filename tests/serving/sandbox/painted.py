"""Deploys picture_app.py as the SDK would, with its OpenAPI or another one."""

from functools import cache
from pathlib import Path
from typing import Any

import isolate_proto as proto
from google.protobuf.struct_pb2 import Struct

from serving.sandbox.control import Running
from serving.sandbox.money.prices import Prices, nano_usd
from serving.sandbox.state import State
from tests.serving.sandbox import picture_app
from tests.serving.sandbox.deployer import Deployer

SOURCE = Path(picture_app.__file__)


def deploy_pictures(deployer: Deployer, name: str, *, openapi: dict[str, Any] | None = None, auth: str = "SHARED") -> str:
    """The new revision; without `openapi` it is published with the app's own."""
    metadata = Struct()
    metadata.update({"openapi": openapi if openapi is not None else own_openapi()})
    call = proto.RegisterApplicationRequest(
        application_name=name,
        entrypoint="picture_app:Pictures.run_local",
        files=deployer.upload({"picture_app.py": SOURCE.read_bytes()}),
        auth_mode=proto.ApplicationAuthMode.Value(auth),
        machine_requirements=proto.MachineRequirements(
            keep_alive=300, startup_timeout=60, max_concurrency=1, machine_types=["GPU-H100"]
        ),
        health_check_config=proto.ApplicationHealthCheckConfig(path="/health", method=proto.ApplicationHealthCheckConfig.POST),
        deployment_strategy=proto.ROLLING,
        metadata=metadata,
    )
    *_, last = deployer.stub.RegisterApplication(call, metadata=deployer.metadata)
    return str(last.result.application_id)


@cache
def own_openapi() -> dict[str, Any]:
    """As FastAPI says it, in the order of the source, which the SDK writes down as well: on their way fields lose it."""
    openapi = dict(picture_app.app.openapi())
    for schema in openapi["components"]["schemas"].values():
        schema["x-fal-order-properties"] = list(schema.get("properties", {}))
    return openapi | {"x-fal-order-paths": list(openapi["paths"])}


def priced(home: Path, running: Running, name: str, usd: str) -> None:
    """Set what an image of the app costs from now on."""
    state = State(home / "sandbox" / "state.db")
    Prices(state.db).set(f"{running.owner}/{name}", nano_usd(usd))
    state.close()
