"""Where a release is now, and what is told of several."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flows.targets import at_present, live_releases, registry_url
from serving.release.registry import Registry
from serving.sandbox import control

URLS = {"run": "https://127.0.0.1:1/owner/style", "queue": "https://127.0.0.1:1/queue/owner/style"}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home whose registry has a live release on a sandbox that had port 1."""
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    monkeypatch.delenv("LORASMITH_REGISTRY", raising=False)
    with closing(Registry(registry_url())) as registry:
        row = registry.insert_intent(app="style", package="p" * 64, target="sandbox", verdict_hash="v")
        registry.advance(row["id"], "candidate")
        registry.advance(row["id"], "live", revision="r", urls=URLS)
    yield tmp_path
    control.down(tmp_path)


def test_a_sandbox_that_moved_is_found_where_it_is(state: Path) -> None:
    assert live_releases()[0]["urls"] == URLS  # nobody knows better while it is down
    address = control.up(state).address
    (row,) = live_releases()
    assert row["urls"] == {"run": f"https://{address}/owner/style", "queue": f"https://{address}/queue/owner/style"}


def test_addresses_on_fal_stay_as_they_are(state: Path) -> None:
    control.up(state)
    row = {"target": "fal", "urls": {"run": "https://fal.run/owner/style"}}
    assert at_present([row]) == [row]
