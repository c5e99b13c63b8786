"""The worker's verbs that ask fal's platform API: prices, machines and starts of an app, and what its owner called itself.

Loaded by path into worker.py, as worker_verbs.py is: nothing of ours is imported here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

API_HOST = "api.fal.ai"
PAGE = 100  # requests a page, the most that the API gives
UNTOLD = (400, 403, 404)  # what an account may not read, or what is not known of an app: a figure that is missing, no fault


def books(owner: str, app: str, environment: str | None, since: float) -> dict[str, Any]:
    """{"price_usd", "unit", "machine_usd", "own_units", "cold_starts"} of an app since a moment (Unix seconds); null where untold.

    machine_usd: what the owner pays for machines. own_units: units that the owner called for itself and was billed.
    """
    from fal.sdk import construct_alias

    name = construct_alias(app, environment)
    endpoint = f"{owner}/{name}"
    span: dict[str, Any] = {"start": _iso(since), "expand": "summary", "bound_to_timeframe": "false"}
    price = _asked("models/pricing", {"endpoint_id": endpoint}, lambda body: body["prices"][0]) or {}
    return {
        "price_usd": price.get("unit_price"),
        "unit": price.get("unit"),
        "machine_usd": _asked("serverless/usage", span | {"app": name}, lambda body: _total(body["summary"], "cost")),
        "own_units": _asked(
            "models/usage", span | {"endpoint_id": endpoint}, lambda body: _total(_units(body["summary"]), "quantity")
        ),
        "cold_starts": _asked(
            "serverless/analytics",
            {**span, "endpoint_id": endpoint, "expand": "summary,cold_boot_count"},
            lambda body: _total(body["summary"], "cold_boot_count"),
        ),
    }


def own_requests(owner: str, app: str, environment: str | None, since: float) -> list[str] | None:
    """Ids of the requests that FAL_KEY's account made itself of an app since a moment (Unix seconds); None where untold.

    GET /v1/models/requests/by-endpoint lists the caller's own requests, as /v1/serverless/... lists those of all callers.
    """
    from fal.sdk import construct_alias

    query: dict[str, Any] = {"endpoint_id": f"{owner}/{construct_alias(app, environment)}", "start": _iso(since), "limit": PAGE}
    found: list[str] = []
    while (page := _asked("models/requests/by-endpoint", query, lambda body: body)) is not None:
        found += [str(item["request_id"]) for item in page["items"]]
        if not page.get("has_more") or not page.get("next_cursor"):
            return found
        query["cursor"] = page["next_cursor"]
    return None


VERBS: dict[str, Callable[..., Any]] = {"books": books, "own_requests": own_requests}


def _asked(place: str, query: dict[str, Any], told: Callable[[Any], Any]) -> Any:
    """One answer of the platform API, None where it is not told."""
    import httpx
    from fal.sdk import get_credentials

    url = f"https://{os.environ.get('LORASMITH_FAL_API_HOST', API_HOST)}/v1/{place}"
    answer = httpx.get(url, params=query, headers=get_credentials().to_headers(), timeout=30)
    if answer.status_code in UNTOLD:
        return None
    return told(answer.raise_for_status().json())


def _units(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was billed by the app's units: a call without them, as one of /health, is billed by the machine's second."""
    return [line for line in lines if line["unit"] != "second"]


def _total(lines: list[dict[str, Any]], field: str) -> float | None:
    """A sum is unknown where a part of it is."""
    values = [line[field] for line in lines]
    return None if None in values else sum(values)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
