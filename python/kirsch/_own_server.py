"""What an application must not do while it is loaded: serve, for then its import would never end.

Many tutorials end with ``app.run()`` at the top level. Flask has a variable that makes it do nothing there;
other servers are refused before they listen. An application may well open a listening socket, for a debugger
or its metrics, and may serve that on a thread: only what would keep the thread that loads it is refused.
"""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from typing import Any

#: With this value Flask's ``app.run()`` returns at once and says so: its own command loads applications, too.
_FLASK = ("FLASK_RUN_FROM_CLI", "true")

#: Functions that listen and then serve until the process ends, by the modules that define them.
_ENDLESS = {
    ("bottle", "run"),
    ("cheroot.server", "start"),
    ("kirsch.cheroot.server", "start"),
    ("gunicorn.arbiter", "run"),
    ("waitress", "serve"),
    ("werkzeug.serving", "run_simple"),
}


@contextlib.contextmanager
def refusing_own_servers(refusal: Exception) -> Iterator[None]:
    """Refuses servers of an application's own for the time that this thread loads it.

    Args:
        refusal: What is raised where one begins, and at the end of the block, should the application have
            gone on regardless.
    """
    loader = threading.get_ident()
    refused = False

    def refuse() -> None:
        nonlocal refused
        refused = True
        raise refusal

    # It inherits `bind`; what is put on the class itself can be taken away again. An application may put
    # another class in its place.
    sockets = socket.socket

    def bind(self: socket.socket, address: Any) -> None:
        if threading.get_ident() == loader and _is_serving():
            refuse()
        super(sockets, self).bind(address)

    serve_forever = socketserver.BaseServer.serve_forever

    def no_serve_forever(self: socketserver.BaseServer, poll_interval: float = 0.5) -> None:
        if threading.get_ident() == loader:
            refuse()
        serve_forever(self, poll_interval)

    name, value = _FLASK
    before = os.environ.get(name)
    os.environ[name] = value
    setattr(socketserver.BaseServer, "serve_forever", no_serve_forever)  # noqa: B010 - of a class that is not ours
    setattr(sockets, "bind", bind)  # noqa: B010 - as above
    try:
        yield
    finally:
        delattr(sockets, "bind")
        setattr(socketserver.BaseServer, "serve_forever", serve_forever)  # noqa: B010 - as above
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
        if refused:
            raise refusal from None


def _is_serving() -> bool:
    """Whether the caller was called by a function that does not return before its server ends."""
    frame = sys._getframe(2)
    while frame is not None:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) in _ENDLESS:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
