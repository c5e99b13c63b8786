from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.licenses.loopback_hub import LoopbackHub, serving

ROOT = Path(__file__).parents[2]
APACHE = (ROOT / "LICENSE").read_text(encoding="utf-8")
FolderOf = Callable[[Mapping[str, str | bytes]], Path]


@pytest.fixture(scope="session")
def _hub() -> Iterator[LoopbackHub]:
    with serving() as hub:
        yield hub


@pytest.fixture
def hub(_hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LoopbackHub:
    """The loopback Hub as HF_ENDPOINT, empty, with no token and no proxy of this machine."""
    _hub.repos.clear()
    _hub.requests.clear()
    for name in (
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("HF_ENDPOINT", _hub.address)
    return _hub


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection fails the test: what is decided here is decided from facts and folders."""
    import socket

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def folder(tmp_path: Path) -> FolderOf:
    """Writes files into a fresh folder and returns it."""

    def write(files: Mapping[str, str | bytes]) -> Path:
        place = tmp_path / f"model-{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        for name, content in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return place

    return write
