"""How the suite is shared by processes (`-n 2`): a file stays together, and so do the end-to-end tests, which share a publish."""

import signal
import threading
from typing import Any

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    # Started in the background of a shell: children would inherit that Ctrl-C is ignored, and tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
