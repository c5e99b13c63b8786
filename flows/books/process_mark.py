"""Which process it was: known again after its number was given to another, after the clock was set, and after a reboot."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psutil

BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def mark() -> dict[str, Any]:
    """Of this process: host, number, the machine's boot, and ticks since that boot when it began (seconds since 1970 elsewhere)."""
    pid = os.getpid()
    began = began_at(pid)
    return {"host": socket.gethostname(), "pid": pid, "boot": boot() if isinstance(began, int) else None, "started": began}


def is_gone(process: Mapping[str, Any]) -> bool:
    """Whether a marked process runs no more; of one on another machine nobody here knows.

    Start times as psutil tells them are no measure where the system tells ticks: they are the time of the boot, which is reckoned
    from the clock of now, plus those ticks. A clock that is set moves that of every living process. Ticks stay, but begin at nought
    with each boot, when the same services get about the same numbers at about the same ticks: so the boot is compared first.
    """
    if process.get("host") != socket.gethostname():
        return False
    if process.get("boot") not in (None, boot()):
        return True
    try:
        if process.get("boot") is None:
            return abs(psutil.Process(process["pid"]).create_time() - float(process["started"])) >= 1
        return began_at(process["pid"]) != process["started"] or psutil.Process(process["pid"]).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def boot() -> str | None:
    """The id of the running boot, None where the system has none."""
    return BOOT.read_text().strip() if BOOT.is_file() else None


def began_at(pid: int) -> int | float:
    """Ticks since the boot (field 22 of /proc/PID/stat), else psutil's time. psutil.NoSuchProcess."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return float(psutil.Process(pid).create_time())
