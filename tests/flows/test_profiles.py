"""Profiles of work pools: Prefect's own templates with our values, valid as Prefect, docker-py and Kubernetes read them."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from docker.types import HostConfig
from prefect.utilities.templating import apply_values, find_placeholders

from flows.errors import JobError
from flows.orchestration.orchestrator import POOLS
from flows.orchestration.profiles import USER, Pool, limit_of, load_profile, profiles, shipped, template

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "flows" / "deployments"
KUBERNETES = "1.34"
CASES = [(profile, pool) for profile in profiles() for pool in POOLS]
SECRET_WORDS = ("KEY", "TOKEN", "PASSWORD", "SECRET", "AUTH")


def filled(made: dict[str, Any]) -> Any:
    """A pool's job as a worker makes it where a run gives no values of its own: variables are their defaults, or left out."""
    defaults = {name: each["default"] for name, each in made["variables"]["properties"].items() if "default" in each}
    return apply_values(made["job_configuration"], {"name": "run", "labels": {}, "command": "prefect"} | defaults)


def manifest(pool: str) -> dict[str, Any]:
    """A Kubernetes job as it is sent: the worker turns env and command into lists."""
    made: dict[str, Any] = filled(template(load_profile("kubernetes").pools[pool]))["job_manifest"]
    (container,) = made["spec"]["template"]["spec"]["containers"]
    container["env"] = [{"name": name, "value": value} for name, value in container["env"].items()]
    container["args"] = container["args"].split()
    return made


def test_the_profiles_are_there() -> None:
    assert profiles() == ("docker", "gpu-box", "kubernetes", "laptop")


@pytest.mark.parametrize(("profile", "pool"), CASES)
def test_defaults_are_what_the_templates_own_schema_allows(profile: str, pool: str) -> None:
    variables = template(load_profile(profile).pools[pool])["variables"]
    jsonschema.Draft202012Validator.check_schema(variables)
    defaults = {name: each["default"] for name, each in variables["properties"].items() if "default" in each}
    jsonschema.validate(defaults, variables)
    assert load_profile(profile).pools[pool].variables.items() <= defaults.items()


@pytest.mark.parametrize(("profile", "pool"), CASES)
def test_every_placeholder_has_a_variable(profile: str, pool: str) -> None:
    made = template(load_profile(profile).pools[pool])
    assert {each.name for each in find_placeholders(made["job_configuration"])} <= made["variables"]["properties"].keys()


@pytest.mark.parametrize(("profile", "pool"), CASES)
def test_no_secret_is_in_a_template(profile: str, pool: str) -> None:
    """Prefect would resolve a reference to a block as it deploys, and keep the value in plain text."""
    given = load_profile(profile).pools[pool]
    assert "prefect.blocks" not in json.dumps(given.model_dump())
    assert not [name for name in given.variables.get("env", {}) if any(word in name for word in SECRET_WORDS)]


def test_docker_takes_the_jobs_arguments() -> None:
    job = filled(template(load_profile("docker").pools["gpu"]))
    extra = dict(job["container_create_kwargs"])
    assert extra.pop("user") == str(USER)
    host = HostConfig(version="1.45", network_mode=job["network_mode"], binds=job["volumes"], auto_remove=True, **extra)
    assert [(each["Count"], each["Capabilities"]) for each in host["DeviceRequests"]] == [(-1, [["gpu"]])]
    assert "device_requests" not in filled(template(load_profile("docker").pools["cpu"]))["container_create_kwargs"]
    assert job["privileged"] is False


@pytest.mark.parametrize("pool", POOLS)
def test_kubernetes_takes_the_job(pool: str) -> None:
    kubernetes_validate.validate(manifest(pool), KUBERNETES, strict=True)


def test_the_schema_would_refuse_what_prefect_ships() -> None:
    """Its template has `parallelism` in the pod: the check above is one that can fail."""
    made = manifest("cpu")
    made["spec"]["template"]["spec"]["parallelism"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="parallelism"):
        kubernetes_validate.validate(made, KUBERNETES, strict=True)
    assert "parallelism" in shipped("kubernetes")["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]


def test_only_training_asks_a_cluster_for_gpus_and_keys_come_by_the_name_of_a_secret() -> None:
    for pool, gpus in (("gpu", "1"), ("cpu", None)):
        pod = manifest(pool)["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["resources"]["limits"].get("nvidia.com/gpu") == gpus
        assert container["envFrom"] == [{"secretRef": {"name": "lorasmith"}}]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}


@pytest.mark.parametrize("profile", profiles())
def test_both_pools_of_a_profile_share_one_home(profile: str) -> None:
    given = load_profile(profile).pools
    assert given["cpu"].variables.get("env") == given["gpu"].variables.get("env")
    assert given["cpu"].claims == given["gpu"].claims
    assert given["cpu"].variables.get("volumes") == given["gpu"].variables.get("volumes")


@pytest.mark.parametrize(
    ("limit", "gpus", "runs"), [("gpus", 4, 4), ("gpus", 0, 1), (1, 4, 1), (None, 4, None)], ids=["box", "no GPU", "one", "none"]
)
def test_the_limit_of_a_pool(limit: Any, gpus: int, runs: int | None) -> None:
    assert limit_of(Pool(limit=limit), gpus) == runs


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"pools": {"cpu": {"type": "process"}}}, "must be gpu and cpu"),
        ({"pools": {"cpu": {"limits": 1}, "gpu": {}}}, "limits"),
        ({"pools": {"cpu": {}, "gpu": {"secret": "not a name"}}}, "secret"),
    ],
)
def test_a_profile_of_ones_own_is_read_strictly(content: dict[str, Any], says: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(JobError, match=says):
        load_profile(str(file))


@pytest.mark.parametrize(
    ("pool", "says"),
    [
        (Pool(type="docker", variables={"gpus": 1}), "variables.gpus: a docker pool"),
        (Pool(type="kubernetes", gpus="all"), "a number of GPUs"),
    ],
)
def test_what_a_pool_can_not_have_is_refused(pool: Pool, says: str) -> None:
    with pytest.raises(JobError, match=says):
        template(pool)


DOCKERFILE = (FOLDER / "Dockerfile").read_text()
STEPS = [line.split(maxsplit=1) for line in DOCKERFILE.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]


def step(name: str) -> list[str]:
    return [rest for keyword, rest in STEPS if keyword == name]


def test_the_image_is_built_from_what_is_there() -> None:
    allowed = {line.strip("!/") for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = {source.strip("/") for copy in step("COPY") for source in copy.split()[:-1]}
    assert {source for source in sources if not (ROOT / source).exists()} == set()
    assert sources == allowed
    assert all(f"LOCK={lock.relative_to(ROOT)}" in DOCKERFILE for lock in (ROOT / "requirements").glob("c*.lock"))


def test_the_image_starts_from_a_named_version_and_ends_without_rights_or_secrets() -> None:
    (base,) = step("FROM")
    assert base.split(":")[1].startswith("3.11."), "a tag that moves is not the same image tomorrow"
    assert step("USER") == [str(USER)]
    assert f"--uid {USER} " in DOCKERFILE
    words = " ".join([*step("ENV"), *step("ARG")])
    assert not [word for word in SECRET_WORDS if word in words]
    assert "ADD" not in dict(STEPS)
    assert all("--no-cache-dir" in run for run in step("RUN") if "pip install" in run)


def test_containers_find_what_the_image_has() -> None:
    for name in ("docker", "kubernetes"):
        profile = load_profile(name)
        assert f"WORKDIR {profile.source}" in DOCKERFILE
        assert profile.pools["cpu"].variables["env"]["LORASMITH_HOME"] == "/state"
        for lock, pool in (("cpu", "cpu"), ("cuda", "gpu")):
            assert f"-t {profile.pools[pool].variables['image']} ." in DOCKERFILE
            assert f"{lock}.lock" in next(line for line in DOCKERFILE.splitlines() if f"-t lorasmith:{lock} " in line)
