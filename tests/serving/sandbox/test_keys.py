"""Keys: issued by preset, good for what their preset says and until they are revoked, in every part of the sandbox at once."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import isolate_proto as proto
import pytest

from serving.sandbox import control
from serving.sandbox.accounts import RIGHTS, Account, Keyring, ensure_keys
from serving.sandbox.control import Running
from serving.sandbox.errors import NotAllowed, NotFound
from serving.sandbox.plane.access import METHODS, RIGHT_OF
from tests.serving.sandbox.deployer import Deployer, client_of

MAY = "a key of preset {preset} lacks the right '{right}'; use one of: "


@pytest.fixture(scope="module")
def called(owner: Deployer) -> str:
    """An app of the owner that every account may call."""
    owner.deploy("open-to-keys", {"version": 1}, auth="SHARED")
    return "open-to-keys"


@pytest.fixture
def issued(owner: Deployer, sandbox: Running) -> Iterator[Callable[[str], Deployer]]:
    """Deployers with keys of a preset, which are revoked at the end."""
    made: list[Deployer] = []

    def issue(preset: str) -> Deployer:
        reply = owner.rpc("CreateUserKey", proto.CreateUserKeyRequest(policy_preset=preset, alias="for a test"))
        made.append(Deployer(sandbox, key=f"{reply.key_id}:{reply.key_secret}"))
        return made[-1]

    yield issue
    for deployer in made:
        deployer.close()
        owner.rpc("RevokeUserKey", proto.RevokeUserKeyRequest(key_id=deployer.metadata[0][1]))


def code_of(call: Callable[[], Any]) -> grpc.StatusCode:
    try:
        call()
    except grpc.RpcError as error:
        found: grpc.StatusCode = error.code()
        return found
    return grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("preset", "reads", "deploys", "stops", "keys", "calls"),
    [
        ("FULL", True, True, True, True, True),
        ("API", False, False, False, False, True),
        ("DEPLOY", True, True, False, False, False),
        ("READONLY", True, False, False, False, False),
        ("BILLING", False, False, False, False, False),
        ("COMPUTE", True, False, True, False, False),
        ("SERVERLESS", True, True, True, False, True),
        ("AGENT", False, False, False, False, False),
    ],
)
def test_a_key_may_what_its_preset_says(
    issued: Callable[[str], Deployer], called: str, *, preset: str, reads: bool, deploys: bool, stops: bool, keys: bool, calls: bool
) -> None:
    key = issued(preset)
    assert code_of(lambda: key.rpc("ListAliases", proto.ListAliasesRequest())) is _code(reads, grpc.StatusCode.OK)
    unset = proto.SetSecretRequest(name="NOT_THERE")
    assert code_of(lambda: key.rpc("SetSecret", unset)) is _code(deploys, grpc.StatusCode.OK)
    kill = proto.KillRunnerRequest(runner_id="nobody")
    assert code_of(lambda: key.rpc("KillRunner", kill)) is _code(stops, grpc.StatusCode.NOT_FOUND)
    assert code_of(lambda: key.rpc("ListUserKeys", proto.ListUserKeysRequest())) is _code(keys, grpc.StatusCode.OK)
    assert key.http.get("/applications/metrics").status_code == (200 if reads else 403)
    assert key.http.post("/files/missing_hashes", json={"hashes": []}).status_code == (200 if deploys else 403)
    assert key.http.get("/users/current").status_code == 200
    assert key.call(called).status_code == (200 if calls else 403)


def _code(allowed: bool, otherwise: grpc.StatusCode) -> grpc.StatusCode:
    return otherwise if allowed else grpc.StatusCode.PERMISSION_DENIED


def test_a_refusal_names_the_presets_that_would_do(issued: Callable[[str], Deployer]) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        issued("API").rpc("DeleteAlias", proto.DeleteAliasRequest(alias="any"))
    assert failure.value.details() == MAY.format(preset="API", right="deploy") + "FULL, DEPLOY, SERVERLESS"


def test_every_method_of_the_service_has_a_right_and_every_right_a_preset() -> None:
    methods = {method.name for method in proto.controller_pb2.DESCRIPTOR.services_by_name["IsolateController"].methods}
    assert set(RIGHT_OF) == methods
    assert {right for rights in RIGHTS.values() for right in rights} == {*METHODS, "call", "billing"}


def test_a_revoked_key_is_unknown_everywhere_at_once(owner: Deployer, sandbox: Running, called: str) -> None:
    reply = owner.rpc("CreateUserKey", proto.CreateUserKeyRequest(policy_preset="FULL"))
    key = Deployer(sandbox, key=f"{reply.key_id}:{reply.key_secret}")
    assert key.call(called).status_code == 200
    key.rpc("RevokeUserKey", proto.RevokeUserKeyRequest(key_id=reply.key_id))
    assert code_of(lambda: key.rpc("ListAliases", proto.ListAliasesRequest())) is grpc.StatusCode.UNAUTHENTICATED
    assert [key.call(called).status_code, key.http.get("/users/current").status_code] == [401, 401]
    key.close()


def test_keys_survive_a_restart_as_hashes_only(tmp_path: Path) -> None:
    first = Deployer(control.up(tmp_path))
    reply = first.rpc("CreateUserKey", proto.CreateUserKeyRequest(policy_preset="READONLY", alias="kept"))
    first.close()
    control.down(tmp_path)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "sandbox").glob("state.db*"))
    assert reply.key_id.encode() in stored
    assert reply.key_secret.encode() not in stored
    again = Deployer(control.up(tmp_path), key=f"{reply.key_id}:{reply.key_secret}")
    try:
        assert code_of(lambda: again.rpc("ListRunners", proto.ListRunnersRequest())) is grpc.StatusCode.OK
        assert code_of(lambda: again.rpc("ListUserKeys", proto.ListUserKeysRequest())) is grpc.StatusCode.PERMISSION_DENIED
    finally:
        again.close()
        control.down(tmp_path)


def test_the_older_scopes_are_presets(owner: Deployer) -> None:
    admin, api = proto.CreateUserKeyRequest.ADMIN, proto.CreateUserKeyRequest.API
    made = [
        owner.rpc("CreateUserKey", request).key_id
        for request in (
            proto.CreateUserKeyRequest(scope=api),
            proto.CreateUserKeyRequest(),
            proto.CreateUserKeyRequest(policy_preset="BILLING"),
        )
    ]
    listed = {key.key_id: key.scope for key in owner.rpc("ListUserKeys", proto.ListUserKeysRequest()).user_keys}
    scopes = [listed[key_id] for key_id in made]
    for key_id in made:
        owner.rpc("RevokeUserKey", proto.RevokeUserKeyRequest(key_id=key_id))
    assert scopes[:2] == [api, admin]
    assert scopes[2] not in (api, admin)


def test_the_sandboxs_own_keys_and_those_of_others_are_not_revoked(owner: Deployer, sandbox: Running) -> None:
    def revoke(key: str) -> grpc.StatusCode:
        return code_of(lambda: owner.rpc("RevokeUserKey", proto.RevokeUserKeyRequest(key_id=key.split(":")[0])))

    assert revoke(sandbox.owner_key) is grpc.StatusCode.PERMISSION_DENIED
    assert revoke(sandbox.caller_key) is grpc.StatusCode.NOT_FOUND
    permissions = proto.CreateUserKeyRequest(policy=proto.KeyPolicy(permissions=["serverless:apps:run"]))
    with pytest.raises(grpc.RpcError, match="issues keys by preset only"):
        owner.rpc("CreateUserKey", permissions)


def test_a_keyring_of_its_own(tmp_path: Path) -> None:
    ensure_keys(tmp_path / "keys.json")
    db = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    ring = Keyring(tmp_path / "keys.json", db)
    key_id, secret = ring.issue("somebody", preset="API", description="")
    assert ring.account_of(key_id, secret) == Account(nickname="somebody", preset="FULL")  # a preset is no identity
    assert [ring.account_of(key_id, wrong) for wrong in ("", secret[:-1], secret + "0")] == [None, None, None]
    with pytest.raises(NotAllowed, match="'ROOT' is not one of"):
        ring.issue("somebody", preset="ROOT", description="")
    with pytest.raises(NotFound):
        ring.revoke("somebody-else", key_id)
    assert [key.preset for key in Keyring(tmp_path / "keys.json", db).issued("somebody")] == ["API"]
    db.close()


def test_an_unknown_key_reaches_no_rest_route(sandbox: Running) -> None:
    with client_of(sandbox, key=None) as client:
        for header in ({}, {"Authorization": "Key sandbox-00:00"}, {"Authorization": "Bearer abc"}):
            replies = [client.get(path, headers=header) for path in ("/applications/metrics", "/files/list//data", "/runners/x")]
            assert [reply.status_code for reply in replies] == [401, 401, 401]
