"""An application that is quick, computes, or is held up: what a pool of threads must cope with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from inside import with_view

enough = threading.Event()
computing = threading.Semaphore(0)


@with_view
def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """`/compute` runs Python without a pause until `/enough`; `/computing` waits for one such to begin."""
    path = environ["PATH_INFO"]
    body = b"quick"
    if path == "/compute":
        computing.release()
        rounds = 0
        while not enough.is_set():
            rounds += 1
        body = b"computed"
    elif path == "/computing":
        body = str(computing.acquire(timeout=10)).encode()
    elif path == "/enough":
        enough.set()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
