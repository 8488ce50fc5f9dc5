"""What signals do: the first asks for a drain, a later one ends at once, the application keeps its own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import subprocess
import termios
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.client import BrokenResponse, Client, get, request_bytes
from support.server import LOGGED, ServerProcess, clean_environment, kirsch

STOPS = [signal.SIGTERM, signal.SIGINT]
named = pytest.mark.parametrize("number", STOPS, ids=[number.name for number in STOPS])


@pytest.fixture(autouse=True, scope="module")
def not_hung_up() -> Iterator[None]:
    """Servers heed SIGHUP also if whoever runs the tests ignores it, as under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def begin_stop(server: ServerProcess, number: signal.Signals) -> None:
    """Send a signal, and wait until the drain has begun: idle connections are closed then."""
    with server.client() as idle:
        assert idle.request("/").status == 200
        server.signal(number)
        idle.expect_close()


def wait_in_application(server: ServerProcess, client: Client) -> None:
    """Send a request that reaches the application and stays there until SIGUSR2."""
    client.send(request_bytes("/wait/SIGUSR2"))
    assert get(server.address, "/waiting").body == b"True"


@named
def test_a_stop_finishes_what_has_begun_and_begins_nothing(number: signal.Signals) -> None:
    with ServerProcess("handlers:app") as server, server.client() as busy:
        wait_in_application(server, busy)
        begin_stop(server, number)
        assert server.process.poll() is None, "it did not wait for the request that had begun"
        server.signal(signal.SIGUSR2)
        answer = busy.response()
        assert (answer.body, answer.get("Connection")) == (b"seen in the main thread", "close")
        busy.expect_close()
        busy.socket.close()
        assert server.wait() == 0


@named
def test_a_later_signal_ends_at_once(number: signal.Signals) -> None:
    with ServerProcess("handlers:app", "--timeout-drain", "1h") as server, server.client() as busy:
        wait_in_application(server, busy)
        begin_stop(server, number)
        server.wait_for_log("another signal ends them at once")
        server.signal(number)
        assert server.wait() != 0, "it left a request unanswered, and said that all is well"
        with pytest.raises((BrokenResponse, ConnectionError)):
            busy.response()


def test_a_stop_that_is_delivered_twice_is_one_stop() -> None:
    """As `timeout` does, which signals its child and then the group."""
    with ServerProcess("handlers:app") as server, server.client() as busy:
        wait_in_application(server, busy)
        # Both are there when it goes on, however slow this machine is.
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            server.signal(number)
        server.wait_for_log(rf"(?m)^{LOGGED}  INFO stopping; ")
        server.signal(signal.SIGUSR2)
        assert busy.response().body == b"seen in the main thread"
        busy.socket.close()
        assert server.wait() == 0


@named
def test_with_nothing_to_finish_a_stop_is_exit_code_0(number: signal.Signals) -> None:
    with ServerProcess("pep3333:app") as server:
        get(server.address)
        server.signal(number)
        assert server.wait() == 0


def test_the_drain_timeout_ends_a_request_that_never_does() -> None:
    with ServerProcess("handlers:app", "--timeout-drain", "1s") as server, server.client() as busy:
        wait_in_application(server, busy)
        server.signal(signal.SIGTERM)
        server.wait()
        with pytest.raises((BrokenResponse, ConnectionError)):
            busy.response()


@pytest.mark.parametrize("routes", [(), ("/other=pep3333:app",)], ids=["alone", "routed"])
@pytest.mark.parametrize("path", ["/wait/SIGUSR2", "/begun"])
def test_a_request_that_the_end_of_a_drain_cuts_leaves_its_traces(path: str, routes: tuple[str, ...]) -> None:
    """Two of them: before its first byte, and behind it. Their threads never come back."""
    flags = (*routes, "--timeout-drain", "1s", "--access-log=%r %s %X %L")
    with ServerProcess("handlers:app", *flags) as server, server.client() as busy:
        busy.send(request_bytes(path, fields=("X-Request-ID: the-late-one",)))
        assert get(server.address, "/waiting").body == b"True"
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        status = 503 if path != "/begun" else 200
        assert f"GET {path} HTTP/1.1 {status} X the-late-one\n" in server.log
        cut = rf"WARN cut at the end of the drain request=the-late-one asks_for=\"GET {path}\" running_for=\d"
        assert re.search(cut, server.log), server.log


def test_what_was_accepted_before_the_stop_is_answered() -> None:
    """Half a request that is complete in time is a request that has begun."""
    with ServerProcess("pep3333:app") as server, server.client() as client:
        message = request_bytes("/input/sha256", "POST", body=b"x" * 100_000)
        client.send(message[:50_000])
        begin_stop(server, signal.SIGTERM)
        client.send(message[50_000:])
        assert client.response().status == 200
        client.expect_close()
        client.socket.close()
        assert server.wait() == 0


def test_the_applications_own_handlers_go_on() -> None:
    with ServerProcess("handlers:app") as server:
        for number in (signal.SIGUSR2, signal.SIGALRM):
            server.signal(number)
            assert get(server.address, f"/wait/{number.name}").body == b"seen in the main thread"
        server.signal(signal.SIGTERM)
        server.wait()
        assert "the application saw SIGTERM" in server.log, "its handler of SIGTERM is called too"


def test_a_terminal_that_closes_is_a_stop() -> None:
    master, slave = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    with ServerProcess("handlers:app", preexec_fn=take_terminal) as server, server.client() as busy:
        os.close(slave)
        wait_in_application(server, busy)
        # The kernel sends SIGHUP to the session's leader.
        os.close(master)
        server.wait_for_log("INFO stopping")
        server.signal(signal.SIGUSR2)
        assert busy.response().body == b"seen in the main thread"
        busy.socket.close()
        assert server.wait() == 0


def test_a_reload_is_refused_in_words_and_ends_nothing() -> None:
    with ServerProcess("pep3333:app", start_new_session=True) as server:
        for number in (signal.SIGHUP, signal.SIGUSR2):
            server.signal(number)
            server.wait_for_log(f"WARN {number.name}: reload is not available in this version")
        assert get(server.address).status == 200


def test_what_nohup_had_ignored_stays_ignored() -> None:
    words = ["nohup", *kirsch(), "pep3333:app", "--bind", "127.0.0.1:0"]
    with ServerProcess("", words=words) as server:
        server.signal(signal.SIGHUP)
        # It comes before this one, so by the end it has been dealt with.
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "reload" not in server.log


def test_a_thread_of_the_application_is_waited_for_if_it_is_no_daemon() -> None:
    with ServerProcess("handlers:app") as server:
        assert get(server.address, "/thread").body == b"True", "what is not told otherwise is a daemon"
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "the thread has done its work" in server.log


def test_a_child_of_the_application_can_be_interrupted() -> None:
    """Signals that the server handles are not blocked in what the application starts."""
    with ServerProcess("handlers:app") as server:
        assert get(server.address, "/child").body == b"-15"


def test_a_forked_child_can_be_ended() -> None:
    """In a child the application's own handler is back: nobody there would act on the server's."""
    with ServerProcess("raising_handlers:app") as server:
        assert get(server.address, "/forked").body == b"3"


def test_handlers_that_raise_cut_off_no_request() -> None:
    with ServerProcess("raising_handlers:app") as server, server.client() as busy:
        busy.send(request_bytes("/wait"))
        assert get(server.address, "/waiting").body == b"True"
        begin_stop(server, signal.SIGTERM)
        server.signal(signal.SIGUSR2)
        assert busy.response().body == b"released"
        busy.socket.close()
        assert server.wait() == 0
        assert "LookupError: a handler's own mistake" in server.log
        assert "_run.py" not in server.log, "a frame of ours in the traceback"
        assert "the interpreter ended in order" in server.log


# Imported by the interpreter at its start: whoever then imports the module of this name gets a signal first.
INTERRUPTER = """
    import os, sys

    class Interrupter:
        def find_spec(self, name, path=None, target=None):
            if name == os.environ["INTERRUPTED_AT"]:
                os.kill(os.getpid(), int(os.environ["INTERRUPTED_BY"]))

    sys.meta_path.insert(0, Interrupter())
    """


@named
@pytest.mark.parametrize("verb", ["serve", "check"])
@pytest.mark.parametrize("module", ["kirsch._kirsch", "kirsch._run", "hello", "imported_by_hello"])
def test_a_signal_while_the_server_starts_ends_it_without_a_word(
    tmp_path: Path, verb: str, module: str, number: signal.Signals
) -> None:
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(INTERRUPTER))
    (tmp_path / "hello.py").write_text("import imported_by_hello\n")
    variables = {"PYTHONPATH": str(tmp_path), "INTERRUPTED_AT": module, "INTERRUPTED_BY": str(int(number))}
    ended = subprocess.run(
        [*kirsch(), verb, "hello:app"],
        cwd=tmp_path,
        env={**clean_environment(), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (130 if number == signal.SIGINT else -number, b"")
