"""`kirsch.Server` inside a program of one's own: started, asked and stopped from any thread."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import kirsch
import pytest
from support.client import Client, get, request_bytes
from support.inside import eventually
from support.server import in_process


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"embedded"]


def test_a_server_serves_inside_its_block_and_not_behind_it() -> None:
    with in_process(app) as address:
        assert get(address).body == b"embedded"
    with pytest.raises(ConnectionRefusedError):
        get(address)


def test_two_servers_stand_side_by_side() -> None:
    with in_process(app) as one, in_process(app, threads=1) as other:
        assert one != other
        assert get(one).body == get(other).body == b"embedded"


def test_a_server_is_started_and_stopped_by_another_thread() -> None:
    server = kirsch.Server(app, bind="127.0.0.1:0", threads=2)
    for step in (server.start, server.stop):
        thread = threading.Thread(target=step)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        if step == server.start:
            address = server.addresses[0]
            assert get(address).body == b"embedded"
    with pytest.raises(ConnectionRefusedError):
        get(address)


def test_a_stop_lets_what_has_begun_finish() -> None:
    began, go_on = threading.Event(), threading.Event()
    bodies: list[bytes] = []

    def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        began.set()
        go_on.wait(10)
        return app(environ, start_response)

    with in_process(slow) as address:
        client = threading.Thread(target=lambda: bodies.append(get(address).body))
        client.start()
        assert began.wait(10)
        go_on.set()
    client.join(10)
    assert bodies == [b"embedded"]


def test_what_a_slow_client_has_taken_is_freed_without_another_request() -> None:
    block = bytes(8 * 1024 * 1024)

    def large(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [block]

    with kirsch.Server(large, bind="127.0.0.1:0") as server:
        before = sys.getrefcount(block)
        with Client(server.addresses[0], receive_buffer=65536) as client:
            client.send(request_bytes("/"))
            eventually(lambda: server.statistics()["outran"], "a response that outran its client")
            eventually(lambda: "running" not in server.statistics()["threads"], "the application's end")
            assert sys.getrefcount(block) > before
            # From here on nothing enters the engine.
            assert client.response().body == block
            eventually(lambda: sys.getrefcount(block) == before, "the block's release")


def test_a_bad_setting_is_an_exception_that_names_it() -> None:
    with pytest.raises((ValueError, TypeError), match="threads"):
        kirsch.Server(app, bind="127.0.0.1:0", threads="many").start()


@pytest.mark.parametrize("bind", [10**30, "\ud800", b"8000", {}, [["127.0.0.1:0"]]], ids=ascii)
def test_a_value_of_no_use_is_an_exception_that_names_its_argument(bind: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"argument bind: .* cannot be a setting"):
        kirsch.Server(app, bind=bind)


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="argument bind"):
        kirsch.Server(app, bind=endless)


def test_an_application_whose_signature_raises_is_served() -> None:
    class Odd:
        @property
        def __signature__(self) -> None:
            raise LookupError

        def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
            return app(environ, start_response)

    with in_process(Odd()) as address:
        assert get(address).body == b"embedded"


def test_a_signal_handler_may_stop_the_server_while_it_is_being_stopped() -> None:
    began = threading.Event()

    def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        began.set()
        time.sleep(0.5)
        return app(environ, start_response)

    server = kirsch.Server(slow, bind="127.0.0.1:0").start()
    address = server.addresses[0]
    client = threading.Thread(target=get, args=(address,))
    client.start()
    assert began.wait(10)
    answers: list[bool] = []
    before = signal.signal(signal.SIGALRM, lambda *_: answers.append(server.stop()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        assert server.stop()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    client.join(10)
    assert answers == [True]
    assert not server.ready


def test_ctrl_c_ends_the_wait_of_a_stop() -> None:
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def busy(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        began.set()
        go_on.wait(10)
        ended.set()
        return app(environ, start_response)

    def interrupt() -> None:
        """Press Ctrl-C once the server accepts no more."""
        with contextlib.suppress(ConnectionError):
            while True:
                Client(address).socket.close()
        os.kill(os.getpid(), signal.SIGINT)

    server = kirsch.Server(busy, bind="127.0.0.1:0", timeout_drain="1h").start()
    address = server.addresses[0]
    client = threading.Thread(target=get, args=(address,))
    client.start()
    assert began.wait(10)
    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        server.stop()
    assert not ended.is_set()
    interrupter.join(10)
    go_on.set()
    client.join(10)
    # It may be stopped again, with more patience than a clock can count.
    assert server.stop(float("inf"))
    assert not server.ready


def program(text: str) -> subprocess.CompletedProcess[str]:
    head = """
        import http.client, threading, time, kirsch

        def ask(server):
            try:
                connection = http.client.HTTPConnection(*server.addresses[0])
                connection.request("GET", "/")
                connection.getresponse()
            except OSError:
                pass
        """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_server_that_was_forgotten_is_stopped_at_the_interpreters_end() -> None:
    ended = program(
        """
        def app(environ, start_response):
            began.set()
            while True:
                if ended.wait(0):
                    start_response("200 OK", [])
                    return []

        began, ended = threading.Event(), threading.Event()
        server = kirsch.Server(app, bind="127.0.0.1:0").start()
        threading.Thread(target=ask, args=(server,), daemon=True).start()
        began.wait()
        del server
        threading.Timer(0.7, ended.set).start()
        """
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.slow
def test_an_application_that_never_returns_does_not_crash_the_interpreters_end() -> None:
    ended = program(
        """
        def app(environ, start_response):
            began.set()
            while True:
                pass

        began = threading.Event()
        server = kirsch.Server(app, bind="127.0.0.1:0").start()
        threading.Thread(target=ask, args=(server,), daemon=True).start()
        began.wait()
        print("the end")
        """
    )
    assert (ended.returncode, ended.stdout) == (1, "the end\n")
    assert "still in the application" in ended.stderr


def test_what_was_begun_of_an_error_line_is_written_when_the_request_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def half(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        environ["wsgi.errors"].write(f"half of {environ['PATH_INFO']}")
        return app(environ, start_response)

    with in_process(half, threads=1) as address:
        get(address, "/one")
        get(address, "/two")
    assert capsys.readouterr().err == "half of /one\nhalf of /two\n"


def test_a_mount_is_a_native_string_in_environ() -> None:
    def names(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode("latin-1")]

    with in_process(names, script_name="/日本") as address:
        assert get(address, "/%E6%97%A5%E6%9C%AC/x").body.decode() == "/日本 /x"


def test_start_response_takes_exc_info_by_its_name() -> None:
    """PEP 3333 wants positions; middleware does not always know."""

    def failing(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        try:
            raise LookupError
        except LookupError:
            start_response("503 Later", [("Content-Type", "text/plain")], exc_info=sys.exc_info())
        return [b"later"]

    with in_process(failing) as address:
        assert get(address).status == 503


class Failing:
    def __iter__(self) -> Iterator[bytes]:
        raise LookupError("while iteration begins")


class Recursive(str):
    """Its text calls back into the server."""

    call: Callable[..., Any]

    def __repr__(self) -> str:
        # Refused, as the call that asks for this text counts as the first.
        with contextlib.suppress(RuntimeError):
            self.call("200 OK", [])
        return "recursive"

    __str__ = __repr__


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (Failing(), "LookupError: while iteration begins"),
        (b"bytes", "put it into a list"),
        (None, "not NoneType"),
        ([1], "not int"),
    ],
    ids=str,
)
def test_a_response_of_no_use_is_logged_with_its_reason(
    body: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    def useless(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body

    with in_process(useless) as address:
        assert get(address).status == 500
    assert text in caplog.text


def test_an_argument_whose_text_calls_start_response_hangs_nothing() -> None:
    def recursive(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        name = Recursive("X")
        name.call = start_response
        start_response("200 OK", [(name, 5)])
        return [b""]

    with in_process(recursive, threads=1) as address:
        assert get(address).status == 500
