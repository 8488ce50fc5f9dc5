"""The thread pool, seen from outside: what is quick costs no hand-over, and what blocks stops nobody.

Whether requests overlap is shown by requests that wait for each other: only if they do, they end.
"""

from __future__ import annotations

import itertools
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import kirsch
import pytest
from support.client import Address, Client, Response, get, request_bytes
from support.inside import eventually, traced, view
from support.server import ServerProcess

App = Callable[..., Any]
PATIENCE_SECONDS = 10.0
# What an idle server is watched for. Its watcher ticks once a millisecond while there is something to watch.
IDLE_SECONDS = 0.5


@contextmanager
def serving(app: App, **settings: Any) -> Iterator[tuple[kirsch.Server, Address]]:
    """A server inside this process, and its address."""
    with kirsch.Server(app, bind="127.0.0.1:0", **settings) as server:
        yield server, server.addresses[0]


def text(start_response: App, body: bytes) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


class Gate:
    """An application whose path `/held` waits until the test opens the gate; every other answers at once."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.opened = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: App) -> list[bytes]:
        if environ["PATH_INFO"] == "/held":
            self.reached.release()
            assert self.opened.wait(PATIENCE_SECONDS * 3)
        return text(start_response, environ["PATH_INFO"].encode())

    def hold(self, address: Address) -> Client:
        """A client whose request is inside the application."""
        client = Client(address)
        client.send(request_bytes("/held"))
        assert self.reached.acquire(timeout=PATIENCE_SECONDS)
        return client


@contextmanager
def gate_at(**settings: Any) -> Iterator[tuple[Gate, Address]]:
    """A gate behind a server; opened at the end, so that the server can."""
    gate = Gate()
    with serving(gate, **settings) as (_, address):
        try:
            yield gate, address
        finally:
            gate.opened.set()


def all_at_once(address: Address, count: int, target: str = "/") -> list[Response]:
    """Requests on as many connections, sent before the first response is read."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(address)) for _ in range(count)]
        for client in clients:
            client.send(request_bytes(target))
        return [client.response() for client in clients]


def test_quick_requests_are_run_by_who_drives() -> None:
    """A hundredth may change hands: the watcher cannot tell a preempted thread from a blocked one."""
    with ServerProcess("work:app", threads=10) as server, ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for _ in range(8)]
        before = view(server.address)["statistics"]
        for _ in range(5_000 // len(clients)):
            for client in clients:
                client.send(request_bytes("/"))
            for client in clients:
                assert client.response().body == b"quick"
        after = view(server.address)["statistics"]
    assert after["jobs"] - before["jobs"] == 5_001
    assert after["hand_overs"] - before["hand_overs"] < 50


def test_ten_requests_on_ten_threads_meet() -> None:
    barrier = threading.Barrier(10, timeout=PATIENCE_SECONDS)

    def app(environ: dict[str, Any], start_response: App) -> list[bytes]:
        return text(start_response, b"%d" % barrier.wait())

    with serving(app, threads=10) as (_, address):
        for _ in range(20):
            bodies = [response.body for response in all_at_once(address, 10)]
            assert sorted(bodies) == [b"%d" % number for number in range(10)]


def test_ten_requests_meet_three_times_in_turn() -> None:
    barriers = [threading.Barrier(10, timeout=PATIENCE_SECONDS) for _ in range(3)]

    def app(environ: dict[str, Any], start_response: App) -> list[bytes]:
        for barrier in barriers:
            barrier.wait()
        return text(start_response, b"met")

    with serving(app, threads=10) as (_, address):
        for _ in range(20):
            assert [response.body for response in all_at_once(address, 10)] == [b"met"] * 10


def test_requests_that_wait_three_short_times_overlap() -> None:
    """None of the waits is long enough for the watcher: that such requests block has to be learned."""
    lock = threading.Lock()
    inside = most = 0

    def app(environ: dict[str, Any], start_response: App) -> list[bytes]:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        for _ in range(3):
            time.sleep(0.0002)
        with lock:
            inside -= 1
        return text(start_response, b"waited")

    def ask(address: Address) -> None:
        with Client(address) as client:
            while most < 10 and time.monotonic() < deadline:
                assert client.request("/").body == b"waited"

    deadline = time.monotonic() + PATIENCE_SECONDS
    with serving(app, threads=10) as (_, address):
        clients = [threading.Thread(target=ask, args=(address,)) for _ in range(20)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert most == 10


@pytest.mark.parametrize("threads", [2, 10])
def test_while_all_threads_but_one_are_blocked_every_other_connection_is_served(threads: int) -> None:
    with gate_at(threads=threads) as (gate, address), ExitStack() as stack:
        held = [stack.enter_context(gate.hold(address)) for _ in range(threads - 1)]
        with Client(address) as other:
            for _ in range(500):
                assert other.request("/").body == b"/"
        gate.opened.set()
        assert [client.response().body for client in held] == [b"/held"] * (threads - 1)


def test_with_the_only_thread_blocked_connections_are_accepted_and_kept() -> None:
    with kirsch.Server(gate := Gate(), bind="127.0.0.1:0", threads=1) as server:
        address = server.addresses[0]
        with gate.hold(address) as held, ExitStack() as stack:
            clients = [stack.enter_context(Client(address)) for _ in range(50)]
            eventually(lambda: server.statistics()["accepted"] == 51, "51 accepted connections")
            gate.opened.set()
            assert held.response().body == b"/held"
            assert [client.request("/").status for client in clients] == [200] * 50


def test_with_the_only_thread_blocked_an_unfinished_head_times_out() -> None:
    with gate_at(threads=1, timeout_head=0.2) as (gate, address), gate.hold(address) as held:
        with Client(address) as unfinished:
            unfinished.send(b"GET / HTTP/1.1\r\nHost: a.te")
            assert unfinished.response().status == 408
            unfinished.expect_close()
        gate.opened.set()
        assert held.response().body == b"/held"


def test_with_the_only_thread_blocked_a_full_queue_refuses() -> None:
    with kirsch.Server(gate := Gate(), bind="127.0.0.1:0", threads=1, limit_queue=1) as server:
        address = server.addresses[0]
        try:
            with gate.hold(address) as held, Client(address) as queued, Client(address) as refused:
                queued.send(request_bytes("/queued"))
                eventually(lambda: server.statistics()["queued"] == 1, "a request in the queue")
                response = refused.request("/refused")
                assert response.status == 503
                assert (response.get("Retry-After") or "").isdecimal()
                gate.opened.set()
                assert held.response().body == b"/held"
                assert queued.response().body == b"/queued"
                assert refused.request("/again").body == b"/again"
        finally:
            gate.opened.set()


def test_with_the_only_thread_blocked_a_request_does_not_wait_for_ever() -> None:
    with (
        gate_at(threads=1, timeout_queue=0.2) as (gate, address),
        gate.hold(address) as held,
        Client(address) as waiting,
    ):
        response = waiting.request("/")
        assert response.status == 503
        assert (response.get("Retry-After") or "").isdecimal()
        gate.opened.set()
        assert held.response().body == b"/held"
        assert waiting.request("/").body == b"/"


def test_a_refused_request_runs_no_application() -> None:
    with gate_at(threads=1, timeout_queue=0.2) as (gate, address), gate.hold(address) as held:
        with Client(address) as waiting:
            assert waiting.request("/held").status == 503
        gate.opened.set()
        assert held.response().body == b"/held"
        assert get(address).status == 200
        assert not gate.reached.acquire(blocking=False), "the refused request was run all the same"


def test_quick_requests_finish_while_two_compute() -> None:
    with ServerProcess("work:app", threads=4) as server, server.client() as one, server.client() as two:
        for client in (one, two):
            client.send(request_bytes("/compute"))
            assert get(server.address, "/computing").body == b"True"
        with ExitStack() as stack:
            clients = [stack.enter_context(server.client()) for _ in range(8)]
            for _ in range(12):
                for client in clients:
                    client.send(request_bytes("/"))
                assert [client.response().body for client in clients] == [b"quick"] * 8
        assert get(server.address, "/enough").status == 200
        assert one.response().body == two.response().body == b"computed"


@pytest.mark.parametrize("threads", [1, 10])
def test_an_idle_server_makes_no_system_call(tmp_path: Path, threads: int) -> None:
    """Not even one with an open connection looks at the clock or the sockets."""
    calls = tmp_path / "calls"
    with ServerProcess("work:app", threads=threads) as server, server.client() as client:
        pid = server.process.pid
        assert client.request("/").status == 200
        strace = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", str(calls), "-p", str(pid)], stderr=subprocess.PIPE
        )
        try:
            eventually(lambda: traced(pid) or strace.poll() is not None, "strace attached")
            assert strace.poll() is None, strace.stderr and strace.stderr.read()
            assert client.request("/").status == 200

            def still() -> bool:
                """A moment without a call; being attached to interrupts calls, and the watcher looks on."""
                size = calls.stat().st_size
                time.sleep(IDLE_SECONDS / 5)
                return calls.stat().st_size == size

            eventually(still, "a moment without a system call")
            before = calls.read_text()
            # Nothing is waited for: the time is what is tested.
            time.sleep(IDLE_SECONDS)
            assert calls.read_text()[len(before) :] == ""
            # It was watched, and works.
            assert client.request("/").status == 200
            eventually(lambda: calls.stat().st_size > len(before), "the calls of a request")
        finally:
            strace.send_signal(signal.SIGINT)
            strace.communicate(timeout=PATIENCE_SECONDS)


class Page:
    """An application whose pages come through an iterator, a block and its end.

    The query says what happens behind the block.
    """

    def __init__(self) -> None:
        self.opened = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: App) -> Iterable[bytes]:
        self.opened.clear()
        then = environ["QUERY_STRING"]
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        if then == "written":
            write(b"page")
            return self.rest("wait")
        if then == "kept":
            # Who keeps `write` may use it in `close()`, so the response does not end before that.
            return Closing(b"page", self.wait, write)
        return itertools.chain([b"page"], self.rest(then))

    def rest(self, then: str) -> Iterator[bytes]:
        if then == "compute":
            while not self.opened.is_set():
                pass
        elif then in ("wait", "wait-and-fail"):
            self.wait()
        if then.endswith("fail"):
            raise ValueError("as the test wants")
        # As web.py's: what ends the request is a generator that yields something.
        yield b""

    def wait(self) -> None:
        # Longer than any client: what ends the wait must not be what sends the block.
        assert self.opened.wait(PATIENCE_SECONDS * 3)


class Closing:
    """A block, and something to do in `close()`."""

    def __init__(self, block: bytes, closing: Callable[[], None], write: App) -> None:
        self.blocks = iter([block])
        self.close = closing
        self.write = write

    def __iter__(self) -> Iterator[bytes]:
        return self.blocks


WHOLE_PAGE = b"4\r\npage\r\n0\r\n\r\n"


def page_request(then: str = "") -> bytes:
    return request_bytes(f"/page?{then}")


def expect_whole_page(client: Client) -> None:
    client.until(b"\r\n\r\n")
    assert client.received(len(WHOLE_PAGE)) == WHOLE_PAGE


def teach(server: kirsch.Server, address: Address) -> None:
    """Ask for whole pages until one was sent with its end."""
    with Client(address) as client:

        def joined() -> bool:
            before = server.statistics()["joined"]
            client.send(page_request())
            expect_whole_page(client)
            return bool(server.statistics()["joined"] > before)

        eventually(joined, "a block and its end leave together")


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("then", ["wait", "compute", "written", "kept"])
def test_a_block_that_was_expected_to_be_the_last_is_at_the_client_while_the_application_goes_on(
    then: str, threads: int
) -> None:
    page = Page()
    with serving(page, threads=threads) as (server, address):
        teach(server, address)
        with Client(address) as client:
            client.send(page_request(then))
            client.until(b"\r\n\r\n4\r\npage\r\n")
            page.opened.set()
            assert client.received(5) == b"0\r\n\r\n"
            client.send(page_request())
            expect_whole_page(client)


@pytest.mark.parametrize("then", ["fail", "wait-and-fail"])
def test_a_page_that_fails_behind_its_block_has_that_and_no_end(then: str) -> None:
    page = Page()
    with serving(page, threads=1) as (server, address):
        teach(server, address)
        with Client(address) as client:
            client.send(page_request(then))
            if then == "wait-and-fail":
                client.until(b"\r\n\r\n4\r\npage\r\n")
                page.opened.set()
                assert client.rest() == b""
            else:
                client.until(b"\r\n\r\n")
                assert client.rest() == b"4\r\npage\r\n"


def test_a_crowd_has_whole_pages_each_with_its_end() -> None:
    with serving(Page(), threads=4) as (server, address), ExitStack() as stack:
        teach(server, address)
        clients = [stack.enter_context(Client(address)) for _ in range(32)]

        def together() -> bool:
            before = server.statistics()["joined"]
            for client in clients:
                client.send(page_request() * 2)
            for client in clients:
                expect_whole_page(client)
                expect_whole_page(client)
            return bool(server.statistics()["joined"] >= before + 32)

        eventually(together, "most blocks leave with their ends")
