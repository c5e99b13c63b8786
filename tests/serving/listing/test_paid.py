"""Pictures that were paid for are found again, whatever ended the gallery; another release or another prompt finds none."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.listing.errors import GalleryError
from serving.listing.gallery import Call, photographed
from serving.listing.paid import paid_once
from serving.listing.planning import Shot, planned
from tests.serving.listing.material import Answer, app, dataset, evaluation, files_in, settings

ROOT = Path(__file__).resolve().parents[3]
SHOTS = list(planned(evaluation(), dataset(), settings(), prompts=2, seeds=2))


class Counted:
    """The app, and how often each picture was paid for."""

    def __init__(self, answer: Call = app) -> None:
        self.answer, self.asked = answer, list[tuple[str, int, object]]()

    def __call__(self, arguments: dict[str, Any]) -> Any:
        self.asked.append((arguments["prompt"], arguments["seed"], arguments.get("lora_scale")))
        return self.answer(arguments)


def draw(call: Call, out: Path, folder: Path, shots: list[Shot] = SHOTS) -> dict[str, bytes]:
    photographed(shots, out=out, call=paid_once(call, shots, folder=folder), progress=lambda line: None)
    return files_in(out)


class PowerCut(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("done", [0, 1, len(SHOTS) - 1])
def test_a_gallery_that_ended_half_way_pays_for_the_rest_alone(done: int, tmp_path: Path) -> None:
    counted = Counted()

    def cut(arguments: dict[str, Any]) -> Any:
        if len(counted.asked) == done:
            raise PowerCut
        return counted(arguments)

    with pytest.raises(PowerCut):
        draw(cut, tmp_path / "cut", tmp_path / "paid")
    made = draw(counted, tmp_path / "again", tmp_path / "paid")
    assert len(counted.asked) == len(set(counted.asked)) == len(SHOTS)
    assert made == draw(app, tmp_path / "whole", tmp_path / "another")


def test_a_new_prompt_is_paid_for_alone_and_another_release_pays_for_all(tmp_path: Path) -> None:
    counted = Counted()
    draw(counted, tmp_path / "first", tmp_path / "paid", SHOTS[:-1])
    draw(counted, tmp_path / "more", tmp_path / "paid")
    assert len(counted.asked) == len(SHOTS)
    draw(counted, tmp_path / "other", tmp_path / "other release")
    assert len(counted.asked) == 2 * len(SHOTS)


@pytest.mark.parametrize("bad", [{"status": 503}, {"units": "7"}, {"body": {"images": []}, "units": "0"}])
def test_what_was_no_delivery_is_asked_again(bad: dict[str, Any], tmp_path: Path) -> None:
    refused: Callable[[dict[str, Any]], Answer] = lambda arguments: Answer(**({"body": app(arguments).body} | bad))  # noqa: E731
    with pytest.raises(GalleryError):
        draw(refused, tmp_path / "refused", tmp_path / "paid")
    assert not (tmp_path / "paid").exists()
    assert draw(app, tmp_path / "mended", tmp_path / "paid")


KILLED = """
import pathlib, sys, time
from tests.serving.listing.material import app
from tests.serving.listing.test_paid import draw

def slow(arguments):
    print(arguments["seed"], flush=True)
    time.sleep(0.05)
    return app(arguments)

draw(slow, pathlib.Path(sys.argv[1]) / "killed", pathlib.Path(sys.argv[1]) / "paid")
"""


def test_killed_at_any_moment_at_most_the_picture_under_way_is_paid_for_again(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout as lines:
        begun = [next(lines) for _ in range(3)]
        os.kill(child.pid, signal.SIGKILL)
        begun += list(lines)
    child.wait(20)
    counted = Counted()
    draw(counted, tmp_path / "again", tmp_path / "paid")
    assert len(SHOTS) - len(begun) <= len(counted.asked) <= len(SHOTS) - len(begun) + 1
    kept = [json.loads(path.read_text()) for path in (tmp_path / "paid").glob("*.json")]
    assert len(kept) == len(SHOTS)
