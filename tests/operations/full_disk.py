"""A publish on a disk that runs full within a checkpoint, and goes on when there is room: python -m tests.operations.full_disk

The work folder of the training is a file system in memory, mounted in a name space of its own (unshare of util-linux), so that a
write ends as on any full disk: No space left on device. Where the kernel lets only root do that, run it as root.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.failpoints.driver import Forks
from tests.operations import drill_world
from tests.operations.flow_points import NAME, ROOM, forking
from tests.operations.prefect import ROOT
from tests.operations.publish_drill import Publish

MOUNTED = "LORASMITH_DRILL_MOUNTED"
SMALL, LARGE = "8m", "64m"  # a checkpoint has 5.7 MB, and the one before is deleted after it


def main() -> int:
    if MOUNTED not in os.environ:
        return mounted()
    with tempfile.TemporaryDirectory(prefix="lorasmith-full-disk-") as name:
        drilled(Path(name))
    return 0


def mounted() -> int:
    """This command again, where mounting is ours."""
    alone = ["unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",))]
    command = [*alone, sys.executable, "-m", "tests.operations.full_disk"]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, MOUNTED: "1"}, check=False).returncode


def drilled(folder: Path) -> None:
    world, log = folder / "world", folder / "effects"
    with forking(folder) as server:
        server.ended(NAME, "prepare", world, log)
        work = world / "home" / "work"
        work.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(work)], check=True)
        try:
            filled(server, world, log, work)
        finally:
            subprocess.run(["umount", str(work)], check=True)


def filled(server: Forks, world: Path, log: Path, work: Path) -> None:
    """Run until it is full, make room, run again."""
    server.failed(NAME, world, log)
    line = next(line for line in Path(f"{log}.out").read_text().splitlines() if ROOM in line)
    found, kept = Publish().struck(world), drill_world.checkpoints(world)
    assert "No space left on device" in line
    assert kept, "no checkpoint had room: make SMALL larger"
    print(f"full: {line.strip()}\n      {found}; {free(work)} bytes free", flush=True)
    subprocess.run(["mount", "-o", f"remount,size={LARGE}", str(work)], check=True)
    server.ended(NAME, "run", world, log)
    print(f"room: {Publish().ended(world)}; it went on from step {kept[-1]}", flush=True)


def free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


if __name__ == "__main__":
    sys.exit(main())
