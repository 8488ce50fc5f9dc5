"""An application that tells what TLS has told it, takes what it is sent, and gives a lot.

| request | answer |
|---|---|
| `/environ` | the strings of `environ`, as JSON |
| `/echo` | the request's body |
| `/blob?N` | N bytes, each telling its place, in one block |
| `/blocks?N` | the same, in blocks of 1,000 bytes without a length |
| `/file?N` | the same, from a file |
| everything else | `ok`; with the `inside` view of the process |
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import inside

Environ = dict[str, Any]


def blob(count: int) -> bytes:
    """So many bytes; any that is lost or comes twice shows."""
    return b"".join(b"%07d\n" % number for number in range(count // 8 + 1))[:count]


def answer(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/environ":
        strings = {key: value for key, value in environ.items() if isinstance(value, str)}
        return whole(start_response, json.dumps(strings).encode())
    if path == "/echo":
        return whole(start_response, environ["wsgi.input"].read())
    if path == "/blob":
        return whole(start_response, blob(int(query)))
    if path == "/blocks":
        start_response("200 OK", [("Content-Type", "text/plain")])
        data = blob(int(query))
        return (data[start : start + 1000] for start in range(0, len(data), 1000))
    if path == "/file":
        file = tempfile.TemporaryFile()
        file.write(blob(int(query)))
        file.seek(0)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", query)])
        return environ["wsgi.file_wrapper"](file)
    return whole(start_response, b"ok")


def whole(start_response: Callable[..., Any], body: bytes) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


app = inside.with_view(answer)
