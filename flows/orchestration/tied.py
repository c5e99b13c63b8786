"""Run a module as a program that is killed when its parent dies: python -m flows.orchestration.tied MODULE ARGUMENTS...

What lies between the reaper and the trainer is not ours: a launcher or a reaper that is killed would leave the trainer at work,
beside the one that the next run starts. Linux only; elsewhere the reaper alone sees to it.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def tie() -> None:
    """From here on the kernel kills this process when the one that started it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def main() -> None:
    parent = os.getppid()
    tie()
    if os.getppid() != parent or parent == 1:  # it was gone before we asked
        sys.exit(1)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
