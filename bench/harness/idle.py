"""Idle keep-alive connections: open many, ask once on each, hold them, count what the server keeps."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import struct
import time
from dataclasses import dataclass

from harness import process

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
# Descriptors of this process besides the connections.
RESERVE = 200
TIMEOUT_SECONDS = 5.0
# Opening all of them may take this long; then we count those that are open.
OPEN_SECONDS = 60.0


@dataclass(frozen=True)
class Held:
    """What the server kept."""

    connections: int
    rss_per_connection: float
    pss_per_connection: float
    after: process.Memory
    # The processor time of doing nothing but hold them, for a second.
    cpu_share: float


def raise_limit() -> int:
    """Raise the descriptor limit as far as it goes, for the servers too; return how many connections fit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - RESERVE


def measure(pid: int, port: int, wanted: int, context: ssl.SSLContext | None) -> Held:
    """Hold `wanted` connections, or as many as the limit lets us, and weigh the server before and after.

    Args:
        pid: the root of the server's tree.
        port: where it listens.
        wanted: how many connections.
        context: how clients speak TLS, if they do.
    """
    count = min(wanted, raise_limit())
    # What the server allocates once, at its first requests, is not a connection's.
    _close([_open(port, context) for _ in range(100)])
    time.sleep(0.3)
    before = process.memory(pid)
    held: list[socket.socket] = []
    try:
        deadline = time.monotonic() + OPEN_SECONDS
        with contextlib.suppress(OSError):
            while len(held) < count and time.monotonic() < deadline:
                held.append(_open(port, context))
        busy = process.cpu_seconds(pid)
        time.sleep(1.0)
        busy = process.cpu_seconds(pid) - busy
        alive = sum(map(_is_open, held))
        after = process.memory(pid)
    finally:
        _close(held)
    each = max(alive, 1)
    return Held(alive, (after.rss - before.rss) / each, (after.pss - before.pss) / each, after, busy)


def _open(port: int, context: ssl.SSLContext | None) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
    # Closed with a reset: ten thousand ports in TIME_WAIT would be missing in the next round.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if context:
        connection = context.wrap_socket(connection)
    connection.sendall(REQUEST)
    # One read: head and body of the hello answer are a few hundred bytes. A second part stays in the kernel.
    if not connection.recv(65536):
        raise ConnectionError("closed without an answer")
    return connection


def _is_open(connection: socket.socket) -> bool:
    """Tell whether the server has left the connection open; a rest of the answer may still be in it."""
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    return False


def _close(connections: list[socket.socket]) -> None:
    for connection in connections:
        connection.close()
