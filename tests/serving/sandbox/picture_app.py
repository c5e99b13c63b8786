"""What the playground's tests call: an app in the shape of ours, without a model, that paints a small landscape from its input."""

import asyncio
import base64
import colorsys
import io
import math
import random
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from PIL import Image, ImageDraw, ImageFilter
from pydantic import BaseModel, Field

PRESETS = {"square_hd": (512, 512), "landscape_4_3": (512, 384), "portrait_4_3": (384, 512)}
IMPORTANT: dict[str, Any] = {"ui": {"important": True}}


class ImageSize(BaseModel):
    width: int = Field(ge=64, le=1024, multiple_of=16, description="Width of the image in pixels.")
    height: int = Field(ge=64, le=1024, multiple_of=16, description="Height of the image in pixels.")


class Input(BaseModel):
    """What to paint."""

    prompt: str = Field(
        min_length=1,
        max_length=500,
        description="What the image shows.",
        examples=["hills at dusk", "ridges by moonlight"],
        json_schema_extra=IMPORTANT,
    )
    negative_prompt: str = Field(default="", max_length=500, description="What the image should not show.", examples=["blurry"])
    image_size: ImageSize | Literal["square_hd", "landscape_4_3", "portrait_4_3"] = Field(
        default="landscape_4_3", description="Size of the image.", json_schema_extra=IMPORTANT
    )
    num_inference_steps: int = Field(default=4, ge=1, le=50, description="Denoising steps.")
    guidance_scale: float = Field(default=3.5, ge=0, le=20, description="How closely the image follows the prompt.")
    seed: int | None = Field(default=None, ge=0, lt=2**32, description="The same seed gives the same image.", examples=[42])
    num_images: int = Field(default=1, ge=1, le=4, description="Each image that is delivered is one billable unit.")
    enable_safety_checker: bool = Field(default=True, description="Whether images are checked.")
    output_format: Literal["png", "jpeg"] = Field(default="png", description="File format of the images.")
    adapter: str = Field(default="champion", json_schema_extra={"ui": {"hidden": True}})


class ImageInput(Input):
    image_url: str = Field(description="The picture to start from: a link or a data URI.", json_schema_extra=IMPORTANT)
    strength: float = Field(default=0.85, ge=0.01, le=1, description="How much of the picture is drawn anew.")


class Shape(BaseModel):
    name: Literal["circle", "square"] = "circle"
    sides: list[int] = Field(default=[], max_length=3)


class SketchInput(BaseModel):
    """Every kind of field that a form has to draw."""

    title: str | None = Field(default=None, description="A short line.")
    shapes: list[Shape] = Field(min_length=1, max_length=3, description="What to draw.")
    frame: Shape = Field(default=Shape(), description="What is around it.")
    options: dict[str, Any] = Field(default={}, description="Anything else.")


class Picture(BaseModel):
    url: str
    content_type: str = "image/png"
    width: int
    height: int


class Output(BaseModel):
    images: list[Picture]
    seed: int
    timings: dict[str, float]
    prompt: str
    undelivered: list[dict[str, Any]] = []


app = FastAPI(title="pictures", version="1")


@app.post("/", summary="Generate")
async def generate(body: Input, response: Response) -> Any:
    """Paint images from a prompt. Billed is what is delivered."""
    return await painted(body, response)


@app.post("/image-to-image", summary="Image To Image")
async def image_to_image(body: ImageInput, response: Response) -> Any:
    """Hand the picture back, as a link where it came as one."""
    response.headers["x-fal-billable-units"] = "1"
    image = Picture(url=body.image_url, content_type="image/png", width=64, height=64)
    return Output(images=[image], seed=1, timings={"inference": 0.1}, prompt=body.prompt)


@app.post("/sketch", summary="Sketch")
async def sketch(body: SketchInput) -> dict[str, Any]:
    """Say what was understood."""
    return {"understood": body.model_dump()}


@app.post("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


async def painted(body: Input, response: Response) -> Any:
    """An Output, or what the first word of the prompt asks to go wrong."""
    word = body.prompt.split()[0]
    if word == "forbidden":
        detail = {"loc": ["body", "prompt"], "msg": "The prompt is against the content policy.", "type": "content_policy_violation"}
        return JSONResponse({"detail": [detail]}, 422, {"x-fal-billable-units": "0"})
    if word == "busy":
        return JSONResponse({"detail": "Too many pictures wait."}, 429, {"retry-after": "2", "x-fal-billable-units": "0"})
    if word == "broken":
        raise RuntimeError("the brush broke")
    if word == "slow":
        await asyncio.sleep(1.5)
    seed = body.seed if body.seed is not None else 7
    size = PRESETS[body.image_size] if isinstance(body.image_size, str) else (body.image_size.width, body.image_size.height)
    wanted = body.num_images - (word == "partly")
    images = []
    for index in range(wanted):
        print(f"painting {index + 1} of {body.num_images}: {size[0]} x {size[1]}, seed {seed + index}", flush=True)
        images.append(Picture(url=_data_uri(_landscape(size, seed + index)), width=size[0], height=size[1]))
    response.headers["x-fal-billable-units"] = str(len(images))
    missing = [{"index": index, "reason": "content_policy"} for index in range(wanted, body.num_images)]
    return Output(images=images, seed=seed, timings={"inference": 0.42, "delivery": 0.03}, prompt=body.prompt, undelivered=missing)


def _landscape(size: tuple[int, int], seed: int) -> Image.Image:
    """Sky, sun and hills; colours and lines from the seed."""
    width, height = size
    chance = random.Random(seed)
    hue = chance.random()
    top, low = _colour(hue, 0.55, 0.35), _colour(hue + 0.12, 0.45, 0.98)
    sky = Image.new("RGB", (1, height))
    sky.putdata([tuple(round(a + (b - a) * y / height) for a, b in zip(top, low, strict=True)) for y in range(height)])
    picture = sky.resize(size)
    glow = Image.new("L", size)
    x, y, r = chance.uniform(0.25, 0.75) * width, chance.uniform(0.3, 0.5) * height, 0.1 * min(size)
    ImageDraw.Draw(glow).ellipse((x - r, y - r, x + r, y + r), fill=255)
    picture.paste(_colour(hue + 0.1, 0.15, 1.0), mask=glow.filter(ImageFilter.GaussianBlur(r / 12)))
    for layer in range(4):
        base, deep = height * (0.55 + 0.12 * layer), chance.uniform(0, 9)
        line = [(px, base - height * 0.07 * _hill(px / width, deep, layer)) for px in range(0, width + 8, 8)]
        colour = _colour(hue + 0.04 * layer, 0.4 + 0.08 * layer, 0.62 - 0.13 * layer)
        ImageDraw.Draw(picture).polygon([*line, (width, height), (0, height)], fill=colour)
    return picture


def _hill(at: float, phase: float, layer: int) -> float:
    return math.sin(at * (3 + layer) + phase) + 0.5 * math.sin(at * (8 + 3 * layer) + 2 * phase) + 0.12 * math.sin(at * 41 + phase)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _data_uri(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


class Pictures:
    """What `[tool.fal.apps.x] python_entry_point` would name."""

    @staticmethod
    def run_local(*, exposed_port: int, exposed_metrics_port: int) -> None:
        uvicorn.Server(uvicorn.Config(app, host="0.0.0.0", port=exposed_port)).run()
