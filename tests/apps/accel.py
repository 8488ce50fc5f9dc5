"""Names places in `X-Accel-Redirect`, as an application that was written for nginx does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Names what the query says."""
    fields = [("Content-Type", "text/x-kept"), ("X-Other", "gone"), ("ETag", '"of-the-empty-body"')]
    fields += [("Set-Cookie", "a=1"), ("X-Accel-Redirect", environ["QUERY_STRING"])]
    if environ["PATH_INFO"] == "/generator":
        return _late(start_response, fields)
    start_response("200 OK", fields)
    return [b"not the file"]


def _late(start_response: Any, fields: list[tuple[str, str]]) -> Iterator[bytes]:
    start_response("404 Not Found", fields)
    yield b"not the file"
