"""A process that has everything loaded and forks one child for each run: python -m tests.failpoints.server

One JSON request a line on standard input: {"scenario": "module:Class", "do": "prepare" or "run", "home", "log", "strike"}; one
reply a line: {"code"} of a child that ended, or {"signal"} of one that was killed. What is printed is in the file `log`.out.
"""

import gc
import importlib
import json
import os
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from tests.failpoints.effects import Effects


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        scenario = scenario_of(request["scenario"])
        if request["do"] == "prepare":  # here, so that what is loaded at first use is there in every child
            code = told(request, lambda scenario=scenario, home=Path(request["home"]): scenario.prepare(home))
        else:
            code = forked(scenario, request)
        print(json.dumps({"signal": -code} if code < 0 else {"code": code}), flush=True)


def scenario_of(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)()


def forked(scenario: Any, request: dict[str, Any]) -> int:
    """Exit code of a child that runs the scenario, or minus the signal that ended it."""
    gc.freeze()
    child = os.fork()
    if child == 0:
        strike = request["strike"]
        effects = Effects(Path(request["log"]), tuple(strike) if strike else None)
        os._exit(told(request, lambda: scenario.run(Path(request["home"]), effects)))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def told(request: dict[str, Any], act: Any) -> int:
    """0, or 1 where it raised; what it prints goes to the log."""
    with Path(f"{request['log']}.out").open("a") as out, redirect_stdout(out), redirect_stderr(out):
        try:
            act()
        except BaseException:
            traceback.print_exc()
            return 1
    return 0


if __name__ == "__main__":
    main()
