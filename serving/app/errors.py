"""How a request or a start can fail, and what the caller is told.

SettingsError (ValueError)     the package does not hold together: setup() stops
RequestFailure                 500 internal_server_error
├── ContentRefused             422 content_policy_violation
├── NothingDelivered           500 every image failed on its way out
├── OutOfMemory                500 the next request may fit
├── TimedOut                   504 generation_timeout
└── GpuBroken                  503 the CUDA context is lost: the platform replaces this runner
"""

import re


class SettingsError(ValueError):
    """settings.json, package.json or a file they name is missing or not as recorded."""


class RequestFailure(Exception):
    """A request that ends without an image; `status`, `type` and `field` are what the caller sees beside the message."""

    status = 500
    type = "internal_server_error"
    field: str | None = None

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


class NothingDelivered(RequestFailure):
    """Images were made, but none could be checked, encoded or uploaded."""


class OutOfMemory(RequestFailure):
    """The picture does not fit into memory beside what runs; the runner stays healthy."""


class TimedOut(RequestFailure):
    """The request met its deadline before it was done."""

    status = 504
    type = "generation_timeout"


class GpuBroken(RequestFailure):
    """The CUDA context can not be used any more."""

    status = 503
    type = "runner_server_error"


_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|CUBLAS_STATUS_ALLOC_FAILED", re.IGNORECASE)
_LOST_CONTEXT = re.compile(
    r"CUDA error|illegal memory access|device-side assert|CUDNN_STATUS|NCCL error|CUBLAS_STATUS", re.IGNORECASE
)


def failure_of(error: Exception) -> RequestFailure:
    """What a caller is told about any exception: its own words if it is one of ours, else as little as possible."""
    if isinstance(error, RequestFailure):
        return error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or _matches(error, _OUT_OF_MEMORY):
        return OutOfMemory("out of memory: ask for a smaller image")
    if _matches(error, _LOST_CONTEXT):
        return GpuBroken("the GPU of this runner failed")
    if isinstance(error, TimeoutError):
        return TimedOut("the request took longer than this app allows")
    return RequestFailure()


def _matches(error: Exception, pattern: re.Pattern[str]) -> bool:
    return isinstance(error, RuntimeError) and pattern.search(str(error)) is not None
