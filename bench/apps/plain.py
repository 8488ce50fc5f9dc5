"""The smallest application: what remains is the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

BODY = b"Hello, world!\n"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def hello(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer fourteen bytes."""
    start_response("200 OK", HEADERS)
    return [BODY]
