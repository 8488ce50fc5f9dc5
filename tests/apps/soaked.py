"""What the soak asks for: every answer says whose it is and what came of the body, in bytes of its own.

`payload(nonce, count)` are the bytes that belong to a nonce; the client makes the same ones and compares.
An answer's body is `first_line(...)` and the payload, whatever way it is sent.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

from inside import with_view

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

FILE_BYTES = 300_007
MIB = 1024 * 1024


def payload(nonce: str, count: int) -> bytes:
    """The bytes that belong to a nonce."""
    return random.Random(nonce).randbytes(count)


def first_line(nonce: str, method: str, body: bytes) -> bytes:
    """What an answer begins with."""
    return f"{nonce} {method} {len(body)} {hashlib.sha256(body).hexdigest()}\n".encode()


def pieces(data: bytes, nonce: str) -> Iterator[bytes]:
    """The same bytes, in blocks of any size; some are empty."""
    rng = random.Random(nonce)
    while data:
        count = rng.choice((0, 1, 100, 5000, 70_000))
        yield data[:count]
        data = data[count:]


def half_of_it(data: bytes) -> Iterator[bytes]:
    yield data[: len(data) // 2]
    raise RuntimeError("planned: the second half never comes")


@with_view
def app(environ: Environ, start_response: StartResponse) -> Any:
    """`/KIND?nonce=N&count=C` answers in the way that the kind says."""
    kind, method = environ["PATH_INFO"][1:], environ["REQUEST_METHOD"]
    if kind == "pieces":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return (bytes(16 * 1024) for _ in range(64))
    query = parse_qs(environ["QUERY_STRING"])
    if "nonce" not in query:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % len(environ["wsgi.input"].read())]
    nonce, count = query["nonce"][0], int(query["count"][0])
    source = environ["wsgi.input"]
    body = b"".join(source) if kind == "lines" else source.read(10 if kind == "impatient" else -1)
    fields = [("Content-Type", "application/octet-stream"), ("X-Nonce", nonce)]
    if kind == "raises":
        raise RuntimeError("planned: the application fails")
    if kind in ("204", "304"):
        start_response(f"{kind} Empty", fields[1:])
        return []
    data = first_line(nonce, method, body) + payload(nonce, count)
    if kind == "file":
        start_response("200 OK", fields)
        return environ["wsgi.file_wrapper"](open(os.environ["SOAK_FILE"], "rb"))
    if kind == "filelike":
        start_response("200 OK", fields)
        return environ["wsgi.file_wrapper"](io.BytesIO(data))
    if kind == "short":
        start_response("200 OK", [*fields, ("Content-Length", str(len(data) + 1))])
        return [data]
    if kind == "breaks":
        start_response("200 OK", fields)
        return half_of_it(data)
    if kind == "write":
        write = start_response("200 OK", fields)
        write(data[:100])
        write(data[100:])
        return []
    if kind == "announced":
        start_response("200 OK", [*fields, ("Content-Length", str(len(data)))])
        return pieces(data, nonce)
    start_response("200 OK", fields)
    return pieces(data, nonce) if kind == "generator" else [data]
