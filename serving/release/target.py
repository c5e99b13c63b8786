"""Which platform a release goes to: the sandbox on loopback or fal itself, and never one taken for the other."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from serving.release.errors import TargetRefused
from serving.release.platform import FalPlatform

HOST_VARIABLES: Final = ("FAL_GRPC_HOST", "FAL_REST_HOST", "FAL_RUN_HOST", "FAL_QUEUE_RUN_HOST")
_ALL_HOSTS: Final = (*HOST_VARIABLES, "FAL_HOST", "FAL_WS_RUN_HOST")
_TEST_SWITCHES: Final = ("ISOLATE_TEST_MODE", "ISOLATE_AUTH_DISABLED")
_PASSED_ON: Final = ("FAL_KEY", *_ALL_HOSTS, "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE")


def sandbox_target(env: Mapping[str, str], *, caller_key: str, logs: Path) -> FalPlatform:
    """The sandbox whose child environment and second key these are; refuses an environment that could reach another host."""
    for name in HOST_VARIABLES:
        if not is_loopback(env.get(name, "")):
            raise TargetRefused(
                f"target sandbox: {name} is {env.get(name)!r}, which is not a loopback address; "
                "start the sandbox with `lorasmith sandbox up`, or choose --target fal"
            )
    return FalPlatform(name="sandbox", env=env, caller_key=caller_key, logs=logs)


def fal_target(environ: Mapping[str, str], *, logs: Path) -> FalPlatform:
    """fal with the account of FAL_KEY; the smoke test calls with LORASMITH_SMOKE_KEY, another account's key, if there is one."""
    for name in _ALL_HOSTS:
        if name in environ and is_loopback(environ[name]):
            raise TargetRefused(
                f"target fal: {name} is {environ[name]!r}, which is this machine; unset it, or choose --target sandbox"
            )
    for name in _TEST_SWITCHES:
        if environ.get(name, "0").lower() not in ("", "0", "false"):
            raise TargetRefused(f"target fal: {name} is set, which turns the SDK's certificate checks off; unset {name}")
    env = {name: environ[name] for name in _PASSED_ON if name in environ}
    env["FAL_KEY"] = _key(environ, "FAL_KEY", required=True) or ""
    env["FAL_CONFIG_PATH"] = os.devnull  # a profile in the user's fal config could name another host or account
    smoke_key = _key(environ, "LORASMITH_SMOKE_KEY", required=False)
    return FalPlatform(name="fal", env=env, caller_key=smoke_key, logs=logs)


def is_loopback(address: str) -> bool:
    """Whether `host` or `host:port` is this machine: localhost, a loopback address in any notation, or the unspecified one."""
    host = _host(address.strip().lower())
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        try:
            number = ipaddress.ip_address(socket.inet_aton(host))  # 127.1 and 0x7f000001 are addresses too
        except OSError:
            return False
    return number.is_loopback or number.is_unspecified


def _host(address: str) -> str:
    address = address.partition("/")[0]
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


def _key(environ: Mapping[str, str], name: str, *, required: bool) -> str | None:
    key = environ.get(name, "").strip()
    if not key and not required:
        return None
    identity, _, secret = key.partition(":")
    if not (identity and secret):
        got = "not set" if not key else "not of the form id:secret"
        raise TargetRefused(
            f"target fal: {name} is {got}; make a key at https://fal.ai/dashboard/keys, then `export {name}=<id>:<secret>`, "
            "or choose --target sandbox, which needs no account"
        )
    return key
