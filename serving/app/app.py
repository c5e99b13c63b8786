"""The app that fal runs: one endpoint that makes images and says what they cost, one that says how it is."""

import secrets
import sys
import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Literal

import fal
from fal.toolkit import Image
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from .billing import Receipt
from .boundary import RECEIPT, BillingBoundary
from .delivery import deliver
from .engine import DiffusersEngine, Engine, Work
from .pictures import OutputFormat, hand_out
from .safety import Checker, check_prompt, checker_for
from .schema import MAX_SEED, Input, Output, Undelivered, input_model, pixels, safety_note
from .settings import Installed, installed


class Health(BaseModel):
    """How the runner is and what it runs. Answers without the GPU, also while a request is at work."""

    status: Literal["ok"] = "ok"
    package: str = Field(description="Hash of the package that runs here; OpenAPI's info.version is the same.")
    adapter_sha256: str
    family: str
    safety: str = Field(description="What protects callers here.")


class LoraApp(fal.App):  # type: ignore[misc]
    """Text to image with one LoRA. Its settings are in the package's pyproject.toml: class attributes are not read there."""

    app_name = "lora-app"

    @property
    def version(self) -> str:
        """What the SDK's metrics call this app."""
        return self.package.hash

    @cached_property
    def package(self) -> Installed:
        """The package this app runs from."""
        return installed()

    def setup(self) -> None:
        """Load base and adapter; a failure is one line in the log and then stops the runner."""
        try:
            self.checker = self.make_checker()
            self.engine = self.make_engine()
        except Exception as error:
            print(f"setup failed: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
            raise

    def make_engine(self) -> Engine:
        """What makes the pictures."""
        return DiffusersEngine(self.package)

    def make_checker(self) -> Checker | None:
        """What looks at finished pictures, if the settings want it."""
        return checker_for(self.package.settings)

    def hand_out(self, data: bytes, output_format: OutputFormat, size: tuple[int, int], *, inline: bool) -> Image:
        """Where a finished file goes: into the answer, or into fal's storage."""
        return hand_out(data, output_format, size, inline=inline)

    @fal.endpoint("/")  # type: ignore[untyped-decorator]
    def generate(self, body: Input, request: Request) -> Output:
        """Make images from a prompt. Billed units are the images delivered; whatever fails or is withheld costs nothing."""
        check_prompt(body.prompt)
        work = self._work(body)
        pictures = _Timed(self.engine.generate(work))
        began = time.monotonic()
        delivery = deliver(
            pictures,
            checker=self.checker if body.enable_safety_checker else None,
            output_format=body.output_format,
            hand_out=partial(self.hand_out, inline=body.sync_mode),
        )
        seconds = time.monotonic() - began
        answer = Output(
            images=list(delivery.images),
            timings={"inference": round(pictures.seconds, 4), "delivery": round(seconds - pictures.seconds, 4)},
            seed=work.seed,
            has_nsfw_concepts=[False] * len(delivery.images),
            prompt=body.prompt,
            undelivered=[Undelivered(index=index, reason=reason) for index, reason in delivery.undelivered],
        )
        receipt: Receipt = request.scope[RECEIPT]
        receipt.images = delivery.receipts
        return answer

    @fal.endpoint("/health", health_check=fal.HealthCheck(start_period_seconds=30, timeout_seconds=5, failure_threshold=3))  # type: ignore[untyped-decorator]
    def health(self) -> Health:
        """How the runner is and what it runs."""
        settings = self.package.settings
        return Health(
            package=self.package.hash, adapter_sha256=settings.adapter.sha256, family=settings.family, safety=safety_note(settings)
        )

    def collect_routes(self) -> dict[Any, Callable[..., Any]]:
        """The SDK's routes, with the request as this package's limits allow it in place of the open one."""
        return {signature: self._bounded(endpoint) for signature, endpoint in super().collect_routes().items()}

    def _build_app(self) -> Any:
        app = super()._build_app()
        settings = self.package.settings
        app.title, app.version = settings.name, self.package.hash
        app.add_exception_handler(RequestValidationError, _invalid)
        app.add_middleware(BillingBoundary, unit=settings.billing.unit)  # added last, so it is the outermost
        return app

    def _bounded(self, endpoint: Callable[..., Any]) -> Callable[..., Any]:
        if endpoint != self.generate:
            return endpoint

        def generate(body: Any, request: Request) -> Output:
            return self.generate(body, request)  # type: ignore[no-any-return]

        generate.__annotations__["body"] = input_model(self.package.settings)
        generate.__doc__ = self.generate.__doc__
        return generate

    def _work(self, body: Input) -> Work:
        width, height = pixels(body.image_size)
        return Work(
            prompt=body.prompt,
            width=width,
            height=height,
            steps=body.num_inference_steps,
            guidance_scale=body.guidance_scale,
            seed=secrets.randbelow(MAX_SEED + 1) if body.seed is None else body.seed,
            images=body.num_images,
            strength=body.lora_scale,
            deadline=time.monotonic() + self.package.settings.request_timeout,
        )


class _Timed:
    """An iterator that adds up the seconds spent inside of another one."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.seconds = inner, 0.0

    def __iter__(self) -> "_Timed":
        return self

    def __next__(self) -> Any:
        began = time.monotonic()
        try:
            return next(self.inner)
        finally:
            self.seconds += time.monotonic() - began


async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
    """422 in fal's form: where, what and which kind, without the echo of the input that the SDK adds."""
    detail = [{"loc": _place(item["loc"]), "msg": item["msg"], "type": item["type"]} for item in error.errors()]
    return JSONResponse({"detail": detail}, 422)


def _place(loc: tuple[str | int, ...]) -> list[str | int]:
    """The path to a field as the caller knows it: without the name of the alternative that `image_size` was read as."""
    if loc[1:2] == ("image_size",):
        return [*loc[:2], *(part for part in loc[2:] if part not in ("size", "preset"))]
    return list(loc)
