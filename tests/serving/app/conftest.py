"""One real package for the whole folder, and the apps that run from it."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from serving.app.app import LoraApp
from serving.app.drawing.fused import DATA_VARIABLE
from serving.app.settings import PACKAGE_VARIABLE, Installed, installed
from serving.release.package import build_package
from tests.serving.app.packages import VERDICT, ScriptedApp, built, settings, write_base, write_bundle, write_notices


@pytest.fixture(scope="session", autouse=True)
def no_persistent_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is kept from test to test, or on the machine: a runner whose persistent folder is not there keeps it in memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DATA_VARIABLE, str(tmp_path_factory.mktemp("data") / "none"))
        yield


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A built package, as the app sees it."""
    home = tmp_path_factory.mktemp("package")
    package = build_package(
        bundle=write_bundle(home / "bundle"),
        base=write_base(home / "base"),
        base_ref="tiny",
        base_revision=None,
        verdict=VERDICT,
        notices=write_notices(home / "notices"),
        settings=settings(),
        out=home / "out",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PACKAGE_VARIABLE, str(package.folder))
        return installed()


@pytest.fixture(scope="session")
def client(package: Installed) -> Iterator[TestClient]:
    """The real app: real base, real adapter."""
    with TestClient(built(LoraApp, package.folder)) as client:
        yield client


@pytest.fixture(scope="session")
def scripted(package: Installed) -> Iterator[TestClient]:
    """The app whose engine does what the prompt says."""
    with TestClient(built(ScriptedApp, package.folder)) as client:
        yield client
