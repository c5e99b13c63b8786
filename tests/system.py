"""System packages of the tests: says what it installs, uses apt only as root on Debian or Ubuntu, else prints the command."""

import os
import shutil
import subprocess
import sys

NEEDED = {"chromium": "chromium"}  # program: Debian package


def main() -> int:
    missing = sorted({package for program, package in NEEDED.items() if not shutil.which(program)})
    if not missing:
        return 0
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"tests need {', '.join(missing)}; on Debian or Ubuntu run: sudo {' '.join(command)}", file=sys.stderr)
        return 0  # the tests that need it fail and say the same
    print(f"installing {', '.join(missing)}", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=quiet, check=True)
    return subprocess.run([command[0], "-qq", *command[1:]], env=quiet, stdout=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
