"""Programs written for cheroot that reach below requests: connections, sockets, threads, trailers."""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kirsch.cheroot import server
from kirsch.cheroot.workers.threadpool import ThreadPool
from support.cheroot import SECONDS, Quiet, ask, get, hello, running
from support.client import Client


def wait_until(happened: Callable[[], bool], what: str) -> None:
    """Returns once it has; nothing else tells when."""
    deadline = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


# --- Hooks


class Noted(server.HTTPConnection):
    """A connection that notes what is done with it."""

    notes: queue.Queue[tuple[str, int]]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.notes.put(("made", self.requests_seen))

    def communicate(self) -> bool:
        kept: bool = super().communicate()
        self.notes.put(("kept" if kept else "not kept", self.requests_seen))
        return kept

    def close(self) -> None:
        super().close()
        self.notes.put(("closed", self.requests_seen))


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Quiet]:
    """A server whose connections note what is done with them."""
    monkeypatch.setattr(Noted, "notes", queue.Queue(), raising=False)
    with running() as made:
        made.ConnectionClass = Noted
        yield made


def told(count: int) -> list[tuple[str, int]]:
    return [Noted.notes.get(timeout=SECONDS) for _ in range(count)]


def test_a_connection_is_one_object_from_its_beginning_to_its_end(noted: Quiet) -> None:
    with Client(noted.bind_addr) as client:
        assert told(1) == [("made", 0)], "before it has said anything"
        for path in ("/one", "/two"):
            client.send(get(path))
            assert client.response().body == path.encode()
        assert told(2) == [("kept", 1), ("kept", 2)]
    assert told(1) == [("closed", 2)]


def test_a_connection_without_a_request_is_told_of_as_cheroot_does(noted: Quiet) -> None:
    for bytes_sent in (b"", b"GET / HTTP/1.1\r\nHost: a"):
        with Client(noted.bind_addr) as client:
            client.send(bytes_sent)
            assert told(1) == [("made", 0)]
        assert told(2) == [("not kept", 1), ("closed", 1)]


def test_what_is_not_kept_ends_behind_its_answer(noted: Quiet) -> None:
    def late(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"x" * 500_000
        # The head is on its way and says that the connection stays.
        worker: Any = threading.current_thread()
        asked.append(worker.conn.socket)
        worker.conn.socket.shutdown(socket.SHUT_RDWR)
        yield b"y" * 500_000

    asked: list[socket.socket] = []
    noted.wsgi_app = late
    with Client(noted.bind_addr) as client:
        client.send(get())
        assert client.response().body == b"x" * 500_000 + b"y" * 500_000
        client.expect_close()
    assert told(3) == [("made", 0), ("kept", 1), ("closed", 1)]


def test_when_a_server_has_stopped_every_connection_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Noted, "notes", queue.Queue(), raising=False)
    with contextlib.ExitStack() as stack:
        with running() as made:
            made.ConnectionClass = Noted
            for _ in range(3):
                client = stack.enter_context(Client(made.bind_addr))
                client.send(get())
                assert client.response().status == 200
        notes = [Noted.notes.get_nowait()[0] for _ in range(9)]
        assert (notes.count("made"), notes.count("closed"), Noted.notes.empty()) == (3, 3, True)
    assert "kirsch-watch" not in [thread.name for thread in threading.enumerate()]


def test_process_conn_may_be_replaced_while_the_server_runs() -> None:
    seen = []

    def process_conn(conn: Any) -> None:
        seen.append((conn.remote_addr, conn.remote_port, conn.socket.getpeername()))
        if refuses:
            conn.close()
        else:
            before(conn)

    refuses = False
    with running() as made:
        assert ask(made, get("/before")).body == b"/before"
        before = made.process_conn
        made.process_conn = process_conn  # type: ignore[method-assign]
        with Client(made.bind_addr) as client:
            client.send(get("/x"))
            assert client.response().body == b"/x"
            [(host, port, peer)] = seen
            assert (f"{host}:{port}", (host, port)) == (client.peer, peer)
            refuses = True
            with Client(made.bind_addr) as refused:
                assert refused.rest() == b""
            client.send(get("/y"))
            assert client.response().body == b"/y", "who was let in before stays"


def test_what_process_conn_raises_ends_one_connection() -> None:
    class Choosy(Quiet):
        def process_conn(self, conn: Any) -> None:
            if not self.said:
                raise RuntimeError("not this one")
            super().process_conn(conn)

    made = Choosy(("127.0.0.1", 0), hello)
    with made._run_in_thread():
        with Client(made.bind_addr) as client:
            assert client.rest() == b""
        assert made.said == [(logging.ERROR, "Error in HTTPServer.serve")]
        assert ask(made, get("/next")).body == b"/next"


class Bell:
    """A socket that notes, before it is written to, whether its reader could have closed it."""

    def __init__(self, watch: Any) -> None:
        self.watch = watch
        self.socket = watch._ring
        self.rang: list[bool] = []

    def send(self, data: bytes) -> int:
        self.rang.append(self.watch._ending)
        sent: int = self.socket.send(data)
        return sent

    def close(self) -> None:
        self.socket.close()


def test_a_stop_wakes_the_thread_that_accepts_before_that_may_end() -> None:
    class Watched(Quiet):
        def put_conn(self, conn: Any) -> None:
            super().put_conn(conn)

    made: Any = Watched(("127.0.0.1", 0), hello)
    with made._run_in_thread():
        bell = made._watch._ring = Bell(made._watch)
    assert bell.rang == [False]


def test_put_conn_may_end_a_connection_that_would_be_kept() -> None:
    class Once(Quiet):
        def put_conn(self, conn: Any) -> None:
            conn.close()

    made = Once(("127.0.0.1", 0), lambda e, s: (s("200 OK", []), iter([b"a" * 100_000, b"b"]))[1])
    with made._run_in_thread(), Client(made.bind_addr) as client:
        client.send(get())
        assert client.response().body == b"a" * 100_000 + b"b"
        client.expect_close()


def test_what_close_raises_is_said_and_costs_nothing_else() -> None:
    class Broken(server.HTTPConnection):
        def close(self) -> None:
            super().close()
            raise RuntimeError("broken")

    with running() as made:
        made.ConnectionClass = Broken
        for _ in range(2):
            assert ask(made, get("/x", "Connection: close\r\n")).body == b"/x"
        wait_until(lambda: len(made.said) == 2, str(made.said))
    assert made.said == [(logging.ERROR, "RuntimeError('broken')")] * 2


def test_a_program_may_bring_connections_of_its_own() -> None:
    with running() as made:
        ours, theirs = socket.socketpair()
        with ours:
            conn = server.HTTPConnection(made, theirs)
            made.put_conn(conn)
            ours.settimeout(SECONDS)
            ours.sendall(get("/a") + get("/b", "Connection: close\r\n"))
            answers = b"".join(iter(lambda: ours.recv(65536), b""))
            assert (answers.index(b"/a") < answers.index(b"/b"), conn.requests_seen) == (True, 2)
        wait_until(lambda: theirs.fileno() == -1, "it is closed with the client's")


def test_connections_of_unix_sockets_are_watched_as_well(tmp_path: Path) -> None:
    class Counted(Quiet):
        seen = 0

        def process_conn(self, conn: Any) -> None:
            type(self).seen += 1
            super().process_conn(conn)

    path = str(tmp_path / "socket")
    made = Counted(path, hello)
    with made._run_in_thread():
        for count in (1, 2):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(SECONDS)
                client.connect(path)
                client.sendall(get("/x", "Connection: close\r\n"))
                assert b"/x" in b"".join(iter(lambda: client.recv(65536), b""))
            assert Counted.seen == count


def test_who_asks_for_requests_only_pays_for_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    class Proxy(server.HTTPRequest):
        def __init__(self, of: Any, conn: Any) -> None:
            super().__init__(of, conn, proxy_mode=True)

    with running() as made:
        # As CherryPy does.
        monkeypatch.setattr(made.ConnectionClass, "RequestHandlerClass", Proxy)
        assert ask(made, get()).status == 200
        assert made._watch is None


# --- Threads


def test_a_pool_grows_up_to_its_max_and_shrinks_to_its_min() -> None:
    with running(numthreads=2, max=4) as made:
        pool = made.requests
        pool.grow(9)
        assert (len(pool._threads), pool.idle, pool.qsize) == (4, 4, 0)
        assert all(thread.is_alive() and thread.ready for thread in pool._threads)
        before = list(pool._threads)
        pool.shrink(9)
        wait_until(lambda: len(pool._threads) == 2, "idle threads end")
        wait_until(lambda: sum(thread.is_alive() for thread in before) == 2, "and are gone")
        assert ask(made, get("/x")).body == b"/x"
        pool.grow(1)
        assert (len(pool._threads), pool.idle) == (3, 3)


def test_a_pool_without_max_grows_and_its_new_threads_serve() -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def wait(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        begun.release()
        go_on.wait(SECONDS)
        start_response("200 OK", [])
        return [b"late"]

    with running(wait, numthreads=1) as made, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(made.bind_addr)) for _ in range(5)]
        clients[0].send(get())
        assert begun.acquire(timeout=SECONDS)
        for client in clients[1:]:
            client.send(get())
        wait_until(lambda: made.requests.qsize == 4, "the others wait")
        assert made.requests.idle == 0
        made.requests.grow(4)
        for _ in clients[1:]:
            assert begun.acquire(timeout=SECONDS), "each has a thread"
        # Who is busy leaves behind the request.
        made.requests.shrink(3)
        go_on.set()
        assert [client.response().body for client in clients] == [b"late"] * 5
        wait_until(lambda: len(made.requests._threads) == 2, "three leave")
        assert made.requests.idle == 2


def test_a_pool_that_was_shrunk_stops_and_starts_again() -> None:
    made = Quiet(("127.0.0.1", 0), hello)
    made.requests = ThreadPool(made, min=1, max=8)
    for _ in range(2):
        with made._run_in_thread():
            made.requests.grow(7)
            made.requests.shrink(5)
            assert ask(made, get("/x")).body == b"/x"
        assert made.requests._threads == []


# --- Trailers

CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    b"5;x=y\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: other\r\n\r\n"
)


def trailers(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """The body, the trailers, and the field that one of them repeats."""
    source = environ["wsgi.input"]
    with pytest.raises(ValueError, match="until the request body has been read"):
        source.read_trailer_lines()
    body = source.read()
    start_response("200 OK", [])
    return [body, b"|".join(source.read_trailer_lines()), environ["HTTP_HOST"].encode()]


@pytest.mark.parametrize("way", ["native", "objects"])
def test_trailers_are_given_and_are_no_fields(way: str) -> None:
    with running(trailers) as made:
        if way == "objects":
            made.ConnectionClass = Slow
        with Client(made.bind_addr) as client:
            for _ in range(2):
                client.send(CHUNKED)
                assert client.response().body == b"helloX-Sum: 1\r\n|Host: other\r\na"
            client.send(CHUNKED.replace(b"X-Sum: 1", b"X-Sum : 1"))
            assert client.response().status == 400


class Slow(server.HTTPConnection):
    """A connection whose requests do not go the native way."""

    def communicate(self) -> bool:
        kept: bool = super().communicate()
        return kept


# --- Sockets that are taken over

UPGRADE = get("/", "Connection: Upgrade\r\nUpgrade: echo\r\n")


def handler_of(server_: server.HTTPServer, lingers: bool) -> None:
    """Has requests answered by 101, and the socket passed to a thread that echoes, as a WebSocket's would."""

    class Switch(server.Gateway):
        def respond(self) -> None:
            request = self.req
            request.status = b"101 Switching Protocols"
            request.outheaders += [(b"Connection", b"Upgrade"), (b"Upgrade", b"echo")]
            request.ensure_headers_sent()
            request.close_connection = True
            request.conn.linger = lingers
            sock = request.rfile.rfile.raw._sock
            if lingers:
                threading.Thread(target=echo, args=(sock,), daemon=True).start()

    def echo(sock: socket.socket) -> None:
        with sock:
            sock.settimeout(SECONDS)
            while block := sock.recv(65536):
                sock.sendall(block.upper())

    server_.gateway = Switch


@pytest.mark.parametrize("watched", [False, True])
def test_a_gateway_may_take_the_socket_over(watched: bool) -> None:
    with running(timeout=1) as made:
        handler_of(made, lingers=True)
        if watched:
            made.ConnectionClass = Slow
        with Client(made.bind_addr) as client:
            client.send(UPGRADE)
            head = client.until(b"\r\n\r\n")
            assert head == (
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
            )
            # No timeout of the server's holds any more; and no request ends for want of a thread.
            client.send(b"hello")
            assert client.until(b"O") == b"HELLO"
            with Client(made.bind_addr) as other:
                assert other.response().status == 408, "a second has gone by"
            client.send(b"again")
            assert client.until(b"N") == b"AGAIN"
            client.finish()
            assert client.rest() == b""
        engine: Any = made._engine
        wait_until(lambda: engine.statistics()["connections"] == 0, "the engine has let go of it")


def test_a_field_of_101_adds_no_other() -> None:
    class Echo(server.Gateway):
        def respond(self) -> None:
            self.req.status = b"101 Switching Protocols"
            self.req.outheaders += [(b"Sec-WebSocket-Protocol", b"chat\r\nX-Evil: 1")]
            self.req.ensure_headers_sent()

    with running() as made:
        made.gateway = Echo
        with Client(made.bind_addr) as client:
            client.send(UPGRADE)
            assert b"X-Evil" not in client.rest()
    assert any("control characters" in text for _, text in made.said)


def test_without_linger_a_connection_ends_behind_101() -> None:
    with running() as made:
        handler_of(made, lingers=False)
        with Client(made.bind_addr) as client:
            client.send(UPGRADE)
            assert client.rest().startswith(b"HTTP/1.1 101 ")


def test_what_was_sent_before_101_ends_the_connection() -> None:
    """The program could not read it: the engine has."""
    with running() as made:
        handler_of(made, lingers=True)
        with Client(made.bind_addr) as client:
            client.send(UPGRADE + b"early")
            with contextlib.suppress(ConnectionResetError):
                assert client.rest() == b""


def test_an_application_finds_the_socket_behind_wsgi_input() -> None:
    """As k1s and libraries for WebSockets look for it, which then write the answer themselves."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        sock = environ["wsgi.input"].rfile.raw._sock
        sock.sendall(b"HTTP/1.1 101 Own\r\n\r\n")
        sock.sendall(sock.recv(5).upper())
        worker: Any = threading.current_thread()
        worker.conn.linger = True
        kept.put(sock)
        return []

    kept: queue.Queue[socket.socket] = queue.Queue()
    with running(app) as made, Client(made.bind_addr) as client:
        client.send(UPGRADE)
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 101 Own\r\n\r\n"
        client.send(b"hello")
        assert client.received(5) == b"HELLO"
        client.send(b"more")
        with kept.get(timeout=SECONDS) as sock:
            assert sock.recv(4) == b"more"
