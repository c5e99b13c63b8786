"""The probe: the smallest app that tells whether an account may deploy, and what the platform hands to an app and back."""

import fal
from fastapi import Request, Response
from pydantic import BaseModel


class Heard(BaseModel):
    """What the platform told the app of the call."""

    request_id: str | None
    caller: str | None
    package: str = "probe"


class Probe(fal.App):  # type: ignore[misc]
    """Draws nothing, bills nothing."""

    @fal.endpoint("/")  # type: ignore[untyped-decorator]
    def hear(self, request: Request, response: Response) -> Heard:
        """Answer with what was heard."""
        response.headers["x-fal-billable-units"] = "0"
        return Heard(request_id=request.headers.get("x-fal-request-id"), caller=request.headers.get("x-fal-caller-user-id"))

    @fal.endpoint("/health")  # type: ignore[untyped-decorator]
    def health(self) -> Heard:
        """Alive."""
        return Heard(request_id=None, caller=None)
