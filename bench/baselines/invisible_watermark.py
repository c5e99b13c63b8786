"""invisible-watermark 0.2.0 on the megapixel photographs of bench/marks.py: read back after what delivered pictures go through?

    pip install --no-deps --target FOLDER invisible-watermark==0.2.0
    python bench/baselines/invisible_watermark.py FOLDER

It wants torch and the desktop build of OpenCV; this environment's torch and headless OpenCV do.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [sys.argv[1], *(str(Path(__file__).resolve().parents[up]) for up in (1, 2))]

import numpy as np  # noqa: E402
from marks import PHOTOGRAPHS, megapixel, photograph, scaled  # noqa: E402

from tests.serving.app.photographs import jpeg  # noqa: E402

BITS = b"\x12\x34\xab\xcd"


def main() -> int:
    pictures = [megapixel(photograph(name)) for name in PHOTOGRAPHS]
    for method in ("dwtDct", "dwtDctSvd"):
        files = [encoded(picture, method) for picture in pictures]
        noise = [psnr(one, other) for one, other in zip(pictures, files, strict=True)]
        print(f"{method}: PSNR {min(noise):.1f} dB at least, {statistics.median(noise):.1f} in the middle")
        for attack, change in ATTACKS.items():
            read = sum(decoded(change(file), method) == BITS for file in files)
            print(f"{method}: {attack}: {len(BITS) * 8} bits read from {read} of {len(files)}")
        large = pictures[0].resize((1024, 1024))
        begun = time.process_time()
        encoded(large, method)
        print(f"{method}: {(time.process_time() - begun) * 1000:.0f} CPU ms at 1 megapixel")
    return 0


def encoded(picture: Any, method: str) -> Any:
    from imwatermark import WatermarkEncoder
    from PIL import Image

    encoder = WatermarkEncoder()
    encoder.set_watermark("bytes", BITS)
    marked = encoder.encode(np.asarray(picture)[:, :, ::-1], method)
    return Image.fromarray(np.clip(marked, 0, 255).astype(np.uint8)[:, :, ::-1])


def decoded(picture: Any, method: str) -> bytes:
    from imwatermark import WatermarkDecoder

    return bytes(WatermarkDecoder("bytes", len(BITS) * 8).decode(np.asarray(picture)[:, :, ::-1], method))


def psnr(one: Any, other: Any) -> float:
    return float(10 * np.log10(255**2 / np.mean((np.asarray(one, float) - np.asarray(other)) ** 2)))


ATTACKS = {
    "as it is": lambda picture: picture,
    "JPEG at 95": jpeg(95),
    "JPEG at 80": jpeg(80),
    "half the size": lambda picture: scaled(picture, 0.5),
}

if __name__ == "__main__":
    sys.exit(main())
