"""The control plane: what belongs to an account stays with it, settings are kept or cleared, runners can be seen and stopped."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
import isolate_proto as proto
import psutil
import pytest

from serving.sandbox.control import Running
from tests.serving.sandbox.deployer import Deployer, client_of, until


@pytest.fixture(scope="module")
def other(sandbox: Running) -> Iterator[Deployer]:
    """The second account, with all rights of its own."""
    deployer = Deployer(sandbox, key=sandbox.caller_key)
    yield deployer
    deployer.close()


@pytest.fixture(scope="module")
def owned(owner: Deployer) -> Iterator[dict[str, str]]:
    """What the first account has, until the end of these tests."""
    owner.rpc("CreateEnvironment", proto.CreateEnvironmentRequest(name="guarded"))
    owner.rpc("SetSecret", proto.SetSecretRequest(name="GUARDED", value="planted"))
    revision = owner.deploy("guarded", {"version": 1}, machine={"min_concurrency": 1})
    owner.call("guarded")
    yield {"revision": revision, "runner": runners_of(owner, "guarded")[0].runner_id}
    owner.rpc("DeleteAlias", proto.DeleteAliasRequest(alias="guarded"))
    owner.rpc("SetSecret", proto.SetSecretRequest(name="GUARDED"))
    owner.rpc("DeleteEnvironment", proto.DeleteEnvironmentRequest(name="guarded"))


def runners_of(owner: Deployer, name: str, **request: Any) -> list[Any]:
    return list(owner.rpc("ListAliasRunners", proto.ListAliasRunnersRequest(alias=name, **request)).runners)


def alias_of(owner: Deployer, name: str) -> Any:
    return next(alias for alias in owner.rpc("ListAliases", proto.ListAliasesRequest()).aliases if alias.alias == name)


def refusal(call: Callable[[], Any]) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as failure:
        call()
    found: grpc.StatusCode = failure.value.code()
    return found


def test_a_second_account_sees_nothing_of_the_first(other: Deployer, owned: dict[str, str]) -> None:
    assert list(other.rpc("ListAliases", proto.ListAliasesRequest()).aliases) == []
    assert list(other.rpc("ListApplications", proto.ListApplicationsRequest()).applications) == []
    assert list(other.rpc("ListRunners", proto.ListRunnersRequest()).runners) == []
    assert list(other.rpc("ListSecrets", proto.ListSecretsRequest()).secrets) == []
    assert [item.name for item in other.rpc("ListEnvironments", proto.ListEnvironmentsRequest()).environments] == ["main"]
    assert [key.alias for key in other.rpc("ListUserKeys", proto.ListUserKeysRequest()).user_keys] == ["sandbox"]
    assert other.http.get("/applications/metrics").json() == {"apps": {}, "summary": {"total_gpu_by_type": {}}}
    for path in ("/applications/sandbox-owner/guarded/queue", f"/runners/{owned['runner']}"):
        assert other.http.get(path).status_code == 404
    assert other.http.post("/logs/history", params={"job_id": owned["runner"]}).status_code == 404
    assert other.call("guarded").status_code == 403


def test_a_second_account_changes_nothing_of_the_first(other: Deployer, owner: Deployer, owned: dict[str, str]) -> None:
    for method, request in (
        ("SetAlias", proto.SetAliasRequest(alias="guarded", revision=owned["revision"])),
        ("UpdateApplication", proto.UpdateApplicationRequest(application_name="guarded", keep_alive=1)),
        ("RolloutApplication", proto.RolloutApplicationRequest(application_name="guarded")),
        ("ListAliasRunners", proto.ListAliasRunnersRequest(alias="guarded")),
        ("DeleteAlias", proto.DeleteAliasRequest(alias="guarded")),
        ("DeleteApplication", proto.DeleteApplicationRequest(application_id=owned["revision"])),
        ("StopRunner", proto.StopRunnerRequest(runner_id=owned["runner"])),
        ("KillRunner", proto.KillRunnerRequest(runner_id=owned["runner"])),
        ("DeleteEnvironment", proto.DeleteEnvironmentRequest(name="guarded")),
        ("SetSecret", proto.SetSecretRequest(name="GUARDED", value="x", environment_name="guarded")),
    ):
        assert refusal(lambda m=method, r=request: other.rpc(m, r)) is grpc.StatusCode.NOT_FOUND
    assert other.http.delete("/applications/sandbox-owner/guarded/queue").status_code == 404
    other.rpc("SetSecret", proto.SetSecretRequest(name="GUARDED"))
    assert [secret.name for secret in owner.rpc("ListSecrets", proto.ListSecretsRequest()).secrets] == ["GUARDED"]
    assert [runner.runner_id for runner in runners_of(owner, "guarded")] == [owned["runner"]]
    assert owner.call("guarded").status_code == 200


def test_a_second_account_has_an_app_of_the_same_name(other: Deployer, owner: Deployer, owned: dict[str, str]) -> None:
    other.deploy("guarded", {"version": "theirs"})
    assert other.http.post("/sandbox-caller/guarded", json={}).json()["version"] == "theirs"
    assert owner.call("guarded").json()["version"] == 1
    environment = other.http.post("/sandbox-caller/guarded/environment", json={}).json()
    assert "GUARDED" not in environment
    assert environment["FAL_KEY"] != owner.call("guarded", path="/environment").json()["FAL_KEY"]
    other.rpc("DeleteAlias", proto.DeleteAliasRequest(alias="guarded"))


def test_runners_are_listed_with_what_they_do_and_stopped_or_killed_by_id(owner: Deployer) -> None:
    owner.deploy("watched", {"version": 1}, machine={"machine_types": ["GPU-H100"], "num_gpus": 2})
    began = datetime.now(UTC)
    pid = owner.call("watched").json()["pid"]
    (runner,) = runners_of(owner, "watched")
    assert (runner.alias, runner.state, runner.machine_type) == ("watched", proto.RunnerInfo.IDLE, "GPU-H100")
    assert runner.uptime >= 0
    assert 0 < runner.expiration_countdown <= 60
    metrics = owner.http.get("/applications/metrics").json()
    assert metrics["apps"]["sandbox-owner/watched"] == {"gpu_count_by_type": {"GPU-H100": 2}}
    logs = owner.http.post("/logs/history", params={"job_id": runner.runner_id, "search": "setting up"}).json()["items"]
    assert [line["message"] for line in logs] == ["setting up 1"]
    owner.rpc("KillRunner", proto.KillRunnerRequest(runner_id=runner.runner_id))
    until(lambda: not psutil.pid_exists(pid))
    again = owner.call("watched").json()["pid"]
    (second,) = runners_of(owner, "watched")
    owner.rpc("StopRunner", proto.StopRunnerRequest(runner_id=second.runner_id))
    until(lambda: not psutil.pid_exists(again))
    ended = until(
        lambda: len(found := runners_of(owner, "watched", start_time=proto.timestamp_from_datetime(began))) == 2 and found
    )
    assert {item.runner_id for item in ended} == {runner.runner_id, second.runner_id}
    assert {item.state for item in ended} == {proto.RunnerInfo.TERMINATED}
    assert runners_of(owner, "watched") == []


@pytest.mark.parametrize("force", [False, True])
def test_a_rollout_gives_the_app_other_runners(owner: Deployer, *, force: bool) -> None:
    name = f"rolled-{force}".lower()
    owner.deploy(name, {"version": 1})
    before = owner.call(name).json()["pid"]
    owner.rpc("SetSecret", proto.SetSecretRequest(name="ADDED", value="later"))
    assert "ADDED" not in owner.call(name, path="/environment").json()
    owner.rpc("RolloutApplication", proto.RolloutApplicationRequest(application_name=name, force=force))
    until(lambda: not psutil.pid_exists(before))
    assert owner.call(name, path="/environment").json()["ADDED"] == "later"
    owner.rpc("SetSecret", proto.SetSecretRequest(name="ADDED"))


def test_a_scale_takes_effect_at_once(owner: Deployer) -> None:
    owner.deploy("wider", {"version": 1}, strategy=proto.RECREATE)
    assert runners_of(owner, "wider") == []
    update = proto.UpdateApplicationRequest(application_name="wider", min_concurrency=2, max_concurrency=2, request_start_timeout=9)
    assert owner.rpc("UpdateApplication", update).alias_info.request_start_timeout == 9
    until(lambda: [runner.state for runner in runners_of(owner, "wider")] == [proto.RunnerInfo.IDLE] * 2)
    cleared = proto.UpdateApplicationRequest(application_name="wider", request_start_timeout=0, min_concurrency=0)
    assert not owner.rpc("UpdateApplication", cleared).alias_info.HasField("request_start_timeout")
    owner.rpc("DeleteAlias", proto.DeleteAliasRequest(alias="wider"))


def test_what_the_code_says_and_what_is_kept_on_redeploy(owner: Deployer) -> None:
    first = {"request_timeout": 50, "startup_timeout": 20, "max_concurrency": 3, "valid_regions": ["us-east"]}
    second = {"request_timeout": 60, "startup_timeout": 25, "max_concurrency": 4, "valid_regions": ["eu-west"]}
    for machine, reset in ((first, False), (second, False), (second, True)):
        owner.deploy("settled", {"version": 1}, machine=machine, strategy=proto.RECREATE, scale=reset)
        alias = alias_of(owner, "settled")
        scaling = (alias.request_timeout, alias.max_concurrency, list(alias.valid_regions))
        wanted = second if reset else first
        assert scaling == (wanted["request_timeout"], wanted["max_concurrency"], wanted["valid_regions"])
        assert alias.startup_timeout == machine["startup_timeout"]


def test_a_detached_deploy_moves_first_and_is_not_rolled_back(owner: Deployer) -> None:
    first = owner.deploy("loose", {"version": 1}, attach_to_deployment=False)  # nothing to roll from: as if attached
    assert [runner.revision for runner in runners_of(owner, "loose")] == [first]
    second = owner.deploy("loose", {"version": 2}, attach_to_deployment=False)
    assert alias_of(owner, "loose").revision == second
    assert owner.call("loose").json()["version"] == 2
    third = owner.deploy("loose", {"version": 3, "setup_fault": "no weights"}, attach_to_deployment=False)
    assert owner.call("loose").status_code == 503
    assert alias_of(owner, "loose").revision == third
    owner.rpc("SetAlias", proto.SetAliasRequest(alias="loose", revision=second))
    assert owner.call("loose").json()["version"] == 2


def test_secrets_reach_apps_that_list_them_or_list_none(owner: Deployer) -> None:
    for name, exposed in (("SHOWN", None), ("HIDDEN", False), ("OPEN", True)):
        owner.rpc("SetSecret", proto.SetSecretRequest(name=name, value=name.lower(), default_exposed=exposed))
    owner.rpc("SetSecret", proto.SetSecretRequest(name="HIDDEN", value="changed"))
    listed = owner.rpc("ListSecrets", proto.ListSecretsRequest()).secrets
    assert {item.name: item.default_exposed for item in listed if item.HasField("default_exposed")} == {
        "HIDDEN": False,
        "OPEN": True,
    }
    owner.deploy("lists-none", {"version": 1})
    owner.deploy("lists-one", {"version": 1}, secrets=proto.SecretsConfig(names=["HIDDEN"]))
    found = [owner.call(name, path="/environment").json() for name in ("lists-none", "lists-one")]
    assert [sorted({"SHOWN", "HIDDEN", "OPEN"} & set(environment)) for environment in found] == [["OPEN", "SHOWN"], ["HIDDEN"]]
    assert found[1]["HIDDEN"] == "changed"
    for name in ("SHOWN", "HIDDEN", "OPEN"):
        owner.rpc("SetSecret", proto.SetSecretRequest(name=name))


def test_an_environment_goes_with_its_apps_and_secrets(owner: Deployer) -> None:
    owner.rpc("CreateEnvironment", proto.CreateEnvironmentRequest(name="brief"))
    owner.rpc("SetSecret", proto.SetSecretRequest(name="BRIEF", value="x", environment_name="brief"))
    owner.deploy("brief", {"version": 1}, environment="brief", strategy=proto.RECREATE)
    owner.rpc("DeleteEnvironment", proto.DeleteEnvironmentRequest(name="brief"))
    owner.rpc("CreateEnvironment", proto.CreateEnvironmentRequest(name="brief"))
    assert list(owner.rpc("ListSecrets", proto.ListSecretsRequest(environment_name="brief")).secrets) == []
    revisions = proto.ListApplicationsRequest(application_name="brief--brief", environment_name="brief")
    assert list(owner.rpc("ListApplications", revisions).applications) == []
    owner.rpc("DeleteEnvironment", proto.DeleteEnvironmentRequest(name="brief"))
    assert (
        refusal(lambda: owner.rpc("DeleteEnvironment", proto.DeleteEnvironmentRequest(name="main")))
        is grpc.StatusCode.PERMISSION_DENIED
    )
    unknown = proto.SetSecretRequest(name="X", value="x", environment_name="brief")
    assert refusal(lambda: owner.rpc("SetSecret", unknown)) is grpc.StatusCode.NOT_FOUND


def test_a_queue_is_counted_by_caller_and_flushed_but_for_what_runs(owner: Deployer, sandbox: Running) -> None:
    owner.deploy("crowded", {"version": 1}, auth="SHARED", machine={"max_concurrency": 1})
    place, size = "/queue/sandbox-owner/crowded", "/applications/sandbox-owner/crowded/queue"
    with client_of(sandbox, key=sandbox.caller_key) as caller:
        tickets = [client.post(place, json={"seconds": 1.0}).json() for client in (owner.http, owner.http, owner.http, caller)]
        until(lambda: owner.http.get(size).json()["size"] == 3)
        assert owner.http.get(size, params={"by_user": "true"}).json()["by_user"] == {"sandbox-owner": 2, "sandbox-caller": 1}
        (runner,) = runners_of(owner, "crowded")
        (lease,) = dict(runner.external_metadata)["leases"]
        assert (lease["request_id"], lease["caller_user_id"]) == (tickets[0]["request_id"], "sandbox|sandbox-owner")
        assert owner.http.delete(size, params={"caller_user_id": "sandbox-caller"}).json() == {"flushed": 1}
        assert until(lambda: caller.get(tickets[3]["status_url"]).json().get("error_type"))
        assert owner.http.delete(size).json() == {"flushed": 2}
    until(lambda: owner.http.get(size).json()["size"] == 0)
    done = until(lambda: (reply := owner.http.get(tickets[0]["status_url"])).status_code == 200 and reply.json())
    assert "error" not in done


@pytest.mark.parametrize("method", ["Map", "InteractiveRun", "ShellRunner"])
def test_what_is_not_emulated_says_so_in_a_line(owner: Deployer, method: str) -> None:
    request = {"Map": proto.HostedMap(), "ShellRunner": iter([proto.ShellRunnerInput()])}.get(
        method, iter([proto.controller_pb2.InteractiveRunRequest()])
    )
    with pytest.raises(grpc.RpcError) as failure:
        list(owner.rpc(method, request))
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert failure.value.details().startswith(f"{method} is not part of the sandbox")
