"""How a request or a start can fail, and what the caller is told.

Stopped                        a call of the pipeline that nobody waits for any more; no caller sees it
MarkingError                   a picture could not be marked: it is withheld
SettingsError (ValueError)     the package does not hold together: setup() stops
RequestFailure                 500 internal_server_error
├── ContentRefused             422 content_policy_violation
├── BadText                    422 a text has characters that can not be drawn from, or too many bytes
├── BadPicture                 422 the picture of image_url can not be had or read; its type says which
├── WorkRefused                422 work_budget_exceeded
├── TooFewSteps                422 one step alone leads nowhere on this base's schedule
├── BodyTooLarge               413 payload_too_large
├── Busy                       429 too much waits already: send it again in a moment
├── Draining                   429 this runner ends: the platform sends the request to another one
├── Cancelled                  499 request_cancelled: nobody waits for the answer any more
├── NothingDelivered           500 every image failed on its way out
├── OutOfMemory                500 the next request may fit
├── TimedOut                   504 generation_timeout
└── GpuBroken                  503 the CUDA context is lost: the platform replaces this runner
"""

import re
from collections.abc import Mapping
from typing import Literal

# fal sends a request that ended with 503 or 504 to another runner, one that ended with 4xx or 500 to none, unless it is told
# otherwise. A 503 also ends its runner at once, with all that is at work there: only one that can not work at all may say it.
_HERE_ONLY = {"x-fal-needs-retry": "0"}
_ELSEWHERE = {"x-fal-needs-retry": "1", "retry-after": "1"}
_LATER = {"retry-after": "1"}

PictureFault = Literal["file_download_error", "file_too_large", "image_load_error", "image_too_large", "unsupported_image_format"]


class Stopped(Exception):
    """Nobody waits for any picture of this call any more: it ended between two steps."""


class SettingsError(ValueError):
    """settings.json, package.json or a file they name is missing or not as recorded."""


class MarkingError(Exception):
    """A picture could not be marked: it is withheld."""


class RequestFailure(Exception):
    """A request that ends without an image; `status`, `type` and `field` are what the caller sees beside the message.

    `headers` tell the platform what its status alone does not: whether another runner shall try.
    """

    status = 500
    type = "internal_server_error"
    field: str | None = None
    headers: Mapping[str, str] = {}

    def __init__(self, message: str = "Internal Server Error") -> None:
        super().__init__(message)

    def body(self) -> dict[str, object]:
        """The answer in fal's form for model errors."""
        loc = ["body"] if self.field is None else ["body", self.field]
        return {"detail": [{"loc": loc, "msg": str(self), "type": self.type}]}


class ContentRefused(RequestFailure):
    """The prompt, or every image made from it, is against the content policy."""

    status = 422
    type = "content_policy_violation"
    field = "prompt"


class BadText(RequestFailure):
    """A prompt, or a negative one, has control characters or too many bytes."""

    status = 422

    def __init__(self, message: str, *, field: str, type: Literal["value_error", "string_too_long"] = "value_error") -> None:
        super().__init__(message)
        self.field, self.type = field, type


class BadPicture(RequestFailure):
    """The picture that a request names can not be had or can not be read; the types are fal's."""

    status = 422
    field = "image_url"

    def __init__(self, message: str, *, type: PictureFault = "image_load_error") -> None:
        super().__init__(message)
        self.type = type


class WorkRefused(RequestFailure):
    """What is asked for is more work than one request may be."""

    status = 422
    type = "work_budget_exceeded"
    field = "num_images"


class TooFewSteps(RequestFailure):
    """The base's schedule ends at a set noise level, so that one step alone leads nowhere."""

    status = 422
    type = "greater_than_equal"
    field = "num_inference_steps"


class BodyTooLarge(RequestFailure):
    """The body of a request is larger than any request needs."""

    status = 413
    type = "payload_too_large"


class Busy(RequestFailure):
    """Too many pictures wait already; the runner is healthy and the same request may be sent again."""

    status = 429
    type = "runner_busy"
    headers = _LATER


class Draining(RequestFailure):
    """This runner ends, and did not do the request; another one may.

    Neither 503 nor 504: fal would end this runner, with all that is still at work on it.
    """

    status = 429
    type = "runner_draining"
    headers = _ELSEWHERE

    def __init__(self, message: str = "this runner is shutting down: send the request again") -> None:
        super().__init__(message)


class Cancelled(RequestFailure):
    """Nobody waits for the answer any more: the caller went away, or the platform cancelled the request."""

    status = 499
    type = "request_cancelled"


class NothingDelivered(RequestFailure):
    """Images were made, but none could be checked, encoded or uploaded."""


class OutOfMemory(RequestFailure):
    """The picture does not fit into memory beside what runs; the runner stays healthy."""


class TimedOut(RequestFailure):
    """The request met its deadline before it was done."""

    status = 504
    type = "generation_timeout"
    headers = _HERE_ONLY


class GpuBroken(RequestFailure):
    """The CUDA context can not be used any more."""

    status = 503
    type = "runner_server_error"


_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|STATUS_ALLOC_FAILED", re.IGNORECASE)
_GPU = re.compile(
    r"CUDA error|CUDA driver error|illegal memory access|device-side assert|(CUDNN|CUBLAS)_STATUS|NCCL error", re.IGNORECASE
)
# A kernel that died takes its context with it; a call that was refused does not.
_REFUSED_CALL = re.compile(
    r"STATUS_NOT_SUPPORTED|STATUS_BAD_PARAM|STATUS_INVALID_VALUE|CUDA error: (invalid (argument|configuration)|no kernel image)",
    re.IGNORECASE,
)


def failure_of(error: BaseException) -> RequestFailure:
    """What a caller is told about any exception: its own words if it is one of ours, else as little as possible."""
    if isinstance(error, RequestFailure):
        return error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or _matches(error, _OUT_OF_MEMORY):
        return OutOfMemory("out of memory: ask for a smaller image")
    if _matches(error, _GPU) and not _matches(error, _REFUSED_CALL):
        return GpuBroken("the GPU of this runner failed")
    if isinstance(error, TimeoutError):
        return TimedOut("the request took longer than this app allows")
    return RequestFailure()


def _matches(error: BaseException, pattern: re.Pattern[str]) -> bool:
    return isinstance(error, RuntimeError) and pattern.search(str(error)) is not None
