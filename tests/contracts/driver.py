"""Makes the calls in one process: `python -m tests.contracts.driver RECORD NAME=VALUE...`, where the apps are.

Prints one JSON object: for each call what it said, how it ended, and what of it came to the sandbox.
"""

import contextlib
import io
import json
import shlex
import sys
import traceback
from pathlib import Path
from typing import Any

import grpc

from .calls import CALLS, Call, Values


class Shown(io.TextIOWrapper):
    """What a command writes, readable while it runs, and with the bytes below as a terminal's stream has."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8", write_through=True)

    def getvalue(self) -> str:
        return self._bytes.getvalue().decode()


def main() -> None:
    record, values = Path(sys.argv[1]), dict(pair.split("=", 1) for pair in sys.argv[2:])
    with grpc.insecure_channel("127.0.0.1:0"):  # as serving/release/worker.py has it: without one a close can hang for ever
        outcomes = {call.name: outcome(call, record, values) for call in CALLS}
    sys.stdout.write("\n" + json.dumps(outcomes) + "\n")


def outcome(call: Call, record: Path, values: Values) -> dict[str, Any]:
    """One call. `sent` are its calls of the sandbox: each kind once, as polling and uploads differ in number and order."""
    known = len(record.read_bytes())
    code, output = _made(call, values)
    lines = {line for line in record.read_bytes()[known:].decode().splitlines() if not _own_request(call, json.loads(line))}
    with contextlib.suppress(LookupError, ValueError):  # the test shows what was said instead
        call.keep(output, values)
    expected = [text.format(**values) for text in call.says]
    sent = [json.loads(line) for line in sorted(lines)]
    return {"code": code, "wanted": call.code, "output": output, "says": expected, "sent": sent}


def run_cli(words: list[str], shown: Shown) -> int | None:
    """The exit status of a command of the CLI; None is success, too."""
    from fal.cli.main import main as fal

    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        return fal(words)


def _made(call: Call, values: Values) -> tuple[int, str]:
    shown = Shown()
    if call.python is None:
        words = shlex.split(call.cli.format(**values))
        return run_cli(words, shown) or 0, shown.getvalue()
    try:
        with contextlib.redirect_stdout(shown):
            answer = call.python(values)
    except Exception:
        return 1, shown.getvalue() + traceback.format_exc()
    return 0, f"{shown.getvalue()}\n{answer}"


def _own_request(call: Call, line: dict[str, Any]) -> bool:
    """A request that the call made of the app that it runs is none of the CLI's."""
    return call.name.startswith("fal run") and line.get("rest", "").endswith("/{owner}/{app}/{path:path}")


if __name__ == "__main__":
    main()
