"""Where flows run: a profile says of what type the two work pools are, and what a run gets there. flows/deployments/*.yaml.

prefect.yaml is the same for all of them. A pool's base job template is the one that Prefect ships, with the profile's values as
defaults and with what Prefect's has no variable for: GPUs, volumes, secrets by name, a user without rights.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from flows.errors import JobError
from flows.orchestration.orchestrator import POOLS

DEFAULT: Final = "gpu-box"  # on a machine with one GPU or none it is what laptop is
FOLDER: Final = Path(__file__).resolve().parents[1] / "deployments"
SHIPPED: Final = "collections_data/views/aggregate-worker-metadata.json"
USER: Final = 10001  # of the Dockerfile
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Pool(Part):
    """A work pool: its type, how many of its runs go on at once, and what each is given."""

    type: Literal["process", "docker", "kubernetes"] = "process"
    limit: Annotated[int, Field(ge=1)] | Literal["gpus"] | None = Field(None, description="Runs at once; gpus: as the machine has")
    gpus: Annotated[int, Field(ge=1)] | Literal["all"] | None = Field(None, description="GPUs of a container")
    variables: dict[str, Any] = Field(default_factory=dict, description="Defaults of the template's variables")
    secret: Name | None = Field(None, description="Kubernetes Secret whose keys become environment variables")
    claims: dict[Name, str] = Field(default_factory=dict, description="Kubernetes volume claims, and where they are mounted")


def both(pools: dict[str, Pool]) -> dict[str, Pool]:
    if set(pools) != set(POOLS):
        raise ValueError(f"must be {' and '.join(POOLS)}, which prefect.yaml deploys to")
    return pools


class Profile(Part):
    """How a place runs the flows."""

    source: str | None = Field(None, description="Where runs find the code; default is where it is deployed from")
    pools: Annotated[dict[str, Pool], AfterValidator(both)]


def profiles() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load_profile(name: str) -> Profile:
    """A profile by its name, or by the path of a file of your own. JobError for what is neither, or holds a wrong field."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise JobError(f"profile: got {name!r}; there are {', '.join(profiles())}, or give the path of a .yaml file")
    try:
        return Profile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise JobError(f"{path}: {' '.join(str(error).split())}") from None


def limit_of(pool: Pool, gpus: int) -> int | None:
    """Runs at once, on a machine with `gpus` GPUs."""
    return max(gpus, 1) if pool.limit == "gpus" else pool.limit


def template(pool: Pool) -> dict[str, Any]:
    """The base job template of a pool. JobError where a variable is none of Prefect's template, or of another type."""
    made = shipped(pool.type)
    for name, value in pool.variables.items():
        made["variables"]["properties"][known(name, made, pool)]["default"] = value
    if pool.type == "docker":
        in_docker(made["job_configuration"], pool)
    if pool.type == "kubernetes":
        in_kubernetes(made["job_configuration"]["job_manifest"], pool)
    return made


def shipped(kind: str) -> dict[str, Any]:
    """Prefect's own template for this type of pool, as the installed version ships it."""
    catalogue = json.loads((files("prefect.server.api") / SHIPPED).read_text(encoding="utf-8"))
    found = {worker["type"]: worker for collection in catalogue.values() for worker in collection.values()}
    template: dict[str, Any] = deepcopy(found[kind]["default_base_job_configuration"])
    return template


def known(name: str, made: Mapping[str, Any], pool: Pool) -> str:
    there = made["variables"]["properties"]
    if name not in there:
        raise JobError(f"variables.{name}: a {pool.type} pool of Prefect has {', '.join(sorted(there))}")
    return name


def in_docker(job: dict[str, Any], pool: Pool) -> None:
    """What docker-py gets beside Prefect's own arguments: the GPUs, memory that processes share, and no way to more rights."""
    extra: dict[str, Any] = {"user": str(USER), "shm_size": "1g", "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
    if pool.gpus:
        count = -1 if pool.gpus == "all" else pool.gpus
        extra["device_requests"] = [{"driver": "nvidia", "count": count, "capabilities": [["gpu"]]}]
    job["container_create_kwargs"] = extra


def in_kubernetes(manifest: dict[str, Any], pool: Pool) -> None:
    """GPUs, claims and the Secret's name; and the job's fields that Prefect's template has in the pod, where there are none."""
    job, pod = manifest["spec"], manifest["spec"]["template"]["spec"]
    job |= {name: pod.pop(name) for name in ("parallelism", "completions") if name in pod}
    (container,) = pod["containers"]
    volumes = {name.replace(".", "-"): {"persistentVolumeClaim": {"claimName": name}} for name in pool.claims}
    mounts = {name.replace(".", "-"): path for name, path in pool.claims.items()}
    if pool.gpus:
        if pool.gpus == "all":
            raise JobError("gpus: got 'all'; a Kubernetes cluster gives a number of GPUs")
        container["resources"]["limits"]["nvidia.com/gpu"] = str(pool.gpus)
        volumes["shm"], mounts["shm"] = {"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}, "/dev/shm"
    if pool.secret:
        container["envFrom"] = [{"secretRef": {"name": pool.secret}}]
    container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container["volumeMounts"] = [{"name": name, "mountPath": path} for name, path in mounts.items()]
    pod["volumes"] = [{"name": name} | volume for name, volume in volumes.items()]
    pod["securityContext"] = {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER}
    pod["automountServiceAccountToken"] = False
