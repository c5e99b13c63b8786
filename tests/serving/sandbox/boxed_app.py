"""A fal.App that tells what it can import, deployed pickled into an environment made from its requirements."""

from typing import Any

import fal


class Boxed(fal.App, keep_alive=60):
    app_name = "boxed"
    app_auth = "private"
    requirements = [["only_in_the_app"], ["humanize_of_ours", "packaging"]]

    def setup(self) -> None:
        import only_in_the_app

        print("setting up with", only_in_the_app.NAME)

    @fal.endpoint("/")
    def tell(self) -> dict[str, Any]:
        import importlib.util
        import os
        import subprocess
        import sys

        names = (
            "only_in_the_app",
            "humanize_of_ours",
            "fastapi",
            "grpc",
            "isolate",
            "cloudpickle",
            "hypothesis",
            "prefect",
            "numpy",
        )
        beside = subprocess.run([sys.executable, "-c", "import only_in_the_app"], check=False)
        return {
            "prefix": sys.prefix,
            "found": [name for name in names if importlib.util.find_spec(name) is not None],
            "subprocess": beside.returncode,
            "pip": sorted(name for name in os.environ if name.startswith("PIP_")),
        }
