"""What a Prefect server needs before a worker may come: both pools, all deployments of prefect.yaml read back, the automations."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from flows.errors import FlowError
from flows.orchestration.orchestrator import POOLS, SOURCE
from flows.orchestration.profiles import DEFAULT, Pool, limit_of, load_profile, template

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

# What Prefect 3.7 reads of a deployment; it drops any other key without a word.
KEYS: Final = frozenset(
    [
        *("name", "entrypoint", "description", "tags", "version", "parameters", "concurrency_limit", "enforce_parameter_schema"),
        *("work_pool", "schedules", "triggers"),
    ]
)
POOL_KEYS: Final = frozenset(("name", "work_queue_name", "job_variables"))


def gpus(environment: Mapping[str, str]) -> int:
    """How many GPUs runs may use here: what CUDA_VISIBLE_DEVICES names, else what the machine has; 1 where there is none."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    seen = len([one for one in named.split(",") if one.strip()]) if named is not None else len(found_gpus())
    return max(seen, 1)


def found_gpus() -> list[Path]:
    return list(Path("/dev").glob("nvidia[0-9]*"))


def make_pools(client: "SyncPrefectClient", pools: Mapping[str, Pool], gpus: int) -> None:
    """The pools that are missing; limit and template of those that are there. One that is paused stays paused."""
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName

    there = {
        pool.name: pool for pool in client.read_work_pools(work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[*POOLS])))
    }
    for name, pool in pools.items():
        limit, made = limit_of(pool, gpus), template(pool)
        if name not in there:
            wanted = WorkPoolCreate(name=name, type=pool.type, concurrency_limit=limit, base_job_template=made)
            client.create_work_pool(wanted)
        elif there[name].type != pool.type:
            raise FlowError(
                f"work pool {name} is of type {there[name].type}, and {pool.type} in the profile: name another with --profile, or "
                f"`prefect work-pool delete {name}` first"
            )
        elif pool.type != "process" and there[name].base_job_template != made:
            client.update_work_pool(name, WorkPoolUpdate(concurrency_limit=limit, base_job_template=made))
        elif limit is not None and there[name].concurrency_limit != limit:
            client.update_work_pool(name, WorkPoolUpdate(concurrency_limit=limit))


def deploy_all(file: Path, environment: Mapping[str, str]) -> None:
    """`prefect deploy --all`: never one by its name, which would go to a default pool where somebody has set one."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    done = subprocess.run(command, env=dict(environment), cwd=SOURCE, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).split())[-400:]
        raise FlowError(f"`prefect deploy --all` of {file} ended with {done.returncode}: {said}")


def deployments_of(file: Path, environment: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """The deployments of a prefect.yaml; FlowError names what Prefect would ignore."""
    content = yaml.safe_load(file.read_text())
    found: list[dict[str, Any]] = content["deployments"]
    for each in found:
        unknown = sorted([*(each.keys() - KEYS), *(f"work_pool.{key}" for key in each.get("work_pool", {}).keys() - POOL_KEYS)])
        if unknown:
            raise FlowError(
                f"{file.name}: deployment {each['name']}: unknown {', '.join(unknown)}: Prefect would ignore it in silence"
            )
    return found


def read_back(client: "SyncPrefectClient", wanted: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the server has of the deployments of prefect.yaml, as remarks; FlowError where one is not what was asked for."""
    from prefect.client.schemas.sorting import DeploymentSort

    there = {(one.entrypoint, one.name): one for one in client.read_deployments(limit=200, sort=DeploymentSort.NAME_ASC)}
    faults = [fault for each in wanted for fault in differences(each, there.get((each["entrypoint"], each["name"])))]
    if faults:
        raise FlowError(f"what was deployed is not what prefect.yaml says: {'; '.join(faults)}")
    known = {(each["entrypoint"], each["name"]) for each in wanted}
    return [
        f"deployment {name} is on the server and not in prefect.yaml; its schedules go on until `prefect deployment delete` ends it"
        for entrypoint, name in sorted(there.keys() - known, key=str)
    ]


def differences(wanted: Mapping[str, Any], found: "DeploymentResponse | None") -> list[str]:
    """Where a deployment is not what its lines in prefect.yaml say."""
    if found is None:
        return [f"{wanted['name']} is missing"]
    is_there = what_is(found)
    return [
        f"{wanted['name']}: {key} is {is_there[key]!r}, not {value!r}"
        for key, value in what_was_asked(wanted).items()
        if is_there[key] != value
    ] + [f"{wanted['name']}: schedule {slug} is missing" for slug in slugs(wanted) - {one.slug for one in found.schedules}]


def what_was_asked(wanted: Mapping[str, Any]) -> dict[str, Any]:
    pool, limit = wanted["work_pool"], wanted.get("concurrency_limit")
    limit = {"limit": limit} if isinstance(limit, int) else limit or {}
    return {
        "pool": pool["name"],
        "queue": pool.get("work_queue_name", "default"),
        "limit": limit.get("limit"),
        "collision": limit.get("collision_strategy", "ENQUEUE") if limit else None,
        "tags": sorted(wanted.get("tags", [])),
        "schema enforced": wanted.get("enforce_parameter_schema", True),
        "parameters": wanted.get("parameters", {}),
    }


def what_is(found: "DeploymentResponse") -> dict[str, Any]:
    limit, options = found.global_concurrency_limit, found.concurrency_options
    return {
        "pool": found.work_pool_name,
        "queue": found.work_queue_name,
        "limit": limit.limit if limit else None,
        "collision": (options.collision_strategy.value if options else "ENQUEUE") if limit else None,
        "tags": sorted(found.tags),
        "schema enforced": found.enforce_parameter_schema,
        "parameters": found.parameters,
    }


def slugs(wanted: Mapping[str, Any]) -> set[str]:
    return {schedule["slug"] for schedule in wanted.get("schedules", [])}


def provide(file: Path, environment: Mapping[str, str], automations: Path, profile: str = DEFAULT) -> list[str]:
    """All of it, on the server of `environment`; remarks for a person. What an operator paused stays paused."""
    from prefect import get_client

    from flows.orchestration import automating

    wanted, place = deployments_of(file), load_profile(profile)
    code = {"LORASMITH_SOURCE": place.source} if place.source else {}
    with get_client(sync_client=True) as client:
        make_pools(client, place.pools, gpus(os.environ))
        paused = automating.paused(client)  # deploying makes the triggers of deployments anew, awake
        deploy_all(file, {**environment, **code})
        remarks = read_back(client, wanted)
        remarks += automating.create_all(client, automations)
        automating.pause_again(client, paused)
    return remarks
