"""Environments of apps: made once from their requirements by pip, seen by their runners and by nobody else."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from serving.sandbox import control
from serving.sandbox.control import Running
from serving.sandbox.errors import BuildFailed, StartFailed
from serving.sandbox.fleet.environments import Environments, unused_environments
from tests.serving.sandbox.deployer import client_of
from tests.serving.sandbox.small_fleet import children
from tests.serving.sandbox.test_parts import REVISION
from tests.serving.sandbox.wheels import own_wheel, wheels_of

SOURCE = Path(__file__).with_name("boxed_app.py")
FAL = str(Path(sys.executable).with_name("fal"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the SDK adds to the requirements of every app, and two packages that are nowhere else."""
    from fal.api.api import SERVE_REQUIREMENTS

    folder = tmp_path_factory.mktemp("wheels")
    for name in ("only_in_the_app", "humanize_of_ours"):
        own_wheel(name, folder)
    return wheels_of(SERVE_REQUIREMENTS, folder)


@pytest.fixture(scope="module")
def pip(wheels: Path) -> Iterator[None]:
    """pip finds the wheels and nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(wheels))
        patch.delenv("PIP_INDEX_URL", raising=False)
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        yield


@pytest.fixture(scope="module")
def sandbox(pip: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("boxed-home")
    yield control.up(home, environments="virtualenv")
    daemon = psutil.Process(control.up(home).pid)
    left = daemon.children(recursive=True)
    control.down(home)
    assert not [child for child in left if child.is_running()]


@pytest.fixture(scope="module")
def deployed(sandbox: Running, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What `fal deploy` says, the first time and the second."""
    folder = tmp_path_factory.mktemp("boxed")
    shutil.copy(SOURCE, folder)
    return [fal_deploy(folder, sandbox.env) for _ in range(2)]


def test_fal_deploy_makes_the_environment_once(deployed: list[str], sandbox: Running) -> None:
    first, second = deployed
    assert "Successfully installed only_in_the_app-1.0" in first
    assert "setting up with only_in_the_app" in first
    assert "found, nothing to install" in second
    assert "Successfully installed" not in second
    made = [path for path in (sandbox.ca_file.parents[1] / "environments").iterdir() if path.is_symlink()]
    assert len(made) == 1


def test_an_app_sees_its_environment_and_the_agents_and_not_the_sandboxs(deployed: list[str], sandbox: Running) -> None:
    with client_of(sandbox, key=sandbox.owner_key) as client:
        told = client.post(f"/{sandbox.owner}/boxed", json={}).json()
    assert told["prefix"].startswith(str(sandbox.ca_file.parents[1] / "environments"))
    assert told["found"] == ["only_in_the_app", "humanize_of_ours", "fastapi", "grpc", "isolate", "cloudpickle"]
    assert (told["subprocess"], told["pip"]) == (0, [])


def test_an_environment_of_a_running_sandbox_is_not_called_unused(deployed: list[str], sandbox: Running) -> None:
    assert control.unused_environments(sandbox.ca_file.parents[2]) == []


def test_a_running_sandbox_keeps_its_kind_of_environments(sandbox: Running) -> None:
    with pytest.raises(StartFailed, match="runs apps in environments 'virtualenv'"):
        control.up(sandbox.ca_file.parents[2], environments="local")


def test_a_requirement_that_does_not_exist_is_one_line_and_leaves_nothing(pip: None, tmp_path: Path) -> None:
    environments = Environments(tmp_path / "environments", "virtualenv")
    with pytest.raises(BuildFailed) as failure:
        asyncio.run(lines_of(environments, {"requirements": ["only_in_the_app", "no-such-package-of-ours"]}))
    assert str(failure.value) == "pip: No matching distribution found for no-such-package-of-ours"
    assert [path.name for path in (tmp_path / "environments").iterdir()] == ["seeds"]


def test_who_leaves_stops_the_installer(pip: None, tmp_path: Path) -> None:
    environments = Environments(tmp_path / "environments", "virtualenv")

    async def leave() -> None:
        building = asyncio.create_task(lines_of(environments, {"requirements": ["only_in_the_app"]}))
        while not list((tmp_path / "environments").glob("*.*")):
            await asyncio.sleep(0.01)
        building.cancel()
        await asyncio.gather(building, return_exceptions=True)

    asyncio.run(leave())
    assert children("child.py") == []
    assert {path.name for path in (tmp_path / "environments").iterdir()} <= {"seeds"}


def test_two_at_once_make_one_and_force_another_and_what_is_unused_can_go(pip: None, tmp_path: Path) -> None:
    folder = tmp_path / "environments"
    environments = Environments(folder, "virtualenv")
    wanted = {"requirements": ["only_in_the_app"]}

    async def story() -> None:
        both = await asyncio.gather(lines_of(environments, wanted), lines_of(environments, wanted))
        assert sorted(len(lines) == 1 for lines in both) == [False, True]
        first = await environments.interpreter([{"kind": "virtualenv", "configuration": wanted}])
        again = await lines_of(environments, wanted, force=True)
        assert any("Successfully installed" in line for line in again)
        second = await environments.interpreter([{"kind": "virtualenv", "configuration": wanted}])
        assert Path(first.python).exists()  # its runners go on
        assert second.python != first.python
        (gone,) = environments.tidy()
        assert gone in first.python
        revision = replace(REVISION, settings={"environment": [{"kind": "virtualenv", "configuration": wanted}]})
        assert unused_environments(folder, [revision]) == []
        (unused,) = unused_environments(folder, [REVISION])
        assert unused.name in second.python
        shutil.rmtree(unused)
        environments.tidy()
        assert [path.name for path in folder.iterdir() if path.name != "seeds" and not path.name.startswith("agent-")] == []

    asyncio.run(story())


@pytest.mark.parametrize(("kind", "configuration"), [("virtualenv", {"python_version": "3.8"}), ("container", {}), ("conda", {})])
def test_another_python_or_kind_is_refused(tmp_path: Path, kind: str, configuration: dict[str, Any]) -> None:
    environments = Environments(tmp_path / "environments", "virtualenv")
    with pytest.raises(BuildFailed):
        asyncio.run(lines_of(environments, configuration, kind=kind))
    assert not (tmp_path / "environments").exists()


async def lines_of(
    environments: Environments, configuration: dict[str, Any], *, kind: str = "virtualenv", force: bool = False
) -> list[str]:
    lines: AsyncIterator[str] = environments.build(kind, configuration, force=force)
    return [line async for line in lines]


def fal_deploy(folder: Path, env: Mapping[str, str]) -> str:
    command = [FAL, "deploy", "boxed_app.py::Boxed", "--json"]
    done = subprocess.run(command, cwd=folder, env=dict(os.environ) | dict(env), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.strip().splitlines()[-1])["app_name"] == "boxed"
    return done.stdout
