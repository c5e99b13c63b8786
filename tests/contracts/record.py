"""Writes recorded.json, what each call of the SDK and the client sends: `python -m tests.contracts.record`."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from serving.sandbox import control

from .calls import prepare

HERE = Path(__file__).parent
RECORDED = HERE / "recorded.json"
TOML = """
[tool.fal.apps.boxed]
python_entry_point = "toy_app:Toy"
auth = "shared"
requirements = ["fal", "pydantic"]
machine_type = "GPU-H100"
keep_alive = 60
max_multiplexing = 2
app_files = ["toy_app.py", "settings.json"]
retry_config = { server_error = { retries = 2 } }

[tool.fal.apps.boxed.health_check]
path = "/health"
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, made(Path(folder)) as outcomes:
        calls = {name: outcome["sent"] for name, outcome in outcomes.items()}
        failed = [name for name, outcome in outcomes.items() if not fits(outcome)]
    RECORDED.write_text(_text(calls))
    print(f"{len(calls)} calls recorded in {RECORDED.name}" + (f"; not as expected: {', '.join(failed)}" if failed else ""))


@contextmanager
def made(folder: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """Outcomes of all calls against a sandbox of its own in `folder`, which is stopped at the end."""
    package, record = folder / "package", folder / "record.jsonl"
    package.mkdir()
    for name in ("toy_app.py", "toy_function.py"):
        shutil.copy(HERE / name, package)
    (package / "pyproject.toml").write_text(TOML)
    (package / "settings.json").write_text('{"version": "boxed"}')
    prepare(package)
    running = control.up(folder / "home", record=record)
    try:
        base = {name: value for name, value in os.environ.items() if not name.startswith("FAL_")}
        environment = base | running.env | {"PYTHONPATH": str(HERE.parents[1]), "COLUMNS": "250"}
        values = (f"address=https://{running.address}", f"caller_key={running.caller_key}")
        command = [sys.executable, "-m", "tests.contracts.driver", str(record), *values]
        done = subprocess.run(command, env=environment, cwd=package, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        yield json.loads(done.stdout.strip().splitlines()[-1])
    finally:
        control.down(folder / "home")


def fits(outcome: dict[str, Any]) -> bool:
    """Whether a call ended and said as its row in calls.py wants; no stack trace is ever as wanted."""
    return (
        outcome["code"] == outcome["wanted"]
        and "Traceback" not in outcome["output"]
        and all(text in outcome["output"] for text in outcome["says"])
    )


def _text(calls: dict[str, list[Any]]) -> str:
    """JSON with a line for each thing that was sent, so that a difference reads well."""
    versions = json.dumps({name: version(name) for name in ("fal", "fal_client")})
    entries = ",\n ".join(f"{json.dumps(name)}: [{_lines(sent)}]" for name, sent in calls.items())
    return f'{{"recorded_with": {versions},\n "calls": {{\n {entries}\n}}}}\n'


def _lines(sent: list[Any]) -> str:
    return ",".join(f"\n  {json.dumps(line)}" for line in sent) + ("\n " if sent else "")


if __name__ == "__main__":
    main()
