"""The app that fal runs: endpoints that make images and say what they cost, one that finds our marks, one that says how it is."""

import asyncio
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import fal
from fal.toolkit import Image
from fastapi import Request

from .answers import Cancellation, Health, health_of, output_of
from .billing import Delivered, Receipt
from .delivery import Way, deliver
from .drawing.batching import Batcher
from .drawing.engine import DiffusersEngine, Engine, Shape, Wanted
from .errors import GpuBroken
from .marking import Marker, found_marks, marker_for
from .pictures import OutputFormat, encode, hand_out
from .requests.inputs import MAX_BODY, picture_file, start_picture
from .requests.places import Places
from .requests.refusals import refuse_in_form
from .requests.schema import ImageInput, Input, Output, VerifyInput, VerifyOutput, image_input_model, input_model, seed_of
from .requests.sizes import pixels, require_work
from .runner import logs, metrics
from .runner.boundary import RECEIPT, Bounds, bound
from .runner.callers import Callers, caller_of, seed_for
from .runner.contained import contained_call
from .runner.lifecycle import Lifecycle
from .runner.logs import NOTES, Notes
from .runner.starting import explained, require_gpu
from .safety.checker import Checker, checker_for
from .safety.policy import check_request
from .settings import Installed, Settings, installed

# What is free must not keep paid images waiting: /verify has its own thread, and places of its own.
_DETECTOR, VERIFYING = ThreadPoolExecutor(1, thread_name_prefix="verify"), Places("verify-link", at_once=8)


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

    @cached_property
    def lifecycle(self) -> Lifecycle:
        """Whether requests are let in, and until when they must be answered."""
        return Lifecycle(grace=self.package.settings.termination_grace)

    @cached_property
    def callers(self) -> Callers:
        """The requests that are at work."""
        return Callers()

    @cached_property
    def worker(self) -> Executor:
        """The one thread in which torch runs: what it loads, compiles and draws stays in one place."""
        return ThreadPoolExecutor(1, thread_name_prefix="draw")

    def setup(self) -> None:
        """Load base and adapter; a failure is one line in the log and then stops the runner."""
        logs.quiet_access_log()
        try:
            self.checker, self.marker = self.make_checker(), self.make_marker()
            self.engine = self.worker.submit(self.make_engine).result()
            self.batcher = self.make_batcher()
        except Exception as error:
            print(explained(error), file=sys.stderr, flush=True)
            raise
        metrics.watch(self.lifecycle, self.batcher)

    def handle_exit(self) -> None:
        """SIGTERM: what is at work is finished within the grace period, what comes is sent to another runner."""
        self.lifecycle.drain()

    def teardown(self) -> None:
        """After the last answer."""
        self.lifecycle.drain()
        self.batcher.close()
        logs.told("end", in_flight=self.lifecycle.in_flight)

    def make_engine(self) -> Engine:
        """What makes the pictures."""
        require_gpu()
        return DiffusersEngine(self.package)

    def make_batcher(self) -> Batcher:
        """What gives each request its share of the engine."""
        settings = self.package.settings
        at_once = settings.batching.max_batch if settings.called.batches else 1
        batching = settings.batching.model_copy(update={"max_batch": at_once})
        return Batcher(self.engine, batching, in_flight=self.callers.__len__, worker=self.worker)

    def make_checker(self) -> Checker | None:
        """What looks at finished pictures, if the settings want it."""
        return checker_for(self.package.settings)

    def make_marker(self) -> Marker | None:
        """What marks finished pictures, if the settings want it."""
        return marker_for(self.package)

    def wanted(self, body: Input, seed: int) -> list[Wanted]:
        """The pictures that a request asks for."""
        return [
            Wanted(prompt=body.prompt, seed=seed_of(seed, index), negative_prompt=body.negative_prompt)
            for index in range(body.num_images)
        ]

    def hand_out(self, data: bytes, output_format: OutputFormat, size: tuple[int, int], *, inline: bool) -> Image:
        """Where a finished file goes: into the answer, or into fal's storage."""
        return hand_out(data, output_format, size, inline=inline)

    @fal.endpoint("/")  # type: ignore[untyped-decorator]
    async def generate(self, body: Input, request: Request) -> Output:
        """Make images from a prompt. Billed is what is delivered; whatever fails or is withheld costs nothing."""
        return await self._answered(body, request)

    @fal.endpoint("/image-to-image")  # type: ignore[untyped-decorator]
    async def image_to_image(self, body: ImageInput, request: Request) -> Output:
        """Make images from a prompt and a picture. Billed is what is delivered; whatever fails or is withheld costs nothing."""
        return await self._answered(body, request)

    @fal.endpoint("/cancel")  # type: ignore[untyped-decorator]
    async def cancel(self, request: Request) -> Cancellation:
        """Where fal asks to stop the request to / that has this one's id."""
        return Cancellation(cancelled=self.callers.cancel(request))

    @fal.endpoint("/image-to-image/cancel")  # type: ignore[untyped-decorator]
    async def cancel_image_to_image(self, request: Request) -> Cancellation:
        """Where fal asks to stop the request to /image-to-image that has this one's id."""
        return Cancellation(cancelled=self.callers.cancel(request))

    @fal.endpoint("/verify")  # type: ignore[untyped-decorator]
    async def verify(self, body: VerifyInput, request: Request) -> VerifyOutput:
        """Look for the marks that say that an image was generated, here or elsewhere. Costs nothing."""
        with VERIFYING.one(caller_of(request)) as place:
            data = await picture_file(body.image_url, place=place)
            found = await asyncio.get_running_loop().run_in_executor(_DETECTOR, contained_call(found_marks), data)
        answer: VerifyOutput = VerifyOutput.model_validate(found)
        return answer

    @fal.endpoint("/health", health_check=fal.HealthCheck(start_period_seconds=30, timeout_seconds=5, failure_threshold=3))  # type: ignore[untyped-decorator]
    async def health(self) -> Health:
        """How the runner is and what it runs."""
        if self.batcher.broken:
            raise GpuBroken("the GPU of this runner failed")
        return health_of(self.package, self.marker)

    def collect_routes(self) -> dict[Any, Callable[..., Any]]:
        """The SDK's routes, with requests as this package's limits allow them in place of the open ones."""
        settings = self.package.settings
        models = {"/": input_model(settings), "/image-to-image": image_input_model(settings)}
        routes = {signature.path: (signature, endpoint) for signature, endpoint in super().collect_routes().items()}
        if not settings.called.image_to_image:
            routes = {path: route for path, route in routes.items() if not path.startswith("/image-to-image")}
        return {
            signature: _bounded(endpoint, models[path]) if path in models else endpoint
            for path, (signature, endpoint) in routes.items()
        }

    def _build_app(self) -> Any:
        app = super()._build_app()
        settings = self.package.settings
        app.title, app.version = settings.name, self.package.hash
        for route in app.routes:
            if route.path.endswith("/cancel"):
                route.include_in_schema = False  # only the platform calls it
        refuse_in_form(app)
        paths = frozenset(route.path for route in app.routes)
        bounds = Bounds(
            unit=settings.billing.unit,
            timeout=settings.request_timeout,
            max_body=MAX_BODY,
            paths=paths,
            prompts=settings.logs.prompts,
        )
        bound(app, self.lifecycle, bounds)
        return app

    async def _answered(self, body: Input, request: Request) -> Output:
        """The answer to a request that somebody waits for, and what is billed for it: decided here and nowhere else."""
        answer, receipts = await self.callers.wait(request, self._made(body, request))
        receipt: Receipt = request.scope[RECEIPT]
        receipt.images = receipts
        return answer

    async def _made(self, body: Input, request: Request) -> tuple[Output, tuple[Delivered, ...]]:
        notes: Notes = request.scope[NOTES]
        notes.prompt = body.prompt
        settings = self.package.settings
        deadline = time.monotonic() + _time_to_draw(settings.request_timeout)
        check_request(body.prompt, body.negative_prompt, settings)
        seed = seed_for(request) if body.seed is None else body.seed
        shape, wanted = await self._asked(body, seed, caller := caller_of(request))
        drawn = await self.batcher.draw(shape, wanted, deadline=deadline, caller=caller)
        notes.seconds, notes.batch = {"queue": drawn.queue, "inference": drawn.inference}, drawn.batch
        began = time.monotonic()
        delivery = await deliver(drawn.results, self._way(body), notes)
        notes.seconds = {**notes.seconds, "delivery": time.monotonic() - began}
        return output_of(body, seed, delivery, notes.seconds), delivery.receipts

    async def _asked(self, body: Input, seed: int, caller: str) -> tuple[Shape, list[Wanted]]:
        """What the engine is asked for."""
        wanted, size = self.wanted(body, seed), body.image_size and pixels(body.image_size)
        if body.image_url is not None:
            limits = self.package.settings.limits
            start = await start_picture(body.image_url, limits=limits, caller=caller, size=size)
            wanted, size = [replace(one, start=start) for one in wanted], start.size
            require_work(limits, *size, body.num_inference_steps, body.num_images, change=body.strength)
        shape = Shape(
            width=size[0],
            height=size[1],
            steps=body.num_inference_steps,
            guidance_scale=body.guidance_scale,
            lora_scale=_strength(body, self.package.settings),
            adapter=body.adapter,
            change=body.strength,
        )
        return shape, wanted

    def _way(self, body: Input) -> Way:
        unchecked = self.package.settings.safety.optional and not body.enable_safety_checker
        return Way(
            checker=None if unchecked else self.checker,
            file=self.marker.file if self.marker else encode,
            hand_out=partial(self.hand_out, inline=body.sync_mode),
            output_format=body.output_format,
        )


def _strength(body: Input, settings: Settings) -> float:
    """The strength asked for; where none is, the one that is recommended for the adapter that draws."""
    if body.adapter == "challenger" and settings.challenger and "lora_scale" not in body.model_fields_set:
        return settings.challenger.scale
    return body.lora_scale


def _bounded(endpoint: Callable[..., Any], model: type[Input]) -> Callable[..., Any]:
    """The endpoint, taking its request as `model`: FastAPI reads that from the annotations."""

    async def bounded(body: Any, request: Request) -> Output:
        return await endpoint(body, request)  # type: ignore[no-any-return]

    bounded.__annotations__["body"] = model
    bounded.__name__, bounded.__doc__ = endpoint.__name__, endpoint.__doc__
    return bounded


def _time_to_draw(timeout: float) -> float:
    """Seconds of a request's time after which pictures come too late: those that are there by then can still be delivered."""
    return timeout - min(10.0, timeout / 5)
