"""Ports for programs that do not tell which one they took."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A port that nobody listens on now.

    It lies below those that the system gives to clients: one of these could take it before the program does,
    and a client that tries until somebody listens could even be connected to itself.
    """
    lowest = int(RANGE.read_text().split()[0])
    while True:
        port = random.randrange(lowest // 2, lowest)
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            return port
