from pathlib import Path

import pytest

from tests.serving.listing.material import drafted


@pytest.fixture(scope="session")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One draft that tests read and do not change."""
    out = tmp_path_factory.mktemp("listing") / "draft"
    drafted(out)
    return out
