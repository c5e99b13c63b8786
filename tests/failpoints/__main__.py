"""python -m tests.failpoints [--write]: run all drills, print their tables, or put them into docs/reliability.md."""

import sys

from serving.sandbox import control
from tests.failpoints import scenarios
from tests.failpoints.driver import chained, drilled, forks, quick_folder
from tests.failpoints.on_sandbox import BOUNDARIES, OnSandbox, calling
from tests.failpoints.page import DRILLS, boundaries, put, tables


def main() -> None:
    with quick_folder() as folder, forks() as server:
        found = tables({drill: drilled(getattr(scenarios, drill), server, folder / drill) for drill in DRILLS})
        home = folder / "home"
        running = control.up(home)
        try:
            server.ended("tests.failpoints.on_sandbox:OnSandbox", "prepare", home, home / "prepare")
            with calling(running) as statuses:
                chain = list(chained(OnSandbox, server, home, BOUNDARIES))
        finally:
            control.down(home)
    found["OnSandbox"] = boundaries(chain, sum(status != 200 for status in statuses))
    for drill, text in found.items():
        print(f"{drill}\n{text}")
        if "--write" in sys.argv:
            put(drill, text)


if __name__ == "__main__":
    main()
