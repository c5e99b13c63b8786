"""What the prompt filter and the picture checker cost, and what they do with known prompts and pictures: python -m bench.safety

One thread, processor time. Pictures are those of bench.findings: the demo's, and photographs that scikit-image carries, all safe.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from bench.findings import DEMO, opened
from serving.app.errors import ContentRefused
from serving.app.safety.policy import check_prompt
from tests.serving.app.harmless_prompts import HARMLESS

LONG = "a red fox in the snow, soft light, "
WORST = {"one letter a word": "a ", "dots": "x.y", "symbols": "!@a", "marks": "e\u0301"}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = 5 if arguments.parse_args().quick else 25
    prompts(rounds)
    pictures(rounds)


def prompts(rounds: int) -> None:
    refused = [prompt for prompt in HARMLESS if is_refused(prompt)]
    print(f"prompts: {len(refused)} of {len(HARMLESS)} harmless ones refused")
    each = [microseconds(lambda prompt=prompt: is_refused(prompt), rounds) for prompt in HARMLESS]  # type: ignore[misc]
    length = statistics.mean(map(len, HARMLESS))
    print(f"  these, {length:.0f} characters on average: median {statistics.median(each):.0f} us, highest {max(each):.0f} us")
    for name, text in {"plain text": LONG, **WORST}.items():
        whole = (text * 4096)[:4096]
        print(f"  {name}, {len(whole)} characters: {microseconds(lambda whole=whole: is_refused(whole), rounds):.0f} us")  # type: ignore[misc]


def pictures(rounds: int) -> None:
    before = rss()
    began = time.process_time()
    from serving.app.safety.opennsfw import OpenNsfw

    checker = OpenNsfw(threshold=0.8)
    loaded = 1000 * (time.process_time() - began)
    print(f"open_nsfw: loaded in {loaded:.0f} ms of processor time, {(rss() - before) / 2**20:.0f} MiB more in memory")
    spec = find_spec("skimage")
    assert spec is not None, "scikit-image is among the packages for development"
    assert spec.origin is not None
    carried = Path(spec.origin).parent / "data"
    demo = sorted(DEMO.glob("*/*.webp"))
    for name, paths in (("demo", demo), ("photographs", sorted([*carried.glob("*.png"), *carried.glob("*.jpg")]))):
        scores = [checker.score(picture) for picture in opened(paths).values()]
        flagged = sum(score >= checker.threshold for score in scores)
        print(f"  {name}, {len(scores)} pictures, all safe: highest {max(scores):.3f}, flagged {flagged}")
    for side in (512, 1024):
        noise = np.random.default_rng(1).integers(0, 255, (side, side, 3), dtype=np.uint8)
        picture = Image.fromarray(noise)
        print(f"  {side} x {side}: {microseconds(lambda picture=picture: checker.flags(picture), rounds) / 1000:.1f} ms a check")  # type: ignore[misc]
    print(f"  after all of them {(rss() - before) / 2**20:.0f} MiB more than before")


def is_refused(prompt: str) -> bool:
    try:
        check_prompt(prompt)
    except ContentRefused:
        return True
    return False


def microseconds(call: Callable[[], object], rounds: int) -> float:
    """Median processor time of a call."""
    spent = []
    for _ in range(rounds):
        began = time.process_time_ns()
        call()
        spent.append((time.process_time_ns() - began) / 1000)
    return statistics.median(spent)


def rss() -> int:
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main()
