"""Applications with large bodies, in either direction."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

LARGE = bytes(range(256)) * 4096
LARGE_HEADERS = [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(LARGE)))]

CHUNK = b"0123456789abcdef" * 64
CHUNKS = 100


def upload(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Read the body, answer its length; with `?crc` its checksum, which proves that the bytes are right."""
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    number = zlib.crc32(body) if environ.get("QUERY_STRING") == "crc" else len(body)
    answer = b"%d\n" % number
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


def large(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer 1 MiB in one block."""
    start_response("200 OK", LARGE_HEADERS)
    return [LARGE]


def chunks(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """Answer a hundred blocks of 1 KiB, without saying beforehand how many."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(CHUNKS):
        yield CHUNK
