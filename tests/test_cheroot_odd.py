"""Odd applications, and odd ends, of servers of `kirsch.cheroot`: what clients get, what is told, what stays.

cheroot hangs, leaks or lies in many of these; `docs/guides/cheroot.md` says what is better.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from support.client import BrokenResponse, Client
from test_cheroot import SECONDS, Quiet, get, running

App = Callable[[dict[str, Any], Any], Iterable[bytes]]


def answering(body: Any, status: Any = "200 OK", *fields: tuple[str, str]) -> App:
    """An application that gives this."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, list(fields))
        return body() if callable(body) else body

    return app


def raising_at_once(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """A generator that fails before its first block."""
    start_response("200 OK", [])
    raise RuntimeError("at once")
    yield b""


def starting_late(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """A block before the head."""
    yield b"early"
    start_response("200 OK", [])


def starting_never(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """No head."""
    return [b"x"]


def starting_twice(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Two heads."""
    start_response("200 OK", [])
    start_response("201 Created", [])
    return [b"x"]


@pytest.mark.parametrize(
    ("app", "told"),
    [
        (raising_at_once, "at once"),
        (starting_late, "did not call start_response"),
        (starting_never, "did not call start_response"),
        (starting_twice, "start_response() was called before"),
        (answering(None), "must return an iterable of bytes, not NoneType"),
        (answering(["text"]), "must consist of bytes, not str"),
        (answering(b"bytes"), "not bytes itself; put it into a list"),
        (answering([b"x"], "100 Continue"), "status must be a final one"),
        (answering([b"x"], "101 Switching Protocols"), "status must be a final one"),
        (answering([b"x"], b"200 OK"), "status must be a str"),
        (answering([b"x"], "two hundred"), "status must be three digits"),
        (answering([b"x"], "200 OK", ("X-A", "a\r\nX-Evil: 1")), "must not hold control characters"),
        (answering([b"x"], "200 OK", ("X-A", "€")), "characters beyond U+00FF"),
        (answering([b"x"], "200 OK", ("Content-Length", "1"), ("Content-Length", "2")), "given once"),
        (answering([b"x"], "200 OK", ("Transfer-Encoding", "chunked")), "hop-by-hop"),
        (answering([b"abc"], "200 OK", ("Content-Length", "2")), "exceeds the declared Content-Length"),
    ],
    ids=lambda value: None if callable(value) else value,
)
def test_what_cannot_be_sent_is_a_500_and_told(app: App, told: str) -> None:
    with running(app) as made, Client(made.bind_addr) as client:
        assert client.request("/").status == 500
    # Once it has stopped: some refusals are sent before they are told.
    assert [level for level, _ in made.said] == [logging.ERROR]
    assert told in made.said[0][1]


class Closing:
    """A body whose `close` does something."""

    def __init__(self, close: Callable[[], object]) -> None:
        self.close = close

    def __iter__(self) -> Iterator[bytes]:
        yield b"body"


def failing() -> None:
    raise RuntimeError("in close")


def test_an_exception_in_close_is_told_and_the_answer_is_whole() -> None:
    with running(answering(lambda: Closing(failing))) as made, Client(made.bind_addr) as client:
        assert client.request("/").body == b"body"
        client.expect_open()
    assert [text for _, text in made.said] == ["RuntimeError('in close')"] * 2


def test_what_is_written_in_close_belongs_to_the_body() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        write(b"first ")
        return Closing(lambda: write(b" last"))

    with running(app) as made, Client(made.bind_addr) as client:
        assert client.request("/").body == b"first body last"


@pytest.mark.parametrize("raises", ["generator", "write"])
def test_what_has_begun_and_fails_ends_so_that_the_client_notices(raises: str) -> None:
    def generator(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"begun"
        raise RuntimeError("then")

    def writing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])(b"begun")
        raise RuntimeError("then")

    with running(generator if raises == "generator" else writing) as made:
        with Client(made.bind_addr) as client:
            client.send(get())
            with pytest.raises(BrokenResponse, match="begun"):
                client.response()
        assert [text for _, text in made.said] == ["RuntimeError('then')"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified"])
def test_no_body_is_taken_for_the_next_response(method: str, status: str) -> None:
    with running(answering([b"abc"], status)) as made, Client(made.bind_addr) as client:
        for _ in range(3):
            answer = client.request("/", method)
            assert answer.body == (b"abc" if (method, status[:3]) == ("GET", "200") else b"")
        client.expect_open()


def test_fewer_bytes_than_content_length_end_the_connection() -> None:
    with running(answering([b"abc"], "200 OK", ("Content-Length", "10"))) as made:
        with Client(made.bind_addr) as client:
            client.send(get())
            assert client.rest().endswith(b"\r\n\r\nabc")
        assert "7 bytes less than Content-Length says" in made.said[0][1]


def test_a_client_that_leaves_ends_what_is_made_for_it() -> None:
    ended = threading.Semaphore(0)

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 100_000
        finally:
            ended.release()

    with running(app, numthreads=2) as made:
        for _ in range(4):
            with Client(made.bind_addr) as client:
                client.send(get())
                client.received(10)
        for _ in range(4):
            assert ended.acquire(timeout=SECONDS)


# --- Ends


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("same", [True, False])
def test_fifty_starts_leave_nothing_behind(same: bool) -> None:
    def begin(made: Quiet) -> None:
        with made._run_in_thread(), Client(made.bind_addr) as client:
            assert client.request("/").status == 200

    made = Quiet(("127.0.0.1", 0), answering([b"x"]), numthreads=3)
    begin(made)
    gc.collect()
    before = descriptors(), threading.active_count(), len(logging.statistics)  # type: ignore[attr-defined]
    for _ in range(50):
        begin(made if same else Quiet(("127.0.0.1", 0), answering([b"x"]), numthreads=3))
    gc.collect()
    after = descriptors(), threading.active_count(), len(logging.statistics)  # type: ignore[attr-defined]
    assert after == before


def test_a_server_that_has_stopped_can_be_forgotten() -> None:
    made = Quiet(("127.0.0.1", 0), answering([b"x"]))
    with made._run_in_thread():
        pass
    seen = weakref.ref(made)
    del made
    gc.collect()
    assert seen() is None


def test_a_server_is_stopped_by_several_at_once() -> None:
    made = Quiet(("127.0.0.1", 0), answering([b"x"]))
    made.prepare()
    failed: list[BaseException] = []

    def stop() -> None:
        try:
            made.stop()
        except BaseException as error:
            failed.append(error)

    serving = threading.Thread(target=made.serve)
    stopping = [threading.Thread(target=stop) for _ in range(8)]
    for thread in (serving, *stopping):
        thread.start()
    for thread in (serving, *stopping):
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert failed == []


class Overtaken:
    """A lock before which another thread is quicker, once."""

    def __init__(self, lock: Any, meanwhile: Callable[[], None]) -> None:
        self.lock = lock
        self.meanwhile: Callable[[], None] | None = meanwhile

    def __enter__(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            thread = threading.Thread(target=meanwhile)
            thread.start()
            thread.join(SECONDS)
        self.lock.__enter__()

    def __exit__(self, *error: object) -> None:
        self.lock.__exit__(*error)


def test_of_two_that_stop_a_server_at_the_same_moment_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[Quiet] = []
    before = Quiet._end

    def end(made: Quiet) -> None:
        ends.append(made)
        before(made)

    monkeypatch.setattr(Quiet, "_end", end)
    with running() as made:
        monkeypatch.setattr(made, "_telling", Overtaken(made._telling, made.stop))
        made.stop()
    assert ends == [made]


def test_a_stop_in_a_generator_lets_it_end() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        made.stop()
        made.stop()
        start_response("200 OK", [])
        yield b"a"
        made.stop()
        yield b"b"

    made = Quiet(("127.0.0.1", 0), app, numthreads=2)
    made.prepare()
    with Client(made.bind_addr) as client:
        client.send(get())
        made.serve()
        assert client.response().body == b"ab"


@pytest.fixture
def at_signal() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Has SIGUSR1 call something."""
    before = signal.getsignal(signal.SIGUSR1)

    def call(what: Callable[[], object]) -> None:
        signal.signal(signal.SIGUSR1, lambda *_: what())

    yield call
    signal.signal(signal.SIGUSR1, before)


def test_a_stop_in_a_signal_handler_ends_the_server(
    at_signal: Callable[[Callable[[], object]], None],
) -> None:
    serving = threading.Event()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        assert serving.wait(SECONDS)
        os.kill(os.getpid(), signal.SIGUSR1)
        start_response("200 OK", [])
        return [b"x"]

    made = Quiet(("127.0.0.1", 0), app)
    waited: list[bool] = []

    def stop() -> None:
        made.stop()
        # It does not wait for the thread whose work it interrupts.
        waited.append(made._connections._serving)

    at_signal(stop)
    made.prepare()
    selector: Any = made._connections._selector
    select = selector.select

    def selecting(timeout: float | None = None) -> Any:
        serving.set()
        return select(timeout)

    selector.select = selecting
    with Client(made.bind_addr) as client:
        client.send(get())
        made.serve()
        assert client.response().body == b"x"
    assert waited == [True]


def test_sys_exit_in_a_signal_handler_goes_through(at_signal: Callable[[Callable[[], object]], None]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        os.kill(os.getpid(), signal.SIGUSR1)
        start_response("200 OK", [])
        return [b"x"]

    class Asked(Quiet):
        """Asks itself something once it listens."""

        def serve(self) -> None:
            with Client(self.bind_addr) as client:
                client.send(get())
                super().serve()

    at_signal(lambda: sys.exit(4))
    made = Asked(("127.0.0.1", 0), app)
    with pytest.raises(SystemExit, match="4"):
        made.safe_start()
    assert made.ready is False


@pytest.mark.parametrize("way", ["exit", "exec"])
def test_a_process_that_a_handler_forks_takes_nothing_with_it(way: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        child = os.fork()
        if child == 0:
            if way == "exit":
                os._exit(0)
            os.execv("/bin/true", ["true"])
        os.waitpid(child, 0)
        start_response("200 OK", [])
        return [b"forked"]

    with running(app, numthreads=2) as made, Client(made.bind_addr) as client:
        # By then the server has its side of the connection, too.
        assert client.request("/").body == b"forked"
        before = descriptors()
        for _ in range(3):
            assert client.request("/").body == b"forked"
        assert descriptors() == before


def test_stop_does_not_wait_for_each_of_those_that_are_stuck() -> None:
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        begun.release()
        go_on.wait(SECONDS)
        start_response("200 OK", [])
        return [b"late"]

    made = Quiet(("127.0.0.1", 0), app, numthreads=4)
    made.prepare()
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(Client(made.bind_addr)).send(get())
            assert begun.acquire(timeout=SECONDS)
        threads = made.requests._threads[:]
        made.shutdown_timeout = 0
        made.stop()
        assert all(thread.is_alive() for thread in threads), "they are where they were"
        go_on.set()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
