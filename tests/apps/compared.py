"""The application of `test_compared.py`: each path does one thing that tells servers apart.

It needs nothing of Kirsch, so that any server can run it.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

PATIENCE_SECONDS = 10.0
TEXT = ("Content-Type", "text/plain")

gate = threading.Event()
entered = threading.Event()
closed = threading.Event()


def app(environ: Environ, start_response: StartResponse) -> Any:
    """Find the application for the path and call it; any other path answers what arrived."""
    return APPS.get(environ["PATH_INFO"], arrived)(environ, start_response)


def text(start_response: StartResponse, body: bytes, *fields: tuple[str, str]) -> list[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", str(len(body))), *fields])
    return [body]


def arrived(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """The path, the host, and what came in fields and body."""
    names = ("PATH_INFO", "HTTP_HOST", "HTTP_X_FOO")
    values = "|".join(environ.get(name, "-") for name in names).encode("latin-1")
    return text(start_response, values + b"|" + environ["wsgi.input"].read())


def lazy(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("404 Lazy", [TEXT, ("X-Lazy", "yes")])
    yield b"lazy"


def writes(environ: Environ, start_response: StartResponse) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    write(b"a")
    return [b"b"]


def reason(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 Very Fine", [TEXT])
    return [b"x"]


def reads(how: Callable[[Any], Iterable[bytes]]) -> Callable[..., list[bytes]]:
    """An application that joins with a bar what it reads."""
    return lambda environ, start_response: text(start_response, b"|".join(how(environ["wsgi.input"])))


def raises_in_body(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield b"first"
    raise RuntimeError("planned")


def answers(status: str, fields: list[tuple[str, str]], body: Any) -> Callable[..., Any]:
    """An application that answers just this."""

    def answer(environ: Environ, start_response: StartResponse) -> Any:
        start_response(status, list(fields))
        return body

    return answer


def start_twice(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [TEXT])
    try:
        start_response("201 Created", [TEXT])
    except Exception as error:
        return [type(error).__name__.encode()]
    return [b"accepted"]


def exc_info(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [TEXT, ("X-Old", "1")])
    try:
        raise ValueError("planned")
    except ValueError:
        start_response("503 Later", [TEXT], sys.exc_info())
    return [b"sorry"]


def raises(environ: Environ, start_response: StartResponse) -> list[bytes]:
    raise RuntimeError("planned")


def never_starts(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return [b"never"]


def wraps(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"a file"))


class Endless:
    """A body that ends when it is closed."""

    def __iter__(self) -> Endless:
        return self

    def __next__(self) -> bytes:
        return b"x" * 65536

    def close(self) -> None:
        closed.set()


def endless(environ: Environ, start_response: StartResponse) -> Endless:
    start_response("200 OK", [TEXT])
    return Endless()


def was_closed(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return text(start_response, b"closed" if closed.wait(PATIENCE_SECONDS) else b"never closed")


def waits(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Wait a moment, in which the server is told to stop."""
    entered.set()
    gate.wait(0.5)
    return text(start_response, b"finished")


def was_entered(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return text(start_response, b"entered" if entered.wait(PATIENCE_SECONDS) else b"never")


APPS: dict[str, Callable[..., Any]] = {
    "/lazy": lazy,
    "/write": writes,
    "/reason": reason,
    "/lines": reads(list),
    "/readline-size": reads(lambda stream: [stream.readline(2), stream.readline()]),
    "/readlines": reads(lambda stream: stream.readlines()),
    "/read-read": reads(lambda stream: [stream.read(2), stream.read()]),
    "/read-negative": reads(lambda stream: [stream.read(-1)]),
    "/raise-in-body": raises_in_body,
    "/plain": answers("200 OK", [TEXT, ("Content-Length", "5")], [b"hello"]),
    "/204": answers("204 No Content", [], [b"stray"]),
    "/long": answers("200 OK", [TEXT, ("Content-Length", "3")], [b"abcdef"]),
    "/short": answers("200 OK", [TEXT, ("Content-Length", "10")], [b"abc"]),
    "/start-twice": start_twice,
    "/exc-info": exc_info,
    "/raise": raises,
    "/never-starts": never_starts,
    "/none": answers("200 OK", [TEXT], None),
    "/wrapper": wraps,
    "/crlf": answers("200 OK", [TEXT, ("X-A", "a\r\nInjected: 1")], [b"x"]),
    "/euro": answers("200 OK", [TEXT, ("X-A", "€")], [b"x"]),
    "/latin-1": answers("200 OK", [TEXT, ("X-A", "é")], [b"x"]),
    "/close": answers("200 OK", [TEXT, ("Content-Length", "1"), ("Connection", "close")], [b"x"]),
    "/str": answers("200 OK", [TEXT], ["text"]),
    "/endless": endless,
    "/was-closed": was_closed,
    "/waits": waits,
    "/was-entered": was_entered,
}
