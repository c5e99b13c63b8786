"""Deployments: nothing becomes live that does not run, and what is live stays so until then."""

import threading
from pathlib import Path

import grpc
import isolate_proto as proto
import psutil
import pytest

from tests.serving.sandbox.deployer import Deployer, until


def live_revision(owner: Deployer, name: str, environment: str = "main") -> str | None:
    aliases = owner.rpc("ListAliases", proto.ListAliasesRequest(environment_name=environment)).aliases
    return next((alias.revision for alias in aliases if alias.alias == name), None)


def test_a_second_deploy_replaces_the_first_and_its_runner(owner: Deployer) -> None:
    first = owner.deploy("replaced", {"version": 1})
    before = owner.call("replaced").json()
    second = owner.deploy("replaced", {"version": 2})
    after = owner.call("replaced").json()
    assert (before["version"], after["version"]) == (1, 2)
    assert first != second == live_revision(owner, "replaced")
    until(lambda: not psutil.pid_exists(before["pid"]))


def test_a_failing_setup_is_an_error_with_the_apps_own_words_and_changes_nothing(owner: Deployer) -> None:
    first = owner.deploy("steady", {"version": 1})
    with pytest.raises(grpc.RpcError) as failure:
        owner.deploy("steady", {"version": 2, "setup_fault": "weights are missing"})
    assert failure.value.code() is grpc.StatusCode.ABORTED
    summary, *tail = failure.value.details().splitlines()
    assert summary.endswith("setup failed: RuntimeError: weights are missing")
    assert any("setting up 2" in line for line in tail)
    assert live_revision(owner, "steady") == first
    assert owner.call("steady").json()["version"] == 1
    listed = owner.rpc("ListApplications", proto.ListApplicationsRequest(application_name="steady")).applications
    assert [application.application_id for application in listed] == [first]


def test_an_app_that_is_never_healthy_is_refused_when_its_startup_time_is_over(owner: Deployer) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        owner.deploy("sick", {"version": 1, "sick": True}, machine={"startup_timeout": 2})
    assert "not healthy after 2 s" in failure.value.details()
    assert live_revision(owner, "sick") is None


def test_no_request_fails_while_a_deploy_rolls(owner: Deployer) -> None:
    owner.deploy("rolling", {"version": 1}, machine={"max_multiplexing": 4})
    statuses: list[int] = []
    versions: list[int] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            reply = owner.call("rolling", {"seconds": 0.05})
            statuses.append(reply.status_code)
            versions.append(reply.json().get("version"))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        owner.deploy("rolling", {"version": 2}, machine={"max_multiplexing": 4})
        until(lambda: versions and versions[-1] == 2)
    finally:
        done.set()
        thread.join()
    assert set(statuses) == {200}
    assert versions == sorted(versions)


def test_an_alias_can_go_back_to_an_earlier_revision_of_its_app_only(owner: Deployer) -> None:
    first = owner.deploy("undone", {"version": 1})
    owner.deploy("undone", {"version": 2})
    other = owner.deploy("other", {"version": 9})
    owner.rpc("SetAlias", proto.SetAliasRequest(alias="undone", revision=first, deployment_strategy=proto.ROLLING))
    assert owner.call("undone").json()["version"] == 1
    with pytest.raises(grpc.RpcError) as failure:
        owner.rpc("SetAlias", proto.SetAliasRequest(alias="undone", revision=other))
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_way_back_that_fails_leaves_the_live_revision_and_forgets_nothing(owner: Deployer, tmp_path: Path) -> None:
    first = owner.deploy("stuck", {"version": 1, "fault_file": str(tmp_path / "full")})
    second = owner.deploy("stuck", {"version": 2})
    (tmp_path / "full").touch()
    with pytest.raises(grpc.RpcError) as failure:
        owner.rpc("SetAlias", proto.SetAliasRequest(alias="stuck", revision=first, deployment_strategy=proto.ROLLING))
    assert "the disk is full" in failure.value.details()
    assert owner.call("stuck").json()["version"] == 2
    listed = owner.rpc("ListApplications", proto.ListApplicationsRequest(application_name="stuck")).applications
    assert [application.application_id for application in listed] == [second, first]


def test_recreate_moves_at_once_and_starts_with_the_first_request(owner: Deployer) -> None:
    owner.deploy("recreated", {"version": 1}, strategy=proto.RECREATE)
    alias = next(a for a in owner.rpc("ListAliases", proto.ListAliasesRequest()).aliases if a.alias == "recreated")
    assert alias.active_runners == 0
    assert owner.call("recreated").json()["version"] == 1


def test_a_crashed_runner_is_a_503_without_units_and_replaced_by_the_next_request(owner: Deployer) -> None:
    owner.deploy("fragile", {"version": 1})
    before = owner.call("fragile").json()["pid"]
    crashed = owner.call("fragile", path="/crash")
    assert (crashed.status_code, crashed.headers["x-fal-error-type"]) == (503, "runner_disconnected")
    assert "x-fal-billable-units" not in crashed.headers
    assert owner.call("fragile").json()["pid"] != before


def test_environments_are_made_first_and_hold_apps_of_their_own(owner: Deployer) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        owner.deploy("staged", {"version": 1}, environment="candidate")
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND
    owner.rpc("CreateEnvironment", proto.CreateEnvironmentRequest(name="candidate"))
    owner.deploy("staged", {"version": 1})
    candidate = owner.deploy("staged", {"version": 2}, environment="candidate")
    assert (owner.call("staged").json()["version"], owner.call("staged--candidate").json()["version"]) == (1, 2)
    assert live_revision(owner, "staged--candidate", "candidate") == candidate
    assert live_revision(owner, "staged--candidate") is None
    owner.rpc("DeleteEnvironment", proto.DeleteEnvironmentRequest(name="candidate"))
    assert owner.call("staged--candidate").status_code == 404


def test_scaling_is_kept_on_redeploy_unless_reset_and_the_rest_is_the_codes(owner: Deployer) -> None:
    def settings() -> tuple[int, int]:
        alias = next(a for a in owner.rpc("ListAliases", proto.ListAliasesRequest()).aliases if a.alias == "scaled")
        return alias.keep_alive, alias.max_multiplexing

    owner.deploy("scaled", {"version": 1}, machine={"keep_alive": 100, "max_multiplexing": 2})
    owner.rpc("UpdateApplication", proto.UpdateApplicationRequest(application_name="scaled", keep_alive=200))
    owner.deploy("scaled", {"version": 2}, machine={"keep_alive": 300, "max_multiplexing": 3})
    assert settings() == (200, 3)
    owner.deploy("scaled", {"version": 3}, machine={"keep_alive": 300, "max_multiplexing": 3}, scale=True)
    assert settings() == (300, 3)


def test_an_idle_runner_is_torn_down_after_keep_alive_and_wakes_with_a_request(owner: Deployer, home: Path) -> None:
    revision = owner.deploy("sleepy", {"version": 1}, machine={"keep_alive": 1})
    before = owner.call("sleepy").json()["pid"]
    until(lambda: not psutil.pid_exists(before))
    log = (home / "sandbox" / "logs" / f"sleepy-{revision[:8]}.log").read_text()
    assert "torn down 1" in log
    assert owner.call("sleepy").json()["pid"] != before


def test_a_client_that_leaves_takes_its_deployment_with_it(owner: Deployer) -> None:
    request = proto.RegisterApplicationRequest(
        application_name="left",
        entrypoint="plain_app:Plain.run_local",
        files=owner.upload({"plain_app.py": b"import time\ntime.sleep(60)\n"}),
        deployment_strategy=proto.ROLLING,
    )
    with pytest.raises(grpc.RpcError):
        list(owner.stub.RegisterApplication(request, metadata=owner.metadata, timeout=1.0))
    until(lambda: not owner.rpc("ListApplications", proto.ListApplicationsRequest(application_name="left")).applications)
    assert live_revision(owner, "left") is None


def test_missing_and_different_requirements_fail_the_build_by_name(owner: Deployer) -> None:
    configuration = proto.Struct()
    configuration.update({"requirements": ["no-such-package-of-ours", "httpx<0.1", "pydantic"]})
    request = proto.BuildEnvironmentRequest(
        environments=[proto.EnvironmentDefinition(kind="virtualenv", configuration=configuration)]
    )
    with pytest.raises(grpc.RpcError) as failure:
        list(owner.rpc("BuildEnvironment", request))
    assert failure.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "no-such-package-of-ours is not installed" in failure.value.details()
    assert "httpx<0.1: httpx" in failure.value.details()
    assert "pydantic" not in failure.value.details()


@pytest.mark.parametrize("path", ["../outside.py", "/etc/outside.py"])
def test_an_app_file_stays_inside_the_folder_of_its_app(owner: Deployer, path: str) -> None:
    request = proto.RegisterApplicationRequest(
        application_name="outside", entrypoint="m:C.run_local", files=[proto.File(hash="0" * 64, relative_path=path)]
    )
    with pytest.raises(grpc.RpcError) as failure:
        list(owner.rpc("RegisterApplication", request))
    assert failure.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_an_upload_whose_content_is_not_what_was_announced_is_refused(owner: Deployer) -> None:
    with pytest.raises(Exception, match="400 Bad Request"):
        owner.upload_one(b"something else", announced="a" * 64)


def test_a_wrong_key_reaches_no_method(owner: Deployer) -> None:
    wrong = (("auth-key-id", owner.metadata[0][1]), ("auth-key", "guessed"))
    for call in (
        lambda: owner.stub.ListAliases(proto.ListAliasesRequest(), metadata=wrong),
        lambda: list(owner.stub.RegisterApplication(proto.RegisterApplicationRequest(), metadata=wrong)),
        lambda: owner.stub.ListAliases(proto.ListAliasesRequest()),
    ):
        with pytest.raises(grpc.RpcError) as failure:
            call()
        assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
