"""How the suite is shared by processes (`-n 2`): a file stays together, and so do the end-to-end tests, which share a publish."""

from typing import Any

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One process takes whole files in the order of collection: what a module's fixture starts is started once."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            folder = "tests/end_to_end"
            return folder if file.startswith(folder) else file

    return ByFile(config, log)
