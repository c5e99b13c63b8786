"""A process that has imported everything and forks one child for each run: python -m tests.failpoints.server

One JSON request a line on standard input: {"scenario": "module:Class", "do": "prepare" or "run", "home", "log", "strike"}; one
reply a line: {"code"} of a child that ended, or {"signal"} of one that was killed. What the child prints is in the file `log`.out.
"""

import gc
import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.failpoints.effects import Effects


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        scenario = scenario_of(request["scenario"])  # before the fork, so that its imports are made once
        gc.freeze()
        child = os.fork()
        if child == 0:
            run(scenario, request)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"signal": -code} if code < 0 else {"code": code}), flush=True)


def scenario_of(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)()


def run(scenario: Any, request: dict[str, Any]) -> None:
    """In the child, which never returns."""
    code = 1
    try:
        said = os.open(f"{request['log']}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(said, stream)
        home, strike = Path(request["home"]), request["strike"]
        if request["do"] == "prepare":
            scenario.prepare(home)
        else:
            scenario.run(home, Effects(Path(request["log"]), tuple(strike) if strike else None))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
