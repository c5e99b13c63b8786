"""One sandbox for the tests of this folder; those that stop or crash it make their own."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from serving.sandbox import control
from serving.sandbox.control import Running
from tests.serving.sandbox.deployer import Deployer


@pytest.fixture(autouse=True, scope="module")
def threads_of_grpc() -> Iterator[None]:
    """As serving/release/worker.py has it: without an open channel, to close the last one can hang for ever."""
    with grpc.insecure_channel("127.0.0.1:0"):
        yield


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
