"""The WSGI application that the conformance cases are written against.

It remembers what reached it, and answers well or badly as the path asks. `/__log` returns the
memory as JSON and clears it; that log is the only sure witness of a smuggled request.

The application runs under `wsgiref.validate` as it is, except for the paths that break PEP 3333
on purpose (`DELIBERATELY_WRONG`).

Run it with any server: `kirsch conformance/probe_app.py`, or `gunicorn --chdir conformance probe_app:app`.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    Header = tuple[str, str]
    Handler = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

KEPT = (
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "RAW_URI",
    "REQUEST_URI",
    "CONTENT_TYPE",
    "CONTENT_LENGTH",
    "SERVER_PROTOCOL",
    "REMOTE_USER",
    "wsgi.url_scheme",
    "wsgi.input_terminated",
)
"""The environ entries that are remembered, besides every `HTTP_` one."""

DELIBERATELY_WRONG = frozenset(
    {"/s100", "/s204body", "/s204len", "/cl_short", "/cl_long", "/cl_twice", "/cl_conflict", "/hdr_crlf"}
    | {"/hdr_te", "/hdr_badcl", "/hdr_keepalive", "/conn_close", "/status_noreason"}
)
"""The paths whose answers break PEP 3333 or RFC 9110."""

BLOCK = b"x" * 65536

_log: list[dict[str, Any]] = []
_log_lock = threading.Lock()


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answers one request as its path asks."""
    path = environ.get("PATH_INFO", "")
    if path == "/__log":
        return _send(start_response, _take_log(), content_type="application/json")
    record = record_of(environ, path)
    with _log_lock:
        _log.append(record)
    handler = HANDLERS.get(path)
    if handler is not None:
        return handler(environ, start_response)
    read = _read_bytewise if path == "/read1by1" else _read_whole
    try:
        record["body"] = read(environ).decode("latin-1")
    except BaseException as error:
        record["err"] = repr(error)
        raise
    return _send(start_response, b"ok")


def record_of(environ: WSGIEnvironment, path: str) -> dict[str, Any]:
    """What is remembered of a request; its body is filled in once it was read."""
    kept = {
        key: value
        for key, value in environ.items()
        if (key in KEPT or key.startswith("HTTP_")) and isinstance(value, (str, bool))
    }
    return {
        "path": path,
        "method": environ.get("REQUEST_METHOD"),
        "env": kept,
        "remote_addr": environ.get("REMOTE_ADDR"),
        "body": None,
        "err": None,
    }


def _take_log() -> bytes:
    with _log_lock:
        text = json.dumps(_log)
        _log.clear()
    return text.encode()


def _read_whole(environ: WSGIEnvironment) -> bytes:
    return environ["wsgi.input"].read(-1)


def _read_bytewise(environ: WSGIEnvironment) -> bytes:
    return b"".join(iter(lambda: environ["wsgi.input"].read(1), b""))


def _send(
    start_response: StartResponse,
    body: bytes,
    status: str = "200 OK",
    more: Iterable[Header] = (),
    content_type: str = "text/plain",
) -> list[bytes]:
    """Answers with one block and its Content-Length."""
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), *more]
    start_response(status, headers)
    return [body]


def _raise(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
    raise RuntimeError("probe")


def _blocks(blocks: Iterable[bytes], error: Exception | None = None) -> Iterator[bytes]:
    yield from blocks
    if error is not None:
        raise error


def _slow(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    time.sleep(_number(environ, "ms", 300) / 1000)
    return _send(start_response, b"ok")


def _big(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return _blocks(BLOCK for _ in range(_number(environ, "mib", 50) * 16))


def _respond_then_read(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])

    def blocks() -> Iterator[bytes]:
        yield b"start"
        yield _read_whole(environ)

    return blocks()


def _number(environ: WSGIEnvironment, name: str, default: int) -> int:
    return int(parse_qs(environ.get("QUERY_STRING", "")).get(name, [str(default)])[0])


def _sends(body: bytes = b"ok", status: str = "200 OK", more: Iterable[Header] = ()) -> Handler:
    """A handler that answers with one block."""
    return lambda _environ, start_response: _send(start_response, body, status, more)


def _bare(status: str, headers: Iterable[Header] = (), body: Iterable[bytes] = ()) -> Handler:
    """A handler whose headers and body need not fit together."""

    def handler(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, list(headers))
        return list(body)

    return handler


def _streams(blocks: Iterable[bytes], error: Exception | None = None) -> Handler:
    """A handler that answers with a generator, so that the server knows no length."""

    def handler(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return _blocks(blocks, error)

    return handler


TEXT = ("Content-Type", "text/plain")

HANDLERS: dict[str, Handler] = {
    "/noread": _sends(),
    "/raise": _raise,
    "/early413": _sends(b"too big", "413 Content Too Large"),
    "/s204": _bare("204 No Content"),
    "/s204body": _bare("204 No Content", body=[b"stray"]),
    "/s204len": _bare("204 No Content", [("Content-Length", "5")]),
    "/s304": _bare("304 Not Modified"),
    "/s304len": _bare("304 Not Modified", [("ETag", '"a"'), ("Content-Length", "5")]),
    "/s206": _bare(
        "206 Partial Content", [("Content-Length", "3"), ("Content-Range", "bytes 2-4/10")], [b"cde"]
    ),
    "/s401": _sends(b"", "401 Unauthorized", [("WWW-Authenticate", 'Basic realm="x, y"')]),
    "/s404": _sends(b"no such", "404 Not Found"),
    "/s599": _sends(status="599 Our Own"),
    "/s205": _bare("205 Reset Content", [TEXT, ("Content-Length", "0")]),
    "/s302": _sends(b"", "302 Found", [("Location", "/x")]),
    "/s100": _bare("100 Continue"),
    "/stream": _streams([b"a", b"bb", b"ccc"]),
    "/stream_raise": _streams([b"a", b"b"], RuntimeError("mid")),
    "/stream_empty_chunks": _streams([b"a", b"", b"b", b""]),
    "/cl_short": _bare("200 OK", [TEXT, ("Content-Length", "10")], [b"abc"]),
    "/cl_long": _bare("200 OK", [TEXT, ("Content-Length", "3")], [b"abcdef"]),
    "/hdr_crlf": _bare("200 OK", [TEXT, ("X-A", "a\r\nInjected: 1")], [b"x"]),
    "/hdr_te": _bare("200 OK", [TEXT, ("Transfer-Encoding", "chunked"), ("Connection", "close")], [b"x"]),
    "/hdr_badcl": _bare("200 OK", [TEXT, ("Content-Length", "+1")], [b"x"]),
    "/own_date_server": _sends(more=[("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("Server", "mine")]),
    "/status_noreason": _sends(status="299 "),
    "/two_blocks": _bare("200 OK", [TEXT], [b"abc", b"de"]),
    "/cl_twice": _sends(more=[("Content-Length", "2")]),
    "/cl_conflict": _sends(more=[("Content-Length", "3")]),
    "/conn_close": _sends(more=[("Connection", "close")]),
    "/hdr_keepalive": _sends(more=[("Keep-Alive", "timeout=5")]),
    "/hdr_order": _sends(more=[("X-B", "1"), ("x-a", "2"), ("X-B", "3"), ("X-Empty", "")]),
    "/hdr_case": _bare(
        "200 OK", [("cOnTeNt-LeNgTh", "2"), ("dAtE", "Sun, 06 Nov 1994 08:49:37 GMT")], [b"ok"]
    ),
    "/two_cookies": _sends(more=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]),
    "/slow": _slow,
    "/big": _big,
    "/respond_then_read": _respond_then_read,
}
"""What each path does; every other path reads the body and answers `ok`."""
