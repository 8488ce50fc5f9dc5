"""A yardstick for waiting requests: one bare Python thread for each connection, and next to no HTTP.

Bare threads in a loop have no client, so no server can equal them while clients are as few as threads:
the answer has to travel to the client and the next request back. This is the least that costs.

Usage: python sockets.py PORT MODULE:APP
"""

from __future__ import annotations

import importlib
import socket
import sys
import threading
from typing import Any


def serve(connection: socket.socket, app: Any) -> None:
    """Answer whatever arrives, until it ends: wrk sends a request in one piece."""
    environ = {"PATH_INFO": "/", "REQUEST_METHOD": "GET"}
    head: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
        head[:] = ["\r\n".join(lines).encode("latin-1")]

    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while connection.recv(65536):
            blocks = app(environ, start_response)
            connection.sendall(head[0] + b"".join(blocks))


def main() -> None:
    """Accept until a signal ends the process."""
    module, _, attribute = sys.argv[2].partition(":")
    app = getattr(importlib.import_module(module), attribute)
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, app), daemon=True).start()


if __name__ == "__main__":
    main()
