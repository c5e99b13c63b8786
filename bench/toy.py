"""A fal.App that draws without a model: what bench/release.py deploys, and serves bare beside it."""

import base64
import io
import sys

import fal
from fastapi import Response
from PIL import Image
from pydantic import BaseModel


class Asked(BaseModel):
    prompt: str
    num_images: int = 1
    seconds: float = 0.0


class Given(BaseModel):
    images: list[str]


class Toy(fal.App, keep_alive=300):
    app_name = "toy"
    app_auth = "shared"

    def setup(self) -> None:
        file = io.BytesIO()
        Image.new("RGB", (64, 64), (200, 30, 30)).save(file, "PNG")
        self.picture = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()

    @fal.endpoint("/")
    async def draw(self, asked: Asked, response: Response) -> Given:
        import asyncio

        await asyncio.sleep(asked.seconds)
        response.headers["x-fal-billable-units"] = str(asked.num_images)
        return Given(images=[self.picture] * asked.num_images)

    @fal.endpoint("/health", health_check=fal.HealthCheck())
    async def health(self) -> dict[str, str]:
        return {"status": "ok"}


if __name__ == "__main__":  # bare: the same app under uvicorn, on the port given
    import uvicorn

    app = Toy(_allow_init=True)._build_app()
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
