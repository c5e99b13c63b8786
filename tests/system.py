"""System packages of the tests: says what it installs, uses apt only as root on Debian or Ubuntu, else prints the command."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NEEDED = {"chromium": "chromium", "postgres": "postgresql"}  # program: Debian package
ELSEWHERE = {"postgres": "usr/lib/postgresql/*/bin/postgres"}  # programs that their package keeps off PATH
# The tests make a server of their own; the package would make one that runs from then on.
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/lorasmith-tests.conf")


def main() -> int:
    missing = sorted({package for program, package in NEEDED.items() if not is_there(program)})
    if not missing:
        return 0
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"tests need {', '.join(missing)}; on Debian or Ubuntu run: sudo {' '.join(command)}", file=sys.stderr)
        return 0  # the tests that need it fail and say the same
    print(f"installing {', '.join(missing)}", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=quiet, check=True)
    NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
    NO_CLUSTER.write_text("create_main_cluster = false\n")
    try:
        return subprocess.run([command[0], "-qq", *command[1:]], env=quiet, stdout=subprocess.DEVNULL, check=False).returncode
    finally:
        NO_CLUSTER.unlink()


def is_there(program: str) -> bool:
    return shutil.which(program) is not None or any(Path("/").glob(ELSEWHERE.get(program, "nowhere")))


if __name__ == "__main__":
    sys.exit(main())
