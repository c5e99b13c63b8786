"""RPCs for what belongs to an account beside its apps: secrets, environments and keys."""

import time
from typing import Any

import grpc
import isolate_proto as proto

from ..accounts import RIGHTS, IssuedKey
from ..errors import NotAllowed, NotFound
from ..state import MAIN, SEPARATOR
from .access import told
from .service import Service, moment

SCOPES = {"FULL": proto.CreateUserKeyRequest.ADMIN, "API": proto.CreateUserKeyRequest.API}
NO_SCOPE = 2  # the SDK takes a number that it does not know for a preset without such a scope


class Belongings(Service):
    """Every name is looked up under the account of the key: nobody sees or changes what is another's."""

    async def SetSecret(self, request: Any, context: Any) -> Any:
        account = self._account(context)
        async with told(context):
            environment = self._environment(account, request.environment_name)
            exposed = request.default_exposed if request.HasField("default_exposed") else None
            value = request.value if request.HasField("value") else None
            self._state.put_secret(account.nickname, environment, request.name, value, default_exposed=exposed)
            return proto.SetSecretResponse()

    async def ListSecrets(self, request: Any, context: Any) -> Any:
        environment = request.environment_name or MAIN
        rows = self._state.secret_names(self._account(context).nickname, environment)
        return proto.ListSecretsResponse(secrets=[_secret(row, environment) for row in rows])

    async def ListEnvironments(self, request: Any, context: Any) -> Any:
        rows = self._state.environments(self._account(context).nickname)
        infos = [_environment(MAIN, "", 0.0), *(_environment(row["name"], row["description"], row["created_at"]) for row in rows)]
        return proto.ListEnvironmentsResponse(environments=infos)

    async def CreateEnvironment(self, request: Any, context: Any) -> Any:
        account, name = self._account(context), request.name
        if not name.replace("-", "").replace("_", "").isalnum() or SEPARATOR in name:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, f"environment name '{name}': letters, digits and single hyphens only"
            )
        if name == MAIN or any(row["name"] == name for row in self._state.environments(account.nickname)):
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, f"environment '{name}' exists already")
        self._state.put_environment(account.nickname, name, request.description)
        return proto.CreateEnvironmentResponse(environment=_environment(name, request.description, time.time()))

    async def DeleteEnvironment(self, request: Any, context: Any) -> Any:
        """With its apps, their revisions, and its secrets."""
        account, name = self._account(context), request.name
        async with told(context):
            if name == MAIN:
                raise NotAllowed("environment 'main' can not be deleted; delete its apps instead")
            if not any(row["name"] == name for row in self._state.environments(account.nickname)):
                raise NotFound(f"environment '{name}' not found")
            for alias in self._state.aliases(account.nickname, environment=name):
                self._state.delete_alias(alias.owner, alias.name)
            for revision in self._state.revisions(account.nickname, environment=name):
                self._deployments.forget(revision)
            self._state.delete_environment(account.nickname, name)
            return proto.DeleteEnvironmentResponse()

    async def CreateUserKey(self, request: Any, context: Any) -> Any:
        account = self._account(context)
        async with told(context):
            if request.HasField("policy"):
                asked = ", ".join(request.policy.permissions)
                raise NotAllowed(f"permissions '{asked}': the sandbox issues keys by preset only: {', '.join(RIGHTS)}")
            key_id, secret = self._keyring.issue(account.nickname, preset=_preset(request), description=request.alias)
            return proto.CreateUserKeyResponse(key_id=key_id, key_secret=secret)

    async def ListUserKeys(self, request: Any, context: Any) -> Any:
        keys = self._keyring.issued(self._account(context).nickname)
        return proto.ListUserKeysResponse(user_keys=[_key(key) for key in keys])

    async def RevokeUserKey(self, request: Any, context: Any) -> Any:
        account = self._account(context)
        async with told(context):
            self._keyring.revoke(account.nickname, request.key_id)
            return proto.RevokeUserKeyResponse()


def _preset(request: Any) -> str:
    """The asked preset, else that of the older scope, which is ADMIN where it is left out."""
    if request.HasField("policy_preset"):
        return str(request.policy_preset)
    return next(preset for preset, scope in SCOPES.items() if scope == request.scope)


def _key(key: IssuedKey) -> Any:
    scope = SCOPES.get(key.preset, NO_SCOPE)
    return proto.UserKeyInfo(key_id=key.id, created_at=moment(key.created_at), scope=scope, alias=key.description)


def _secret(row: dict[str, Any], environment: str) -> Any:
    secret = proto.Secret(name=row["name"], created_time=moment(row["created_at"]), environment_name=environment)
    if row["default_exposed"] is not None:
        secret.default_exposed = bool(row["default_exposed"])
    return secret


def _environment(name: str, description: str, created_at: float) -> Any:
    return proto.EnvironmentInfo(name=name, description=description, is_default=name == MAIN, created_at=moment(created_at))
