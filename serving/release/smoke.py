"""The smoke test of a deployed app: who is let in, what runs, and that units billed are those of the images delivered."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.app.billing import BillingUnit, Delivered, units_for
from serving.release.errors import PlatformTimeout, PlatformUnreachable, SmokeFailed
from serving.release.platform import Called, Caller, Platform


@dataclass(frozen=True, kw_only=True, slots=True)
class SmokePlan:
    """Golden requests; each is asked for `images` images unless it says `num_images` itself. `unit` is what the app bills by."""

    arguments: Sequence[Mapping[str, Any]]
    images: int = 2
    unit: BillingUnit = "image"


def smoke_test(
    platform: Platform, *, app: str, environment: str | None, package: str, plan: SmokePlan, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Evidence that the app in this environment runs this package and bills what it delivers; raises SmokeFailed.

    {"health", "unauthenticated_status", "wrong_key_status", "caller", "requests": [{"request_id", "images", "units", "seconds"}],
    "images", "unit", "units", "seconds", "invalid": {"status", "units"}}
    """
    if not plan.arguments:
        raise SmokeFailed(f"smoke test of {app!r} has no golden request; give SmokePlan at least one")
    where = f"app {app!r} in {environment or 'main'} on {platform.name}"
    caller: Caller = "caller" if platform.second_caller else "owner"
    progress(f"{where}: waiting for its health")
    evidence: dict[str, Any] = {"health": _check_health(platform, app, environment, package, where), "caller": caller}
    golden = [{"num_images": plan.images, **arguments} for arguments in plan.arguments]
    evidence |= _check_strangers(platform, app, environment, golden[0], where)
    requests = []
    for number, arguments in enumerate(golden, start=1):
        progress(f"{where}: golden request {number} of {len(golden)}")
        answer = platform.call(app, arguments, environment=environment, key=caller)
        requests.append(_check_delivery(platform, answer, arguments["num_images"], plan.unit, where))
    evidence["invalid"] = _check_refusal(
        platform.call(app, {**golden[0], "num_images": -1}, environment=environment, key=caller), where
    )
    return evidence | {
        "requests": requests,
        "images": sum(request["images"] for request in requests),
        "unit": plan.unit,
        "units": sum(request["units"] for request in requests),
        "seconds": round(sum(request["seconds"] for request in requests), 3),
    }


def running_package(platform: Platform, *, app: str, environment: str | None) -> str | None:
    """Hash of the package that answers in this environment, by its own health; None when it does not say."""
    answer = platform.call(app, {}, environment=environment, path="health", key="owner")
    package = answer.body.get("package")
    return package if answer.status == 200 and isinstance(package, str) else None


def picture_bytes(platform: Platform, picture: Mapping[str, Any]) -> bytes:
    """The file of one delivered image: from its data URI, or fetched the way the target trusts. Raises ValueError."""
    url = str(picture.get("url", ""))
    if url.startswith("https://"):
        return platform.fetch(url)
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise ValueError(f"its url is neither a base64 data URI nor https: {url[:60]!r}")
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError(f"its data URI does not decode: {error}") from error


def _check_health(platform: Platform, app: str, environment: str | None, package: str, where: str) -> dict[str, Any]:
    answer = platform.call(app, {}, environment=environment, path="health", key="owner")
    if answer.status != 200:
        raise SmokeFailed(f"{where}: /health answered {answer.status} ({_detail(answer)}), expected 200")
    if answer.body.get("package") != package:
        raise SmokeFailed(f"{where}: /health says package {answer.body.get('package')!r}, but {package!r} was deployed")
    return answer.body


def _check_strangers(
    platform: Platform, app: str, environment: str | None, arguments: Mapping[str, Any], where: str
) -> dict[str, int]:
    """Shared mode: any account may call, nobody may call without one."""
    strangers: dict[str, Caller | None] = {"unauthenticated_status": None, "wrong_key_status": "wrong"}
    statuses = {name: platform.call(app, arguments, environment=environment, key=key).status for name, key in strangers.items()}
    for name, status in statuses.items():
        if status != 401:
            who = "without a key" if name == "unauthenticated_status" else "with a key nobody has"
            raise SmokeFailed(f"{where}: a call {who} was answered {status}, expected 401; is its auth mode shared?")
    return statuses


def _check_delivery(platform: Platform, answer: Called, asked: int, unit: BillingUnit, where: str) -> dict[str, Any]:
    """One golden request: as many decodable images as asked for, and exactly the units that they are worth."""
    if answer.status != 200:
        raise SmokeFailed(
            f"{where}: golden request {answer.request_id} was answered {answer.status} ({_detail(answer)}), expected 200"
        )
    pictures = answer.body.get("images")
    if not isinstance(pictures, list):
        raise SmokeFailed(f"{where}: golden request {answer.request_id} was answered without a list of images")
    delivered = []
    for number, picture in enumerate(pictures, start=1):
        try:
            width, height = _size(picture_bytes(platform, picture))
            delivered.append(Delivered(index=number - 1, width=width, height=height))
        except (PlatformUnreachable, PlatformTimeout):
            raise  # says nothing about the app: the next run looks again
        except (ValueError, OSError, SyntaxError) as error:  # the last is what the PNG reader says of broken files
            raise SmokeFailed(f"{where}: image {number} of golden request {answer.request_id} is no picture: {error}") from error
    if len(pictures) != asked:
        raise SmokeFailed(
            f"{where}: golden request {answer.request_id} asked for {asked} images and got {len(pictures)}; "
            f"not delivered: {answer.body.get('undelivered', 'nothing is said about it')}"
        )
    if answer.units != str(owed := units_for(delivered, unit)):
        raise SmokeFailed(
            f"{where}: golden request {answer.request_id} delivered {len(pictures)} images "
            f"and billed {answer.units!r} units, {owed} by {unit}; they must be equal"
        )
    return {
        "request_id": answer.request_id,
        "images": len(pictures),
        "units": owed,
        "seconds": round(answer.seconds, 3),
    }


def _check_refusal(answer: Called, where: str) -> dict[str, Any]:
    if answer.status != 422 or answer.units != "0":
        raise SmokeFailed(
            f"{where}: a request for -1 images was answered {answer.status} with {answer.units!r} units, expected 422 with '0'"
        )
    return {"status": answer.status, "units": answer.units}


def _size(data: bytes) -> tuple[int, int]:
    """Width and height of a picture that decodes to the last pixel."""
    from PIL import Image  # here, so that looking at a platform does not load an imaging library

    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.size


def _detail(answer: Called) -> str:
    return " ".join(str(answer.body.get("detail", answer.body)).split())[:300]
