"""Where state lives: LORASMITH_HOME, or the platform's data folder."""

import os
from pathlib import Path


def home() -> Path:
    """The state folder; made with 0700 at first use."""
    named = os.environ.get("LORASMITH_HOME")
    if named:
        folder = Path(named).expanduser().resolve()
    else:
        from platformdirs import user_data_path

        folder = user_data_path("lorasmith")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
