"""Thousands of slow clients at once: a good one does not notice, and nothing of them is left behind."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.client import Client, get, request_bytes
from support.inside import settled, view
from support.server import ServerProcess

OF_EACH = 2_000
HEADS = 500
GOOD_REQUESTS = 500
MIB = 1024 * 1024
# Beside the crowd: the server's own descriptors, the good clients', this process's.
SPARE_DESCRIPTORS = 200


@contextmanager
def descriptors_for(wanted: int) -> Iterator[float]:
    """Raise this process's limit, as the server does; answer how much of the crowd it allows, at most 1."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield min(1.0, (hard - SPARE_DESCRIPTORS) / wanted)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def half_an_upload(server: ServerProcess) -> Client:
    client = server.client()
    client.send(request_bytes("/upload", "POST", body=bytes(64 * 1024))[: 32 * 1024])
    return client


def body_by_drops(server: ServerProcess) -> Client:
    client = server.client()
    client.send(request_bytes("/upload", "POST", fields=("Expect: 100-continue", "Content-Length: 100000")))
    return client


def never_reads(server: ServerProcess) -> Client:
    """It takes the head: otherwise all of them would be asking at once, which is another matter."""
    client = server.client(receive_buffer=4096)
    client.send(request_bytes("/pieces"))
    try:
        client.until(b"\r\n\r\n")
    except AssertionError:
        client.reset()
        raise
    return client


def half_a_head(server: ServerProcess) -> Client:
    client = server.client()
    client.send(request_bytes("/")[:-2])
    return client


class GoodClient:
    """Asks one request after the other until it is told that it was enough."""

    def __init__(self, server: ServerProcess) -> None:
        self.answered = 0
        self.error: BaseException | None = None
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(server,))
        self._thread.start()

    def _run(self, server: ServerProcess) -> None:
        try:
            with server.client() as client:
                while self.answered < GOOD_REQUESTS or not self._enough.is_set():
                    assert client.request("/", "POST", body=b"x" * 1000).body == b"1000"
                    self.answered += 1
        except BaseException as error:
            self.error = error

    def enough(self) -> None:
        self._enough.set()
        self._thread.join()
        assert self.error is None, f"after {self.answered} answers: {self.error!r}"
        assert self.answered >= GOOD_REQUESTS


@pytest.mark.slow
def test_a_crowd_of_slow_clients_holds_nobody_up_and_leaves_nothing(tmp_path: Path) -> None:
    kinds: list[tuple[Callable[[ServerProcess], Client], int]] = [
        (half_an_upload, OF_EACH),
        (body_by_drops, OF_EACH),
        (never_reads, OF_EACH),
        (half_a_head, HEADS),
    ]
    # Who does not read may cost the server two descriptors: the connection's and a spool file's.
    wanted = 4 * OF_EACH + HEADS
    timeouts = ("--timeout-head", "5m", "--timeout-body", "5m", "--timeout-write", "5m")
    flags = ("--spool-dir", str(tmp_path), *timeouts)
    with descriptors_for(wanted) as share, ServerProcess("crowd:app", *flags, threads=4) as server:
        if share < 1:
            print(f"the descriptor limit allows {share:.0%} of the crowd")
        warm_up(server)
        before = settled(server.address)
        good = GoodClient(server)
        crowd: list[Client] = []
        droppers: list[Client] = []
        try:
            for number in range(OF_EACH):
                for kind, count in kinds:
                    if number < count * share:
                        client = kind(server)
                        crowd.append(client)
                        if kind is body_by_drops:
                            droppers.append(client)
            for client in droppers:
                assert client.one_response().status == 100
            for _ in range(3):
                for client in droppers:
                    client.send(b"x")
            here = view(server.address)
            assert here["statistics"]["connections"] >= len(crowd), "all of them are there at once"
            good.enough()
            print(f"{len(crowd)} clients; {here['statistics']}; {good.answered} good answers")
        finally:
            good._enough.set()
            for client in crowd:
                client.reset()
        assert settled(server.address) == before


def warm_up(server: ServerProcess) -> None:
    """What is made once and kept: templates, threads' stacks, caches."""
    for path in ("/", "/pieces"):
        for _ in range(20):
            assert get(server.address, path).status == 200
