"""A package that somebody deploys by hand: the unmodified `fal deploy` in its folder, then calls as any account."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.calls import called
from serving.app.settings import Marking, Safety
from serving.release.package import Package, build_package, load_package
from serving.sandbox import control
from serving.sandbox.control import Running
from tests.contracts.test_fal_protocol import FAL, python, run
from tests.serving.app.packages import VERDICT, settings, write_base, write_bundle, write_notices
from training.families import FAMILIES

CALLS = """
import base64, threading
import fal_client
units = []
client = fal_client.SyncClient()
client._client.event_hooks["response"].append(lambda reply: units.append(reply.headers.get("x-fal-billable-units")))
health = client.run(f"{owner}/tiny-style/health", {})
asked = {"prompt": "a fox", "seed": 5, "num_images": 2, "sync_mode": True, "output_format": "png"}
together = []
threads = [threading.Thread(target=lambda: together.append(client.run(f"{owner}/tiny-style", asked))) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
alone = client.run(f"{owner}/tiny-style", asked)
start = {"image_url": alone["images"][0]["url"], "strength": 1.0}
changed = client.run(f"{owner}/tiny-style/image-to-image", {**asked, **start})
found = client.run(f"{owner}/tiny-style/verify", {"image_url": alone["images"][0]["url"]})
answer = dict(health=health, together=together, alone=alone, changed=changed, found=found, units=[each for each in units if each])
"""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("by-hand")
    yield control.up(home)
    control.down(home)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    home = tmp_path_factory.mktemp("package")
    return build_package(
        bundle=write_bundle(home / "bundle"),
        base=write_base(home / "base"),
        base_ref="tiny",
        base_revision=None,
        verdict=VERDICT,
        notices=write_notices(home / "notices"),
        settings=settings(safety=Safety(enabled=True), marking=Marking(), pipeline=called(FAMILIES["z-image"])),
        out=home / "out",
    )


@pytest.fixture(scope="module")
def answers(sandbox: Running, package: Package) -> dict[str, Any]:
    """What the app answers once `fal deploy NAME`, run in the folder, has deployed it."""
    done = run([FAL, "deploy", "tiny-style", "--json"], sandbox.env, cwd=package.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.strip().splitlines()[-1])["status"] == "deployed"
    script = f"owner = {sandbox.owner!r}\n{CALLS}"
    given: dict[str, Any] = python(script, sandbox.env | {"FAL_KEY": sandbox.caller_key})
    return given


def test_it_runs_the_package_that_was_deployed(answers: dict[str, Any], package: Package) -> None:
    assert answers["health"]["package"] == package.hash
    assert load_package(package.folder).hash == package.hash  # deploying leaves nothing in the folder


def test_calls_that_share_a_runner_get_the_pictures_that_each_gets_alone(answers: dict[str, Any]) -> None:
    alone = pixels(answers["alone"])
    for each in answers["together"]:
        # The bytes differ: every file is signed at its own moment.
        assert np.abs(pixels(each).astype(int) - alone).max() <= 2
    assert pixels(answers["changed"]).shape == alone.shape


def test_units_are_pictures_and_what_costs_nothing_says_so(answers: dict[str, Any]) -> None:
    assert answers["units"] == ["0", "2", "2", "2", "2", "2", "0"]


def test_what_it_delivers_is_marked_and_its_own_detector_finds_that(answers: dict[str, Any], package: Package) -> None:
    found = answers["found"]
    assert (found["generated"], found["c2pa"]["valid"], found["iptc"]["present"]) == (True, True, True)
    assert (found["c2pa"]["certificate"], found["c2pa"]["package"]) == ("development", package.hash)


def pixels(answer: dict[str, Any]) -> Any:
    """The pictures of an answer, decoded: [picture, row, column, colour]."""
    files = [base64.b64decode(image["url"].partition(",")[2]) for image in answer["images"]]
    return np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])
