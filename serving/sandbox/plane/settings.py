"""Settings of an app as the SDK sends them, as the sandbox keeps them, and as it tells them back."""

import json
from datetime import UTC, datetime
from typing import Any

import isolate_proto as proto

from ..state import Alias, Revision

# What the SDK's summary before a deploy takes for the platform's defaults, except that runners stay a minute.
DEFAULTS: dict[str, Any] = {
    "keep_alive": 60,
    "min_concurrency": 0,
    "max_concurrency": 2,
    "concurrency_buffer": 0,
    "concurrency_buffer_perc": 0,
    "scaling_delay_seconds": 0,
    "max_multiplexing": 1,
    "request_timeout": 3600,
    "startup_timeout": 600,
}
# Kept from the live app when it is deployed again, unless the deploy asks for a reset; the rest comes from the code.
SCALING = (
    "keep_alive",
    "min_concurrency",
    "max_concurrency",
    "concurrency_buffer",
    "concurrency_buffer_perc",
    "scaling_delay_seconds",
    "request_timeout",
    "request_start_timeout",
    "valid_regions",
)
NUMBERS = (*SCALING[:-1], "max_multiplexing", "startup_timeout", "num_gpus")
LISTS = ("machine_types", "valid_regions")


def settings_of(request: Any) -> dict[str, Any]:
    """What a RegisterApplication or a Run asks for; machine types and regions are kept and have no effect.

    `environment` holds what shall be built: [{"kind", "configuration"}, ...].
    """
    fields = request.DESCRIPTOR.fields_by_name
    found = _present(request.machine_requirements)
    found["environment"] = [
        {"kind": item.kind, "configuration": proto.struct_to_dict(item.configuration)} for item in request.environments
    ]
    if request.HasField("secrets"):
        found["secrets"] = list(request.secrets.names)
    if request.data_mounts:
        found["data_mounts"] = list(request.data_mounts)
    if "retry_config" in fields and request.HasField("retry_config"):
        found["retry_config"] = json.loads(request.retry_config)
    if "skip_retry_conditions" in fields and request.skip_retry_conditions:
        found["skip_retry_conditions"] = [proto.RetryCondition.Name(item).lower() for item in request.skip_retry_conditions]
    if "private_logs" in fields and request.HasField("private_logs"):
        found["private_logs"] = request.private_logs
    if "termination_grace_period_seconds" in fields and request.HasField("termination_grace_period_seconds"):
        found["termination_grace_period_seconds"] = request.termination_grace_period_seconds
    return found


def update_of(request: Any) -> dict[str, Any]:
    """What an UpdateApplication changes."""
    return _present(request)


def kept_settings(live: dict[str, Any] | None, asked: dict[str, Any], *, reset: bool) -> dict[str, Any]:
    """Settings after a deploy: those of the code, except that a live app keeps its scaling."""
    kept = {} if live is None or reset else {name: live[name] for name in SCALING if name in live}
    return _without_cleared(DEFAULTS | asked | kept)


def updated(live: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """Settings after an UpdateApplication."""
    return _without_cleared(live | changed)


def health_of(request: Any) -> dict[str, Any] | None:
    """The declared health check, or None where the app declares none."""
    if not request.HasField("health_check_config"):
        return None
    config = request.health_check_config
    health = {field.name: value for field, value in config.ListFields()}
    method = proto.ApplicationHealthCheckConfig.Method.Name(config.method) if config.HasField("method") else "POST"
    return {"timeout_seconds": 5, "failure_threshold": 3, "call_regularly": True} | health | {"method": method}


def alias_info(alias: Alias, *, runners: int) -> Any:
    info = proto.AliasInfo(
        alias=alias.name,
        revision=alias.revision,
        auth_mode=proto.ApplicationAuthMode.Value(alias.auth_mode.upper()),
        active_runners=runners,
        environment_name=alias.environment,
    )
    return _filled(info, alias.settings)


def application_info(revision: Revision, *, runners: int) -> Any:
    created = proto.timestamp_from_datetime(datetime.fromtimestamp(revision.created_at, UTC))
    info = proto.ApplicationInfo(
        application_id=revision.id, created_at=created, active_runners=runners, environment_name=revision.environment
    )
    return _filled(info, DEFAULTS | revision.settings)


def _without_cleared(settings: dict[str, Any]) -> dict[str, Any]:
    """0 is how a default for the wait in the queue is taken away."""
    return {name: value for name, value in settings.items() if name != "request_start_timeout" or value}


def _present(message: Any) -> dict[str, Any]:
    fields = message.DESCRIPTOR.fields_by_name
    found: dict[str, Any] = {name: getattr(message, name) for name in NUMBERS if name in fields and message.HasField(name)}
    return found | {name: list(getattr(message, name)) for name in LISTS if getattr(message, name)}


def _filled(info: Any, settings: dict[str, Any]) -> Any:
    fields = info.DESCRIPTOR.fields_by_name
    for name in NUMBERS:
        if name in fields and settings.get(name) is not None:
            setattr(info, name, settings[name])
    for name in LISTS:
        getattr(info, name).extend(settings.get(name, ()))
    return info
