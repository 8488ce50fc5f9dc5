"""Hostile clients, thousands of them in one process, each playing a short script again and again.

    python support/attack.py heads 127.0.0.1:8000 [--clients N]

It says `ready` once all of them have connected and begun, goes on until its standard input ends, and then
prints as JSON what it did. A script is a generator: it yields what it wants to do next, and a client whose
script has ended, or whom the server has closed, begins anew. It knows nothing of what is right: the good
client beside it does.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import heapq
import itertools
import json
import os
import random
import resource
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

#: A client that could not connect, or was closed at once, waits so long before it comes back.
PAUSE_SECONDS = 0.05
READY_SECONDS = 60.0
TCP_REPAIR = 19
HOST = b"Host: a.test\r\n"


@dataclass(frozen=True)
class Send:
    """All of these bytes, as the socket takes them."""

    data: bytes


@dataclass(frozen=True)
class Pause:
    seconds: float


@dataclass(frozen=True)
class Receive:
    """Up to so many bytes, which are the value of the `yield`; none at the end of the stream."""

    most: int


@dataclass(frozen=True)
class Reset:
    """Leave at once and rudely."""


@dataclass(frozen=True)
class Vanish:
    """Leave without a word to the server, as a machine does that lost its power."""


Want = Send | Pause | Receive | Reset | Vanish
Script = Generator[Want, bytes, None]


# The scripts


def heads(rng: random.Random) -> Script:
    """Slowloris: a head that never ends, a field now and then."""
    yield Send(b"GET / HTTP/1.1\r\n" + HOST)
    while True:
        yield Pause(rng.uniform(0.5, 3))
        yield Send(b"X-%d: y\r\n" % rng.randrange(1000))


def drops(rng: random.Random) -> Script:
    """A head, a byte at a time."""
    for byte in itertools.chain(b"GET / HTTP/1.1\r\n" + HOST, itertools.repeat(ord("x"))):
        yield Send(bytes([byte]))
        yield Pause(rng.uniform(0.2, 1))


def bodies(rng: random.Random) -> Script:
    """A body, a byte at a time."""
    yield Send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n")
    while True:
        yield Send(b"x")
        yield Pause(rng.uniform(0.5, 3))


def trickled_chunks(rng: random.Random) -> Script:
    """A chunked body, each byte a chunk of its own, each chunk in two parts."""
    yield Send(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        yield Send(b"1\r")
        yield Pause(rng.uniform(0.5, 2))
        yield Send(b"\nx\r\n")


def one_byte_chunks(rng: random.Random) -> Script:
    """Many chunks of one byte, as fast as the server takes them."""
    yield Send(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        yield Send(b"1\r\nx\r\n" * 5000)
    yield Send(b"0\r\n\r\n")
    yield Receive(4096)
    yield Pause(rng.uniform(0, 0.2))


def extensions(rng: random.Random) -> Script:
    """Chunks with extensions: as large as they may be, then far larger."""
    yield Send(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        yield Send(b"1;" + b"a" * rng.choice((10, 200, 1000)) + b"=b\r\nx\r\n")
    for _ in range(64):
        yield Send(b"1;" + b"a" * 16_000)
    yield Receive(4096)
    yield Pause(rng.uniform(0, 0.2))


def tiny_windows(rng: random.Random) -> Script:
    """A long response, of which next to nothing is read."""
    yield Send(b"GET /pieces HTTP/1.1\r\n" + HOST + b"\r\n")
    while (yield Receive(rng.randrange(1, 100))):
        yield Pause(rng.uniform(0.5, 2))


def silence(rng: random.Random) -> Script:
    """Nothing at all."""
    while (yield Receive(4096)):
        pass


def half_closed(rng: random.Random) -> Script:
    """A request, and the end of this side: the answer is not read before a while."""
    yield Send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
    yield Pause(rng.uniform(0.1, 1))
    yield Receive(4096)


def vanished(rng: random.Random) -> Script:
    """Half a request from a machine that is switched off."""
    yield Send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\nhalf"[: rng.randrange(1, 60)])
    yield Pause(rng.uniform(0.05, 0.5))
    yield Vanish()


def pipelines(rng: random.Random) -> Script:
    """Thousands of requests at once, the answers not read before all are sent, or never."""
    requests = [b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"] * 500
    for _ in range(10):
        yield Send(b"".join(requests))
    if rng.random() < 0.5:
        yield Reset()
    left = 5000
    while left > 0:
        data = yield Receive(65536)
        if not data:
            return
        left -= data.count(b"HTTP/1.1 ")


def resets(rng: random.Random) -> Script:
    """A reset, at every stage of a request."""
    message = b"POST /pieces HTTP/1.1\r\n" + HOST + b"Content-Length: 20000\r\n\r\n" + bytes(20_000)
    stage = rng.randrange(5)
    if stage == 1:
        yield Send(message[: rng.randrange(1, 80)])
    elif stage == 2:
        yield Send(message[: rng.randrange(80, len(message))])
    elif stage == 3:
        yield Send(message * rng.randrange(1, 3))
    elif stage == 4:
        yield Send(message)
        yield Receive(rng.randrange(1, 65536))
    yield Reset()


def connects(rng: random.Random) -> Script:
    """Nothing but to come and to go."""
    if rng.random() < 0.3:
        yield Send(b"G")
    if rng.random() < 0.2:
        yield Reset()


@dataclass(frozen=True)
class Attack:
    """A crowd.

    Attributes:
        clients: How many at once.
        held: Whether they stay, rather than come and go.
        receive_buffer: The size of their kernels' receive buffers.
        pause_seconds: What a client waits, at most, between its end and its return.
    """

    script: Callable[[random.Random], Script]
    clients: int
    held: bool = False
    receive_buffer: int | None = None
    pause_seconds: float = PAUSE_SECONDS


ATTACKS = {
    attack.script.__name__: attack
    for attack in (
        Attack(heads, 2000, held=True),
        Attack(drops, 500, held=True),
        Attack(bodies, 2000, held=True),
        Attack(trickled_chunks, 1000, held=True),
        Attack(one_byte_chunks, 8),
        Attack(extensions, 20),
        Attack(tiny_windows, 500, held=True, receive_buffer=1),
        Attack(silence, 3000, held=True),
        Attack(half_closed, 500),
        Attack(vanished, 50),
        Attack(pipelines, 8),
        Attack(resets, 50),
        Attack(connects, 50),
    )
}


# The process that plays them


@dataclass
class Counts:
    """What was done."""

    connected: int = 0
    #: Scripts that came to their end.
    played: int = 0
    #: Connections that the server ended, or refused.
    ended: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    vanished: int = 0


class Client:
    """One of the crowd: a connection and its script."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.socket: socket.socket | None = None
        self.script: Script | None = None
        self.unsent = memoryview(b"")
        self.most = 0
        self.begun = False
        #: The timer that is to wake it; earlier ones are stale.
        self.alarm = -1

    def connect(self) -> None:
        """Begin anew."""
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        buffer = self.crowd.attack.receive_buffer
        if buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket, self.script = made, self.crowd.attack.script(self.crowd.rng)
        code = made.connect_ex(self.crowd.address)
        if code not in (0, errno.EINPROGRESS):
            return self.end(played=False)
        self.unsent, self.most = memoryview(b""), 0
        self.crowd.watch(self, select.EPOLLOUT)

    def woken(self, events: int) -> None:
        """The socket is ready, or broken."""
        assert self.socket is not None
        if events & (select.EPOLLERR | select.EPOLLHUP) and not events & select.EPOLLIN:
            return self.end(played=False)
        try:
            if self.most:
                data = self.socket.recv(self.most)
                self.crowd.counts.received_bytes += len(data)
                self.most = 0
                if not data:
                    return self.end(played=False)
                return self.go_on(data)
            if self.unsent:
                return self.send()
        except BlockingIOError:
            return None
        except OSError:
            return self.end(played=False)
        # It is connected.
        self.crowd.counts.connected += 1
        return self.go_on(None)

    def go_on(self, given: bytes | None) -> None:
        """Ask the script what comes next."""
        assert self.script is not None
        assert self.socket is not None
        try:
            want = self.script.send(given)  # type: ignore[arg-type]
        except StopIteration:
            return self.end(played=True)
        if isinstance(want, Send):
            self.unsent = memoryview(want.data)
            try:
                return self.send()
            except OSError:
                return self.end(played=False)
        if isinstance(want, Receive):
            self.settled()
            self.most = want.most
            return self.crowd.watch(self, select.EPOLLIN)
        if isinstance(want, Pause):
            self.settled()
            self.crowd.watch(self, 0)
            return self.crowd.after(want.seconds, self)
        if isinstance(want, Vanish):
            self.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            self.crowd.counts.vanished += 1
        else:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return self.end(played=True)

    def send(self) -> None:
        assert self.socket is not None
        while self.unsent:
            try:
                count = self.socket.send(self.unsent)
            except BlockingIOError:
                self.settled()
                return self.crowd.watch(self, select.EPOLLOUT)
            self.crowd.counts.sent_bytes += count
            self.unsent = self.unsent[count:]
        return self.go_on(None)

    def settled(self) -> None:
        """It has done what it came for, and only goes on with it."""
        if not self.begun:
            self.begun = True
            self.crowd.waiting -= 1

    def end(self, *, played: bool) -> None:
        """Close, and come back after a while."""
        assert self.socket is not None
        self.settled()
        self.crowd.forget(self)
        self.socket.close()
        self.socket = None
        if played:
            self.crowd.counts.played += 1
        else:
            self.crowd.counts.ended += 1
        self.crowd.after(self.crowd.rng.uniform(0, self.crowd.attack.pause_seconds), self)


class Crowd:
    """All clients of an attack, and what wakes them."""

    def __init__(self, attack: Attack, address: tuple[str, int], clients: int) -> None:
        self.attack, self.address = attack, address
        self.rng = random.Random(1)
        self.counts = Counts()
        self.waiting = clients
        self.clients = [Client(self) for _ in range(clients)]
        self._epoll = select.epoll()
        self._watched: dict[int, Client] = {}
        self._timers: list[tuple[float, int, Client]] = []
        self._number = itertools.count()

    def watch(self, client: Client, events: int) -> None:
        """Wake it when its socket is ready."""
        assert client.socket is not None
        number = client.socket.fileno()
        if number in self._watched:
            self._epoll.modify(number, events)
        else:
            self._watched[number] = client
            self._epoll.register(number, events)

    def forget(self, client: Client) -> None:
        """Its socket is about to be closed."""
        assert client.socket is not None
        if self._watched.pop(client.socket.fileno(), None):
            self._epoll.unregister(client.socket)

    def after(self, seconds: float, client: Client) -> None:
        """Wake it then, and not before."""
        client.alarm = next(self._number)
        heapq.heappush(self._timers, (time.monotonic() + seconds, client.alarm, client))

    def play(self) -> None:
        """Go on until standard input ends, as it does where whoever started this has."""
        self._epoll.register(sys.stdin.fileno(), select.EPOLLIN)
        told = False
        newcomers = iter(self.clients)
        while True:
            # A few at a time, so that those who are there go on meanwhile.
            for client in itertools.islice(newcomers, 100):
                client.connect()
            if not told and self.waiting == 0:
                told = True
                print("ready", flush=True)
            for number, events in self._epoll.poll(self._patience()):
                if number == sys.stdin.fileno():
                    return
                if (found := self._watched.get(number)) is not None:
                    found.woken(events)
            self._wake_late()

    def _patience(self) -> float:
        if self.waiting:
            return 0.001
        first = self._timers[0][0] if self._timers else time.monotonic() + 1
        return max(0.0, min(1.0, first - time.monotonic()))

    def _wake_late(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, number, client = heapq.heappop(self._timers)
            if client.alarm != number:
                continue
            if client.socket is None:
                client.connect()
            else:
                client.go_on(None)


# For the tests


class Attacker:
    """An attack that is under way in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.counts = Counts()


@contextmanager
def attacking(name: str, address: tuple[str, int], clients: int | None = None) -> Iterator[Attacker]:
    """Attack a server meanwhile; what was done is in `counts` behind the block."""
    number = str(clients or ATTACKS[name].clients)
    words = [sys.executable, str(Path(__file__)), name, "{}:{}".format(*address), "--clients", number]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    attacker = Attacker(process)
    try:
        ready = select.select([process.stdout], [], [], READY_SECONDS)[0]
        assert ready, f"the attack {name} is not ready after {READY_SECONDS} s"
        assert process.stdout.readline() == "ready\n"
        yield attacker
        process.stdin.close()
        attacker.counts = Counts(**json.loads(process.stdout.read()))
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()


def main() -> None:
    """Attack as the command line says."""
    parser = argparse.ArgumentParser(description="Hostile clients, thousands of them.")
    parser.add_argument("attack", choices=sorted(ATTACKS))
    parser.add_argument("address", help="host:port")
    parser.add_argument("--clients", type=int)
    options = parser.parse_args()
    attack = ATTACKS[options.attack]
    host, _, port = options.address.rpartition(":")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # The good client and the server go first.
    os.nice(5)
    crowd = Crowd(attack, (host, int(port)), options.clients or attack.clients)
    crowd.play()
    print(json.dumps(asdict(crowd.counts)), flush=True)


if __name__ == "__main__":
    main()
