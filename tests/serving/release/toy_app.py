"""A small app in the shape of ours, without a model: it paints squares. toy.json makes it fail in one chosen way."""

import io
import json
from pathlib import Path
from typing import Any

import fal
from fal.toolkit import Image
from fastapi import HTTPException, Response
from pydantic import BaseModel, Field

HERE = Path(__file__).resolve().parent.parent


class Input(BaseModel):
    prompt: str = Field(min_length=1)
    num_images: int = Field(default=1, ge=1, le=4)


class Output(BaseModel):
    images: list[Image]


class Health(BaseModel):
    status: str
    package: str


class ToyApp(fal.App):  # type: ignore[misc]
    """Paints squares."""

    def setup(self) -> None:
        self.faults: dict[str, Any] = json.loads((HERE / "toy.json").read_text())
        self.package = json.loads((HERE / "package.json").read_text())["hash"]
        if "setup" in self.faults:
            print("loading the weights of the toy", flush=True)
            raise RuntimeError(self.faults["setup"])

    @fal.endpoint("/")  # type: ignore[untyped-decorator]
    def generate(self, body: Input, response: Response) -> Output:
        """Paint squares."""
        if body.prompt == "refuse":
            raise HTTPException(400, "not this prompt", headers={"x-fal-billable-units": "0"})
        inline = {"repository": "in_memory"} if self.faults.get("inline") else {}
        images = [Image.from_bytes(_png(index), "png", **inline) for index in range(body.num_images)]
        response.headers["x-fal-billable-units"] = str(self.faults.get("units", len(images)))
        return Output(images=images)

    @fal.endpoint("/health")  # type: ignore[untyped-decorator]
    def health(self) -> Health:
        """What runs here."""
        return Health(status="ok", package=self.package)


def _png(index: int) -> bytes:
    from PIL import Image as Picture

    stream = io.BytesIO()
    Picture.new("RGB", (16, 16), (40 * index, 90, 200)).save(stream, "PNG")
    return stream.getvalue()
