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

API_HOST_VARIABLE: Final = "LORASMITH_FAL_API_HOST"  # host of fal's platform REST API, which the SDK does not know
HOST_VARIABLES: Final = ("FAL_GRPC_HOST", "FAL_REST_HOST", "FAL_RUN_HOST", "FAL_QUEUE_RUN_HOST", API_HOST_VARIABLE)
SANDBOX_KEY: Final = "sandbox-"  # how every key that the sandbox issues begins; fal's are UUIDs
_ALL_HOSTS: Final = (*HOST_VARIABLES, "FAL_HOST", "FAL_WS_RUN_HOST")
_DOMAINS: Final = ("fal.ai", "fal.run")
_TEST_SWITCHES: Final = ("ISOLATE_TEST_MODE", "ISOLATE_AUTH_DISABLED")
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "grpc_proxy")
_ROOTS: Final = ("SSL_CERT_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")
_PASSED_ON: Final = ("FAL_KEY", *_ALL_HOSTS, "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", *_ROOTS)


def sandbox_target(env: Mapping[str, str], *, caller_key: str, logs: Path, kind: type[FalPlatform] = FalPlatform) -> FalPlatform:
    """The sandbox whose child environment and second key these are; refuses an environment that could reach another host.

    kind: what the platform is made as, here and in fal_target: one that also keeps book of its calls.
    """
    for name in _ALL_HOSTS:
        if (name in HOST_VARIABLES or env.get(name)) and not is_loopback(env.get(name, "")):
            raise TargetRefused(
                f"target sandbox: {name} is {env.get(name)!r}, which is not a loopback address; "
                "start the sandbox with `lorasmith sandbox up`, or choose --target fal"
            )
    for name in _PROXIES:
        if env.get(name):
            raise TargetRefused(f"target sandbox: {name} is set, so its calls could leave this machine; leave {name} out")
    for name, key in (("FAL_KEY", env.get("FAL_KEY", "")), ("the second caller's key", caller_key)):
        if not key.startswith(SANDBOX_KEY):
            raise TargetRefused(
                f"target sandbox: {name} is none that the sandbox issued (they begin with {SANDBOX_KEY!r}), "
                "and no other is sent there; `lorasmith sandbox up --export` prints one, --target fal takes a key of fal"
            )
    own = {"FAL_CONFIG_PATH": env.get("FAL_CONFIG_PATH") or os.devnull}  # a profile of the user could name another host or account
    return kind(name="sandbox", env={**env, **own}, caller_key=caller_key, logs=logs)


def fal_target(environ: Mapping[str, str], *, logs: Path, kind: type[FalPlatform] = FalPlatform) -> FalPlatform:
    """fal with the account of FAL_KEY; the smoke test calls with LORASMITH_SMOKE_KEY, another account's key, if there is one."""
    for name in _ALL_HOSTS:
        if name in environ and is_loopback(environ[name]):
            raise TargetRefused(
                f"target fal: {name} is {environ[name]!r}, which is this machine; unset it, or choose --target sandbox"
            )
        if environ.get(name) and not is_fal(environ[name]):
            raise TargetRefused(
                f"target fal: {name} is {environ[name]!r}, which is no host of {' or '.join(_DOMAINS)}, "
                "and the key would go there; unset it"
            )
    for name in _TEST_SWITCHES:
        if environ.get(name, "0").lower() not in ("", "0", "false"):
            raise TargetRefused(f"target fal: {name} is set, which turns the SDK's certificate checks off; unset {name}")
    for name in _ROOTS:
        if environ.get(name) and not Path(environ[name]).is_file():
            raise TargetRefused(f"target fal: {name} is {environ[name]!r}, which is no file of certificates: unset it or mend it")
    env = {name: environ[name] for name in _PASSED_ON if environ.get(name)}
    env["FAL_KEY"] = _key(environ, "FAL_KEY", required=True) or ""
    env["FAL_CONFIG_PATH"] = os.devnull  # a profile in the user's fal config could name another host or account
    smoke_key = _key(environ, "LORASMITH_SMOKE_KEY", required=False)
    # The owner's own key makes no second caller, and evidence must not say so.
    return kind(name="fal", env=env, caller_key=smoke_key if smoke_key != env["FAL_KEY"] else None, logs=logs)


def is_fal(address: str) -> bool:
    """Whether `host`, `host:port` or `host/path` is fal's by its name."""
    host = _host(address.strip().lower()).removesuffix(".")
    return any(host == domain or host.endswith(f".{domain}") for domain in _DOMAINS)


def is_loopback(address: str) -> bool:
    """Whether `host` or `host:port` is this machine: localhost, a loopback address in any notation, or the unspecified one."""
    host = _host(address.strip().lower()).removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        try:
            number = ipaddress.ip_address(socket.inet_aton(host))  # 127.1 and 0x7f000001 are addresses too
        except OSError:
            return False
    number = getattr(number, "ipv4_mapped", None) or number  # ::ffff:127.0.0.1 is 127.0.0.1
    return number.is_loopback or number.is_unspecified


def _host(address: str) -> str:
    address = address.partition("/")[0].rpartition("@")[2]
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


def _key(environ: Mapping[str, str], name: str, *, required: bool) -> str | None:
    key = environ.get(name, "").strip()
    if not key and not required:
        return None
    identity, _, secret = key.partition(":")
    if key.startswith(SANDBOX_KEY):
        raise TargetRefused(
            f"target fal: {name} is a key of the sandbox, which opens nothing at fal and is not sent there; "
            f"unset {name} or export a key of fal, or choose --target sandbox"
        )
    if not (identity and secret):
        got = "not set" if not key else "not of the form id:secret"
        raise TargetRefused(
            f"target fal: {name} is {got}; make a key at https://fal.ai/dashboard/keys, then `export {name}=<id>:<secret>`, "
            "or choose --target sandbox, which needs no account"
        )
    return key
