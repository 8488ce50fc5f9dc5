"""What a test may ask of the process that serves it, beside the application under test.

`with_view(app)` answers `/inside` itself: the server's statistics, descriptors, threads and memory.
`/inside?collect` runs the collector and counts what is left.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kirsch import _server

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Any]

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def statistics() -> dict[str, Any]:
    """The statistics of the only server in this process; an application is not told which serves it."""
    (server,) = _server._running
    return server.statistics()


def descriptors() -> dict[str, str]:
    """Number → what it is, of every descriptor of this process."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            # The descriptor that listed the folder.
            continue
    return found


def view(*, collect: bool) -> dict[str, Any]:
    """Everything that may not grow; with the number of objects if the collector may run for it."""
    interned = sys.intern("wsgi.input")
    return {
        "statistics": statistics(),
        "descriptors": descriptors(),
        "threads": len(os.listdir("/proc/self/task")),
        "python_threads": threading.active_count(),
        "resident_bytes": int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES,
        "objects": collected() if collect else None,
        "references": {
            "None": sys.getrefcount(None),
            "True": sys.getrefcount(True),
            "False": sys.getrefcount(False),
            "()": sys.getrefcount(()),
            "b''": sys.getrefcount(b""),
            "interned": sys.getrefcount(interned),
        },
    }


def collected() -> int:
    """Objects that the collector knows, once it has thrown away what it can."""
    gc.collect()
    return len(gc.get_objects())


def with_view(app: App) -> App:
    """The application, and `/inside`."""

    def both(environ: Environ, start_response: StartResponse) -> Any:
        if environ["PATH_INFO"] != "/inside":
            return app(environ, start_response)
        body = json.dumps(view(collect=environ["QUERY_STRING"] == "collect")).encode()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body]

    return both
