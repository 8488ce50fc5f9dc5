"""Clients that mean harm, by the thousand: a good one among them is served, and nothing is left of them.

Each attack is one of `support/attack.py`, played by a process of its own, or a mode of slowhttptest.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.attack import ATTACKS, attacking
from support.client import Client, get
from support.inside import eventually, settled, view
from support.server import ServerProcess

# Of the good client: on one connection, and each on one of its own.
KEPT = 200
FRESH = 50
# Of those who vanish, with the good ones: more than there are of them.
COMINGS = 400
# Few enough that the crowd fills them all.
FEW_CONNECTIONS = 200


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with ServerProcess("crowd:app", threads=4) as server:
        warm_up(server)
        yield server


def warm_up(server: ServerProcess) -> None:
    """What is made once and kept: templates, threads' stacks, caches."""
    for path in ("/", "/pieces"):
        for _ in range(20):
            assert get(server.address, path).status == 200


def good_requests(server: ServerProcess) -> None:
    """Every one of them has its answer, whatever the others do."""
    with server.client() as client:
        for number in range(KEPT):
            body = hashlib.sha256(b"%d" % number).digest() * (1 + number % 100)
            assert client.request("/", "POST", body=body).body == b"%d" % len(body)
    fresh_requests(server)
    assert len(get(server.address, "/pieces").body) == 1024 * 1024


def fresh_requests(server: ServerProcess) -> None:
    for number in range(FRESH):
        body = bytes(number)
        assert get(server.address, "/", method="POST", body=body).body == b"%d" % number


# Those whose attack is not to be distinguished from a machine that is gone need a timeout to be forgotten.
QUIET = [name for name in sorted(ATTACKS) if name != "vanished"]


@pytest.mark.slow
@pytest.mark.parametrize("name", QUIET)
def test_a_good_client_is_served_among_hostile_ones(server: ServerProcess, name: str) -> None:
    before = settled(server.address)
    with attacking(name, server.address) as attacker:
        good_requests(server)
        here = view(server.address)["statistics"]
        if ATTACKS[name].held:
            assert here["connections"] >= ATTACKS[name].clients, "all of them are there at once"
    assert attacker.counts.connected >= ATTACKS[name].clients
    print(attacker.counts, here)
    assert settled(server.address) == before


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may close a socket without a word to its peer")
def test_machines_that_vanish_are_forgotten() -> None:
    timeouts = ("--timeout-head", "1s", "--timeout-body", "1s", "--timeout-keepalive", "1s")
    with ServerProcess("crowd:app", *timeouts, threads=4) as server:
        warm_up(server)
        before = settled(server.address)
        with attacking("vanished", server.address) as attacker:
            good_requests(server)
            # They come back once they have gone.
            eventually(lambda: view(server.address)["statistics"]["accepted"] > COMINGS, "the crowd")
        counts = attacker.counts
        assert counts.vanished > FRESH
        assert settled(server.address) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["silence", "heads", "connects"])
def test_a_flood_up_to_the_limit_of_connections_keeps_nobody_out(name: str) -> None:
    """Who comes has a place at once: the one who has done least with his for longest loses it."""
    limit = ("--limit-connections", str(FEW_CONNECTIONS))
    with ServerProcess("crowd:app", *limit, threads=4) as server:
        warm_up(server)
        before = settled(server.address)
        with attacking(name, server.address, FEW_CONNECTIONS * 5):
            fresh_requests(server)
            here = view(server.address)["statistics"]
            assert here["connections"] <= FEW_CONNECTIONS
        if ATTACKS[name].held:
            assert here["evicted"] >= FEW_CONNECTIONS
        assert settled(server.address) == before


def test_thousands_of_pipelined_requests_are_answered_in_order(server: ServerProcess) -> None:
    count = 5_000
    bodies = [b"x" * (number % 50) for number in range(count)]
    message = b"".join(
        b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        for body in bodies
    )
    with server.client() as client:
        # What the server does not take before its answers are read is sent while they are.
        unsent = memoryview(message)
        for number in range(count):
            unsent = unsent[taken(client, unsent) :]
            assert client.response("POST").body == b"%d" % (number % 50)
        assert not unsent


def taken(client: Client, data: memoryview) -> int:
    """Bytes that the socket takes without waiting."""
    client.socket.setblocking(False)
    try:
        return client.socket.send(data) if data else 0
    except BlockingIOError:
        return 0


# slowhttptest


SLOW_MODES = {
    "slow heads": ["-H", "-i", "1", "-x", "24"],
    "slow bodies": ["-B", "-i", "1", "-s", "8192", "-x", "10", "-t", "POST"],
    "ranges": ["-R", "-a", "10", "-b", "3000"],
    "slow reads": ["-X", "-w", "1", "-y", "512", "-n", "1", "-z", "32", "-k", "3"],
}
SLOW_CLIENTS = 500
SLOW_SECONDS = 1
TOOL_SECONDS = 60


@pytest.mark.slow
@pytest.mark.parametrize("mode", sorted(SLOW_MODES))
def test_slowhttptest_finds_the_service_available(server: ServerProcess, tmp_path: Path, mode: str) -> None:
    before = settled(server.address)
    path = "/pieces" if mode == "slow reads" else "/"
    words = ["slowhttptest", *SLOW_MODES[mode], "-c", str(SLOW_CLIENTS), "-r", str(SLOW_CLIENTS)]
    words += ["-l", str(SLOW_SECONDS), "-p", "3", "-u", server.url + path]
    tool = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        eventually(lambda: view(server.address)["statistics"]["accepted"] > SLOW_CLIENTS, "the crowd")
        good_requests(server)
        said = tool.communicate(timeout=TOOL_SECONDS)[0]
    finally:
        tool.kill()
        tool.wait()
    assert tool.returncode == 0, said
    assert "service available" in said
    assert "service available:   \x1b[1;31mNO" not in said
    assert settled(server.address) == before
