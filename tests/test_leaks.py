"""Nothing grows with the number of requests: objects, references, descriptors, threads, memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import leaks
import pytest
from support.client import BrokenResponse, get, request_bytes
from support.inside import eventually, view
from support.server import ServerProcess

REQUESTS = 20_000
# Of each kind at a time, on one connection.
ROW = 50
# What a process may gain between two blocks without a leak: the allocator's pages. A leak of one small
# object, 56 bytes, in every request of a block would be 370 KiB.
RESIDENT_BYTES = 256 * 1024
KINDS = sorted(leaks.answers)
# Their responses end the connection.
BROKEN_OFF = ("/late_error",)
# Clients that leave before their response, and in it.
LEAVING = ("/plain", "/large", "/generator", "/body")
# Over keep-alive connections and pipelined, so that a million take a minute: `make soak-references`.
MANY_REQUESTS = int(os.environ.get("KIRSCH_SOAK_REQUESTS", "50000"))
# What the interpreter itself does in between: references to None come and go by fifty, however many requests.
UNSTEADY = 200
# Those whose responses keep the connection and are not large, and that write no log.
BRIEF = ("/plain", "/generator", "/unread", "/write", "/body", "/second_start", "/file", "/field")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    small = tmp_path / "small"
    small.write_bytes(b"x" * 5000)
    # The log has a line for each error; read by nobody, it is not kept.
    options: dict[str, Any] = {"environment": {"SMALL_FILE": str(small), "MALLOC_ARENA_MAX": "1"}}
    with ServerProcess("leaks:app", threads=2, **options) as server:
        yield server


def ask(server: ServerProcess, kind: str, count: int, number: int) -> None:
    """Requests of one kind, one after the other."""
    if kind in BROKEN_OFF:
        for _ in range(count):
            with contextlib.suppress(BrokenResponse):
                get(server.address, kind)
        return
    with server.client() as client:
        for idx in range(count):
            unique = f"X-Unique: {number}-{idx}"
            client.send(request_bytes(kind, "POST", body=b"line\n" * 500, fields=(unique,)))
            client.response("POST")


def pipeline(server: ServerProcess, requests: int) -> None:
    """Requests of the brief kinds, a hundred on their way at a time."""
    with server.client() as client:
        done = 0
        while done < requests:
            for kind in BRIEF:
                message = request_bytes(kind, "POST", body=b"line\n" * 20, fields=("X-Unique: 7",))
                client.send(message)
                expected = len(client.response("POST").raw)
                client.send(message * 99)
                responses = client.received(99 * expected)
                assert responses.count(b"HTTP/1.1 ") == 99, responses[:500]
                done += 100
            # What was watched is forgotten, so that the application itself keeps nothing.
            client.expect_open("/alive")


def leave(server: ServerProcess, kind: str, count: int) -> None:
    for idx in range(count):
        message = request_bytes(kind, "POST", body=b"x" * 1000)
        with server.client() as client:
            client.send(message[: -500 if idx % 2 else None])
            client.reset()


def block(server: ServerProcess, requests: int, number: int) -> int:
    """Requests of every kind; answers how many."""
    done = 0
    while done < requests:
        for kind in KINDS:
            ask(server, kind, ROW, number + done)
            done += ROW
        for kind in LEAVING:
            leave(server, kind, ROW // 10)
    return done


def settled(server: ServerProcess) -> dict[str, Any]:
    """What is inside once those who left are forgotten."""
    eventually(lambda: view(server.address)["statistics"]["connections"] == 1, "nobody else connected")
    get(server.address, "/alive")
    return view(server.address, collect=True)


@pytest.mark.slow
def test_nothing_grows_with_the_number_of_requests(server: ServerProcess) -> None:
    done = block(server, REQUESTS // 3, 0)
    settled(server)
    done += block(server, REQUESTS // 3, done)
    second = settled(server)
    done += block(server, REQUESTS // 3, done)
    third = settled(server)
    assert done >= REQUESTS - 3
    kinds = [
        sorted(what.partition(":")[0] for what in seen["descriptors"].values()) for seen in (second, third)
    ]
    assert kinds[0] == kinds[1]
    for name in ("threads", "python_threads"):
        assert third[name] == second[name]
    for name in ("buffer_bytes", "spool_bytes", "queued", "panics"):
        assert third["statistics"][name] == second["statistics"][name] == 0
    # The caches of the interpreter and of the standard library take and give back some, whatever the number
    # of requests. The rarest kind of request comes sixty times in a block, the others six hundred times.
    some = 50
    assert abs(third["objects"] - second["objects"]) < some, (second["objects"], third["objects"])
    for name, count in third["references"].items():
        assert abs(count - second["references"][name]) < some, f"references to {name}"
    grown = third["resident_bytes"] - second["resident_bytes"]
    print(f"{done} requests; the third block grew by {grown} bytes of {third['resident_bytes']}")
    assert grown < RESIDENT_BYTES


@pytest.mark.slow
def test_references_are_flat_over_many_requests(server: ServerProcess) -> None:
    pipeline(server, MANY_REQUESTS // 10)
    first = settled(server)
    pipeline(server, MANY_REQUESTS)
    last = settled(server)
    grown = last["resident_bytes"] - first["resident_bytes"]
    objects = last["objects"] - first["objects"]
    moved = {name: count - first["references"][name] for name, count in last["references"].items()}
    print(f"{MANY_REQUESTS} requests: {grown} bytes, {objects} objects, references {moved}")
    # One request in 250 that keeps an object, or a reference, would show; one in 5,000 of a million.
    assert abs(objects) < UNSTEADY
    assert all(abs(count) < UNSTEADY for count in moved.values()), moved
    assert grown < RESIDENT_BYTES


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_environ_is_freed_with_the_request_without_the_collector(
    server: ServerProcess, kind: str
) -> None:
    get(server.address, "/collector?off")
    ask(server, kind, 20, 0)
    # The thread that answered last may still be on its way out of the application.
    counts = []
    for _ in range(2):
        eventually(lambda: "running" not in others(server), "every other thread has come back")
        counts.append(int(get(server.address, "/alive").body))
    assert counts == [0, 0]


@pytest.mark.parametrize("kind", LEAVING)
def test_what_stands_in_environ_is_freed_when_the_client_leaves(server: ServerProcess, kind: str) -> None:
    get(server.address, "/collector?off")
    leave(server, kind, 20)
    eventually(lambda: view(server.address)["statistics"]["connections"] == 1, "all have left")
    eventually(lambda: "running" not in others(server), "every other thread has come back")
    assert get(server.address, "/alive").body == b"0"


def others(server: ServerProcess) -> list[str]:
    """What the threads are doing that do not answer this."""
    threads = view(server.address)["statistics"]["threads"]
    threads.remove("running")
    return threads
