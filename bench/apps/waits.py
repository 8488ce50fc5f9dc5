"""Applications that wait or compute, as most do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

BODY = b"done\n"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]

LONG_WAIT = 0.010
# A Redis and two SQL calls on the same machine: the commonest kind of request.
SHORT_WAIT = 0.0002
SHORT_WAITS = 3
# About 10 ms of CPython 3.11 on a 2024 server core. A count and not a time: every server gets the same work.
LOOPS = 250_000


def sleep(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Wait once for 10 ms."""
    time.sleep(LONG_WAIT)
    start_response("200 OK", HEADERS)
    return [BODY]


def short(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Wait three times for 0.2 ms."""
    for _ in range(SHORT_WAITS):
        time.sleep(SHORT_WAIT)
    start_response("200 OK", HEADERS)
    return [BODY]


def compute() -> int:
    """Keep the interpreter busy for about 10 ms."""
    total = 0
    for number in range(LOOPS):
        total += number
    return total


def mixed(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer at once, or wait, or compute, as the path says."""
    path = environ["PATH_INFO"]
    if path == "/sleep":
        time.sleep(LONG_WAIT)
    elif path == "/compute":
        compute()
    start_response("200 OK", HEADERS)
    return [BODY]
