"""A fal.App without a model, deployed by the contract tests in both of the SDK's ways: pickled, and by its entry point."""

import json
from pathlib import Path

import fal
from fal.toolkit import File
from fastapi import HTTPException, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel


class Asked(BaseModel):
    prompt: str
    images: int = 1


class Given(BaseModel):
    version: str
    caller: str | None
    pictures: list[File]


class Toy(fal.App, keep_alive=60):
    app_name = "toy"
    app_auth = "shared"
    machine_type = "GPU-H100"

    def setup(self) -> None:
        settings = Path("settings.json")
        self.settings = json.loads(settings.read_text()) if settings.exists() else {"version": "pickled"}
        print("setup of", self.settings["version"])
        if "fault" in self.settings:
            raise RuntimeError(self.settings["fault"])

    @fal.endpoint("/")
    def generate(self, asked: Asked, response: Response) -> Given:
        print("generating", asked.prompt)
        if asked.prompt == "bad":
            raise HTTPException(422, "no such thing", headers={"x-fal-billable-units": "0"})
        response.headers["x-fal-billable-units"] = str(asked.images)
        request = self.current_request
        caller = request.headers.get("x-fal-caller-user-id") if request else None
        pictures = [File.from_bytes(f"{asked.prompt} {n}".encode(), content_type="text/plain") for n in range(asked.images)]
        return Given(version=self.settings["version"], caller=caller, pictures=pictures)

    @fal.endpoint("/stream")
    def stream(self, asked: Asked) -> StreamingResponse:
        events = (f"data: {json.dumps({'number': number})}\n\n" for number in range(asked.images))
        return StreamingResponse(events, media_type="text/event-stream")

    @fal.endpoint("/health", health_check=fal.HealthCheck())
    def health(self) -> dict[str, str]:
        return {"version": self.settings["version"]}
