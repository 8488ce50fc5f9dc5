"""An application that makes garbage of every kind: what the server keeps of it shows in `/inside`."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from inside import with_view

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

CTYPE = ("Content-Type", "text/plain")


class Thing:
    """What can be watched, and dies at once if nothing holds it."""


watched: list[weakref.ref[Thing]] = []


@with_view
def app(environ: Environ, start_response: StartResponse) -> Any:
    path = environ["PATH_INFO"]
    environ["test.thing"] = thing = Thing()
    thing.name = path  # type: ignore[attr-defined]
    if path == "/alive":
        body = b"%d" % sum(reference() is not None for reference in watched)
        watched.clear()
        start_response("200 OK", [CTYPE])
        return [body]
    if path == "/collector":
        (gc.enable if environ["QUERY_STRING"] == "on" else gc.disable)()
        start_response("200 OK", [CTYPE])
        return [b""]
    watched.append(weakref.ref(thing))
    return answers[path](environ, start_response)


def plain(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [CTYPE, ("Content-Length", "2")])
    return [b"ok"]


def generator(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [CTYPE])
    yield b"a"
    yield environ["PATH_INFO"].encode()


def unread(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """A generator that is closed before its end."""
    start_response("200 OK", [CTYPE, ("Content-Length", "1")])
    try:
        while True:
            yield b"a"
    finally:
        environ["test.closed"] = True


def write(environ: Environ, start_response: StartResponse) -> list[bytes]:
    send = start_response("200 OK", [CTYPE])
    send(b"written ")
    return [b"and returned"]


def body(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [CTYPE])
    return [b"%d" % sum(map(len, environ["wsgi.input"]))]


def error(environ: Environ, start_response: StartResponse) -> list[bytes]:
    raise ValueError("boom")


def late_error(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [CTYPE])
    yield b"a"
    raise ValueError("boom")


def second_start(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [CTYPE])
    try:
        raise ValueError("boom")
    except ValueError as failure:
        start_response("503 No", [CTYPE], (ValueError, failure, failure.__traceback__))
    return [b"replaced"]


def file(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", [CTYPE])
    return environ["wsgi.file_wrapper"](open(os.environ["SMALL_FILE"], "rb"))


def large(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [CTYPE])
    return [bytes(200_000), bytes(100_000)]


def field(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Names and values that no cache has seen."""
    start_response("200 OK", [CTYPE, ("X-Unique", environ.get("HTTP_X_UNIQUE", ""))])
    return [b"ok"]


def errors(environ: Environ, start_response: StartResponse) -> list[bytes]:
    environ["wsgi.errors"].write("begun, and never ended")
    environ["wsgi.errors"].flush()
    return plain(environ, start_response)


answers = {
    f"/{function.__name__}": function
    for function in (
        *(plain, generator, unread, write, body, error, late_error, second_start, file, large, field, errors),
    )
}
