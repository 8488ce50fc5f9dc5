"""An untouched server of cheroot's: the engine calls the application itself, until something is changed."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kirsch.cheroot import server, wsgi
from support.client import Client

SECONDS = 30.0


def caller(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answers with the function that called."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [sys._getframe(1).f_code.co_name.encode()]


#: What `caller` sees: the thread's own function where there is nobody between the engine and the application.
NOBODY = "_work"


@contextlib.contextmanager
def serving(app: Any = caller, kind: Any = wsgi.Server, **keywords: Any) -> Iterator[Any]:
    made = kind(("127.0.0.1", 0), app, shutdown_timeout=SECONDS, **keywords)
    with made._run_in_thread():
        yield made


def exchange(made: server.HTTPServer, raw: bytes) -> bytes:
    """All that is answered to these bytes, after which the client says no more; without the date."""
    with Client(made.bind_addr) as client:
        client.send(raw)
        client.finish()
        return re.sub(rb"\r\nDate: [^\r]*", b"", client.rest())


def ask(made: server.HTTPServer) -> str:
    """What is answered to a GET."""
    answer = exchange(made, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    return answer.partition(b"\r\n\r\n")[2].decode()


def test_nobody_stands_between_the_engine_and_the_application_of_an_untouched_server() -> None:
    with serving() as made:
        assert [ask(made) for _ in range(3)] == [NOBODY] * 3
        assert made._live.served_natively == 3
        threads = made.requests._threads
        assert [thread.conn for thread in threads] == [None] * len(threads), "no connection object"


def test_a_stopped_and_started_server_is_untouched_again() -> None:
    made = wsgi.Server(("127.0.0.1", 0), caller)
    for _ in range(2):
        with made._run_in_thread():
            assert ask(made) == NOBODY


class OwnGateway(wsgi.Gateway_10):
    """Of a program's own, with nothing in it."""


class OwnConnection(server.HTTPConnection):
    """Counts its requests."""

    counted = 0

    def communicate(self) -> bool:
        type(self).counted += 1
        return bool(super().communicate())


class OwnReader(server.HeaderReader):
    """Of a program's own, with nothing in it."""


def assigned(of: Any, name: str, value: Any) -> Callable[[Any, pytest.MonkeyPatch], None]:
    """An assignment to a class, or where there is none to the server."""
    return lambda made, patch: patch.setattr(of or made, name, value)


def around(of: Any, name: str) -> Callable[[Any, pytest.MonkeyPatch], None]:
    """A method that calls the one it replaces."""
    before = getattr(of, name)
    return assigned(of, name, lambda *words: before(*words))


CHANGES: dict[str, Callable[[Any, pytest.MonkeyPatch], None]] = {
    "statistics": lambda made, patch: patch.setitem(made.stats, "Enabled", True),
    "other statistics": lambda made, patch: patch.setattr(made, "stats", {**made.stats, "Enabled": True}),
    "gateway": assigned(None, "gateway", OwnGateway),
    "gateway's method": around(wsgi.Gateway_10, "respond"),
    "gateway's environ": around(wsgi.Gateway_10, "get_environ"),
    "method of the gateway's base": around(wsgi.Gateway, "start_response"),
    "header reader": assigned(server.HTTPRequest, "header_reader", OwnReader()),
    "header reader's method": around(server.HeaderReader, "_allow_header"),
    "peer credentials": assigned(None, "peercreds_enabled", True),
    "peer credentials of all": assigned(wsgi.Server, "peercreds_enabled", True),
}


#: Who wants to hear of connections does so until the server stops.
FOR_GOOD = {
    "connection class": assigned(None, "ConnectionClass", OwnConnection),
    "connection class of all": assigned(server.HTTPServer, "ConnectionClass", OwnConnection),
    "connection's method": around(server.HTTPConnection, "communicate"),
    "request's method": around(server.HTTPRequest, "parse_request"),
}


@pytest.mark.parametrize("name", [*CHANGES, *FOR_GOOD])
def test_what_is_changed_counts_from_the_next_request_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as made:
        # Else the class has nothing to say.
        del made.peercreds_enabled
        assert ask(made) == NOBODY
        {**CHANGES, **FOR_GOOD}[name](made, monkeypatch)
        assert ask(made) != NOBODY
        monkeypatch.undo()
        assert (ask(made) == NOBODY) == (name in CHANGES)
        assert made._live.served_natively == 1 + (name in CHANGES)


def test_who_may_take_over_the_socket_finds_the_objects() -> None:
    with serving() as made:
        answer = exchange(made, b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        assert b"respond" in answer
        assert made._live.served_natively == 0


def test_another_application_is_called_by_the_engine_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        return [b"other " + b"".join(caller(environ, start_response))]

    with serving() as made:
        made.wsgi_app = other
        # The caller of `caller` is `other` itself.
        assert ask(made) == "other other"
        monkeypatch.setattr(wsgi.Server, "wsgi_app", staticmethod(caller), raising=False)
        del made.wsgi_app
        assert ask(made) == "serve", "a descriptor is asked each time"
        assert made._live.served_natively == 1


class Computed(wsgi.Server):
    """Has another application for each request."""

    asked = 0

    @property
    def wsgi_app(self) -> Any:
        type(self).asked += 1
        return caller

    @wsgi_app.setter
    def wsgi_app(self, app: Any) -> None:
        pass


class Mixin:
    """A class that tells nobody when it is changed."""

    wsgi_app = None


class Mixed(wsgi.Server, Mixin):
    """Is partly of that kind."""


class Own(wsgi.Server):
    """Has its own idea of assignment."""

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


class Method(wsgi.Server):
    """Is the application itself."""

    def __init__(self, *words: Any, **keywords: Any) -> None:
        super().__init__(*words, **keywords)
        del self.wsgi_app

    def wsgi_app(self, environ: Any, start_response: Any) -> list[bytes]:
        """Answers."""
        assert self.ready
        start_response("200 OK", [])
        return [sys._getframe(1).f_code.co_name.encode()]


@pytest.mark.parametrize(
    ("kind", "by"), [(Computed, "serve"), (Mixed, "serve"), (Own, "serve"), (Method, NOBODY)]
)
def test_a_server_that_cannot_tell_of_its_changes_is_asked_each_time(
    kind: type[server.HTTPServer], by: str
) -> None:
    with serving(kind=kind) as made:
        assert ask(made) == by
        before = Computed.asked
        assert ask(made) == by
        assert Computed.asked == before + (kind is Computed)


def test_a_server_that_becomes_another_kind_is_asked_from_then_on() -> None:
    with serving() as made:
        assert ask(made) == NOBODY
        made.__class__ = Computed
        assert ask(made) == "serve"


def test_changes_by_many_threads_leave_the_last_one() -> None:
    """Who assigns and who tells the engine of it are one."""

    def app(number: int) -> Callable[..., list[bytes]]:
        return lambda e, s: (s("200 OK", []), [b"%d" % number])[1]

    with serving() as made:
        apps = [app(number) for number in range(8)]

        def assign(mine: Callable[..., list[bytes]]) -> None:
            for _ in range(50):
                made.wsgi_app = mine

        threads = [threading.Thread(target=assign, args=(each,)) for each in apps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert apps[int(ask(made))] is made.wsgi_app


def test_a_setting_that_is_refused_spoils_no_other() -> None:
    with serving() as made:
        with pytest.raises(OverflowError):
            made.keep_alive_conn_limit = -1
        made.gateway = OwnGateway
        assert ask(made) != NOBODY
    assert not made.ready


def test_a_request_class_that_changes_its_server_does_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Request(server.HTTPRequest):
        def __init__(self, of: Any, conn: Any) -> None:
            super().__init__(of, conn)
            of.timeout = 7

    with serving() as made:
        monkeypatch.setattr(made.ConnectionClass, "RequestHandlerClass", Request)
        assert (ask(made), made.timeout) == (NOBODY, 7)


# --- The same answers on every way


def told(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answers with what the client said, as far as it is text."""
    body = environ["wsgi.input"].read()
    # Of each connection, or of the engine alone.
    left_out = ("REMOTE_PORT", "SERVER_PORT", "kirsch.request_id", "RAW_URI", "GATEWAY_INTERFACE")
    plain = {
        name: value
        for name, value in environ.items()
        if isinstance(value, (str, bool, tuple)) and name not in left_out
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([plain, body.decode()], sort_keys=True).encode()]


def failing(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    raise ValueError("no")


def various(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    """Answers in the ways that cheroot takes and others may not."""
    path = environ["PATH_INFO"]
    status = "204" if path == "/code" else "200 OK"
    headers: Any = {"X-A": "a", "X-B": "b"}.items() if path == "/items" else [("X-A", "a")]
    if path == "/long":
        headers = [("Content-Length", "2")]
    write = start_response(status, headers)
    if path == "/write":
        write(b"written ")
    if path == "/generator":
        return (block for block in (b"a", b"", b"b"))
    if path == "/none":
        return []
    return [b"one ", b"two"] if path == "/list" else (b"body",)


REQUESTS = [
    b"GET /a%2Fb%20c?d=%2F HTTP/1.1\r\nHost: a\r\nX-Field: v\r\nX-Field: w\r\nCookie: a\r\nCookie: b\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Type: text/plain\r\n\r\nbody",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /\r\n\r\n",
]
PATHS = ["/code", "/items", "/long", "/write", "/generator", "/none", "/list", "/tuple"]


@pytest.mark.parametrize(
    ("app", "raw"),
    [
        *((told, raw) for raw in REQUESTS),
        (failing, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        *((various, b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode()) for path in PATHS),
    ],
)
def test_answers_are_the_same_whether_somebody_looks_or_not(
    app: Any, raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(app) as made:
        answer = exchange(made, raw)
        requests = raw.count(b"HTTP/1.")
        assert made._live.served_natively == requests
        monkeypatch.setitem(made.stats, "Enabled", True)
        assert exchange(made, raw) == answer
        assert made._live.served_natively == requests


@pytest.mark.parametrize("raw", REQUESTS)
def test_applications_are_told_the_same_by_objects(raw: bytes) -> None:
    with serving(told) as made:
        answer = exchange(made, raw)
        made.gateway = OwnGateway
        assert [body(one) for one in exchange(made, raw).split(b"HTTP/1.1 ")] == [
            body(one) for one in answer.split(b"HTTP/1.1 ")
        ]


def body(answer: bytes) -> Any:
    """The JSON in an answer, framed somehow, without what is known of a body by the engine alone."""
    found = re.search(rb"\[\{.*\]", answer)
    if found is None:
        return None
    plain, text = json.loads(found[0])
    del plain["wsgi.input_terminated"]
    if "HTTP_TRANSFER_ENCODING" in plain:
        plain.pop("CONTENT_LENGTH", None)
    return plain, text


def test_a_request_object_is_made_for_who_asks_for_it() -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        request = start_response.__self__.req  # type: ignore[attr-defined]
        same = start_response.__self__.env is environ  # type: ignore[attr-defined]
        start_response("200 OK", [])
        return [b"%s %s %d" % (request.method, request.conn.remote_addr.encode(), same)]

    with serving(app) as made:
        assert ask(made) == "GET 127.0.0.1 1"
        assert made._live.served_natively == 1
