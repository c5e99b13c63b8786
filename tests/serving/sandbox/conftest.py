"""One sandbox for the tests of this folder; those that stop or crash it make their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.sandbox import control
from serving.sandbox.control import Running
from tests.serving.sandbox.deployer import Deployer


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="package")
def sandbox(home: Path) -> Iterator[Running]:
    yield control.up(home)
    control.down(home)


@pytest.fixture(scope="package")
def owner(sandbox: Running) -> Iterator[Deployer]:
    deployer = Deployer(sandbox)
    yield deployer
    deployer.close()
