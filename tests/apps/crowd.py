"""An application that many slow clients use at once: uploads, a long response made piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from inside import with_view

PIECE = b"0123456789abcdef" * 1024
PIECES = 64


def pieces() -> Iterator[bytes]:
    """1 MiB, without a length that anybody could know."""
    for _ in range(PIECES):
        yield PIECE


@with_view
def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    """`/pieces` answers 1 MiB from a generator; a body is read and measured."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    if environ["PATH_INFO"] == "/pieces":
        return pieces()
    return [b"%d" % len(environ["wsgi.input"].read())]
