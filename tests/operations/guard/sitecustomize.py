"""In every Python process with this folder on its path: a look-up or connection beyond loopback is a line in $CALLS, and fails."""

import os
import sys
from typing import Any

LOOPBACK = ("127.", "::1", "localhost", "::ffff:127.")
NAMES = {"socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0}


def guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in NAMES:
        return
    place = arguments[NAMES[event]]
    host = place[0] if isinstance(place, tuple) else place
    if not isinstance(host, str) or (NAMES[event] == 1 and not isinstance(place, tuple)):
        return  # any address of this machine, or a socket in a folder
    if host and not host.startswith(LOOPBACK) and host != "0.0.0.0":
        with open(os.environ["CALLS"], "a", encoding="utf-8") as file:
            file.write(f"{event} {place} by {sys.argv}\n")
        raise OSError(f"a test allows calls to this machine alone, not to {place}")


if "CALLS" in os.environ:
    sys.addaudithook(guard)
