"""What `fal run` asks for: a function once, an app for as long as its caller stays."""

import os
import signal
import threading
from pathlib import Path

import grpc
import isolate_proto as proto
import psutil
import pytest
from isolate.server.interface import from_grpc

from serving.sandbox import control
from tests.serving.sandbox.deployer import SOURCE, Deployer, until


def test_a_function_that_runs_once_has_the_secrets_and_its_lines_hide_them(owner: Deployer) -> None:
    owner.rpc("SetSecret", proto.SetSecretRequest(name="ONCE", value="planted-for-once"))
    source = b"import os\n\ndef given():\n    print('it is', os.environ['ONCE'], flush=True)\n    return len(os.environ['ONCE'])\n"
    request = proto.HostedRun(entrypoint="once:given", files=owner.upload({"once.py": source}))
    *going, last = owner.stub.Run(request, metadata=owner.metadata)
    owner.rpc("SetSecret", proto.SetSecretRequest(name="ONCE"))
    assert [line.message for result in going for line in result.logs] == ["it is ********"]
    assert from_grpc(last.return_value) == len("planted-for-once")


def served(owner: Deployer) -> proto.HostedRun:
    """What `fal run` asks for an app."""
    files = owner.upload({"plain_app.py": SOURCE.read_bytes(), "settings.json": b'{"version": "brief"}'})
    return proto.HostedRun(
        application_name="brief app",
        entrypoint="plain_app:Plain.run_local",
        files=files,
        auth_mode=proto.PUBLIC,
        machine_requirements=proto.MachineRequirements(keep_alive=1),
        health_check_config=proto.ApplicationHealthCheckConfig(path="/health"),
    )


def test_a_run_lives_as_long_as_its_caller_stays_and_is_in_no_list(owner: Deployer) -> None:
    live = owner.stub.Run(served(owner), metadata=owner.metadata)
    urls = next(result.service_urls for result in live if result.HasField("service_urls"))
    reply = owner.http.post(urls.run, json={})
    assert reply.json()["version"] == "brief"
    assert not any("brief" in alias.alias for alias in owner.rpc("ListAliases", proto.ListAliasesRequest()).aliases)
    name = urls.run.rpartition("/")[2]
    assert list(owner.rpc("ListApplications", proto.ListApplicationsRequest(application_name=name)).applications) == []
    live.cancel()
    until(lambda: not psutil.pid_exists(reply.json()["pid"]))
    assert owner.http.post(urls.run, json={}).status_code == 404


def test_a_run_whose_app_ends_is_over(owner: Deployer) -> None:
    live = owner.stub.Run(served(owner), metadata=owner.metadata)
    urls = next(result.service_urls for result in live if result.HasField("service_urls"))
    crash = threading.Thread(target=lambda: owner.http.post(f"{urls.run}/crash", json={}))
    crash.start()
    *_, last = live
    crash.join()
    assert last.status.state == proto.HostedRunStatus.SUCCESS
    assert owner.http.post(urls.run, json={}).status_code == 404


def test_a_run_whose_setup_fails_says_why(owner: Deployer) -> None:
    request = served(owner)
    del request.files[1:]
    request.files.extend(owner.upload({"settings.json": b'{"version": 1, "setup_fault": "no weights"}'}))
    with pytest.raises(grpc.RpcError) as failure:
        list(owner.stub.Run(request, metadata=owner.metadata))
    assert "setup failed: RuntimeError: no weights" in failure.value.details()


def test_a_run_does_not_outlive_a_sandbox_that_was_killed(tmp_path: Path) -> None:
    first = Deployer(control.up(tmp_path))
    live = first.stub.Run(served(first), metadata=first.metadata)
    urls = next(result.service_urls for result in live if result.HasField("service_urls"))
    os.kill(first.running.pid, signal.SIGKILL)
    with pytest.raises(grpc.RpcError):
        list(live)
    first.close()
    until(lambda: control.status(tmp_path) is None)
    second = Deployer(control.up(tmp_path))
    try:
        assert second.http.post(f"/sandbox-owner/{urls.run.rpartition('/')[2]}", json={}).status_code == 404
        assert list(second.rpc("ListApplications", proto.ListApplicationsRequest()).applications) == []
    finally:
        second.close()
        control.down(tmp_path)
