"""Mixed load with faults: no byte wrong, no answer crossed or lost, and nothing grows.

    make soak MINUTES=10
    make soak MINUTES=60 LOG=soak/LOG.md    # written down, relative to the folder `tests`

Visitors, each a thread, hold one conversation after the other with a server, plain or over TLS: uploads and
downloads of every kind, slow ones among them, pipelines, clients that leave, applications that fail,
handshakes whole, resumed, with certificates of clients and broken off. Every request has a nonce, which its
answer carries; the bytes of the answer follow from it. Hostile crowds (`support/attack.py`) play beside them,
the process is stopped now and then, its log is rotated, its certificate replaced. In the end the access log
must have exactly one line for each request that was answered.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import random
import re
import signal
import ssl
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

import kirsch
import soaked
from support.attack import attacking
from support.certificates import Authority, Pair
from support.client import BrokenResponse, Client, Response, Secure, chunked, client_hello, request_bytes
from support.inside import baseline, settled, view
from support.server import ServerProcess

VISITORS = 12
# More than there are visitors: where slow readers hold every thread, the slowest answer is given up.
THREADS = 16
SAMPLES = 40
MIB = 1024 * 1024
# Whoever waits behind large answers on a loaded machine is not lost yet.
PATIENCE_SECONDS = 60.0
# What the resident memory may be larger, by its medians, in the last third than in the middle one: the
# allocator's pages, and what happens to be on its way.
GROWTH_BYTES = 12 * MIB
# Small, so that files, waiting and timeouts all happen.
FLAGS = (
    *("--limit-body-memory", "64KiB", "--limit-response-memory", "64KiB", "--limit-response-buffer", "1MiB"),
    *("--timeout-head", "5s", "--timeout-write", "10s"),
)
# Beside the visitors: the crowd and how large it is.
CROWDS = {"heads": 100, "bodies": 50, "tiny_windows": 20, "resets": 3, "connects": 3, "extensions": 1}
STOPPED_SECONDS = 0.2
# Among those who come and go at the port of TLS.
TLS_CROWDS = {"connects": 2}
# A new certificate comes with every so manieth disturbance.
RENEWAL_EVERY = 4
# More say nothing more.
MOST_FAILURES = 100


@dataclass
class Tally:
    """What came of it, for all visitors together."""

    conversations: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    bytes_compared: int = 0
    resumed: int = 0
    failures: list[str] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Sample:
    """A look at the server's process."""

    seconds: float
    answers: int
    resident_bytes: int
    descriptors: int
    threads: int
    connections: int
    buffer_bytes: int
    spool_bytes: int


@dataclass
class Report:
    """A run."""

    tally: Tally
    samples: list[Sample]
    before: dict[str, Any]
    after: dict[str, Any]
    statistics: dict[str, Any]
    logged: Counter[str]
    log: str

    def complaints(self) -> list[str]:
        """What must not be."""
        found = list(self.tally.failures)
        if self.before != self.after:
            found.append(f"the server was {self.before} and is {self.after}")
        twice = [nonce for nonce, count in self.logged.items() if count > 1]
        lost = self.tally.answered - set(self.logged)
        if twice or lost:
            found.append(f"the access log has {len(twice)} requests twice, and lacks {len(lost)}")
        middle, last = self.medians()
        if last > middle + GROWTH_BYTES:
            found.append(f"memory grew from {middle} to {last} bytes")
        unplanned = [line for line in re.findall(r"^  \w*Error.*", self.log, re.M) if "planned: " not in line]
        return [*found, *(f"the application met {line.strip()}" for line in unplanned)]

    def medians(self) -> tuple[float, float]:
        """The resident memory in the middle third of the time, and in the last."""
        third = max(1, len(self.samples) // 3)
        resident = [sample.resident_bytes for sample in self.samples]
        return median(resident[third : 2 * third] or resident), median(resident[2 * third :] or resident)


class Doors:
    """The ways in over TLS: either version, with a certificate and without.

    Args:
        server: Who has just started with `flags`.
        authority: Who signs everything.
    """

    def __init__(self, server: ServerProcess, authority: Authority) -> None:
        found = server.wait_for_log(r"https://127\.0\.0\.1:(\d+)")
        self.address = ("127.0.0.1", int(found[1]))
        own = authority.client("alice")
        self.contexts = []
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for shown in (None, own):
                context = authority.context(minimum_version=version, maximum_version=version)
                if shown:
                    context.load_cert_chain(shown.certificate, shown.key)
                self.contexts.append(context)

    @staticmethod
    def flags(authority: Authority, pair: Pair) -> tuple[str, ...]:
        """What has a server open them."""
        trust = ("--tls-client-certs", "optional", "--tls-client-ca", str(authority.certificate))
        return (*pair.flags, *trust, "--bind", "https://127.0.0.1:0")

    def any(self, rng: random.Random) -> Secure:
        """One of them."""
        return Secure(*self.address, rng.choice(self.contexts))


class Visitor:
    """A client that holds one conversation after the other."""

    def __init__(self, server: ServerProcess, doors: Doors, tally: Tally, seed: int) -> None:
        self.server, self.doors, self.tally = server, doors, tally
        self.rng = random.Random(seed)
        self.number = 0
        self.seed = seed

    def visit(self, until: float) -> None:
        """Go on until then."""
        names, weights = zip(*((name, weight) for name, (_, weight) in CONVERSATIONS.items()), strict=True)
        while time.monotonic() < until and len(self.tally.failures) < MOST_FAILURES:
            name = self.rng.choices(names, weights)[0]
            try:
                CONVERSATIONS[name][0](self)
            except Exception as error:
                with self.tally.lock:
                    self.tally.failures.append(f"{name}: {type(error).__name__}: {error}"[:1000])
            with self.tally.lock:
                self.tally.conversations[name] += 1

    def client(self, **options: Any) -> Client:
        """A new connection, over TLS half of the time."""
        if self.rng.random() < 0.5:
            return Client(self.doors.any(self.rng), deadline_seconds=PATIENCE_SECONDS, **options)
        return self.server.client(deadline_seconds=PATIENCE_SECONDS, **options)

    def target(self, kind: str, count: int | None = None) -> tuple[str, str, int]:
        """A target with a new nonce; the nonce, and how many bytes of payload it asks for."""
        self.number += 1
        nonce = f"{self.seed:x}-{self.number:x}-{self.rng.getrandbits(64):016x}"
        if count is None:
            count = self.rng.choice((0, 1, 100, 4000, 17_000, 70_000))
        return f"/{kind}?nonce={nonce}&count={count}", nonce, count

    def body(self, most: int) -> bytes:
        return self.rng.randbytes(self.rng.randrange(most))

    def compare(
        self, response: Response, nonce: str, count: int, method: str, body: bytes, kind: str
    ) -> None:
        """The answer must be this request's, to the last byte."""
        assert response.get("X-Request-ID") == nonce, (kind, nonce, response.fields)
        if kind == "raises":
            assert response.status == 500, response
        else:
            assert response.get("X-Nonce") == nonce, (kind, nonce, response.fields)
            assert response.status == (int(kind) if kind.isdecimal() else 200), response
        if kind == "file":
            wanted = soaked.payload("file", soaked.FILE_BYTES)
        elif kind == "impatient":
            wanted = soaked.first_line(nonce, method, body[:10]) + soaked.payload(nonce, count)
        else:
            wanted = soaked.first_line(nonce, method, body) + soaked.payload(nonce, count)
        if method == "HEAD" or kind.isdecimal():
            wanted = b""
        if kind != "raises":
            assert response.body == wanted, (kind, nonce, len(response.body), len(wanted))
        self.count(response, nonce)

    def count(self, response: Response, nonce: str) -> None:
        """An answer that is right."""
        with self.tally.lock:
            self.tally.answers += 1
            self.tally.bytes_compared += len(response.body)
            self.tally.answered.add(nonce)

    def ask(
        self,
        client: Client,
        kind: str,
        method: str = "GET",
        body: bytes = b"",
        count: int | None = None,
        *fields: str,
    ) -> None:
        """One request and its answer."""
        target, nonce, count = self.target(kind, count)
        sent = body if method == "POST" else None
        client.send(request_bytes(target, method, body=sent, fields=(f"X-Request-ID: {nonce}", *fields)))
        self.compare(client.response(method), nonce, count, method, body, kind)


KINDS = ("list", "generator", "write", "announced", "filelike", "file", "lines")
ANY = (*KINDS, "204", "304", "raises")


def kept(visitor: Visitor) -> None:
    with visitor.client() as client:
        for _ in range(visitor.rng.randrange(1, 30)):
            kind = visitor.rng.choice(ANY)
            method = visitor.rng.choice(("GET", "GET", "POST", "HEAD"))
            body = visitor.body(5000) if method == "POST" else b""
            visitor.ask(client, kind, method, body)


def fresh(visitor: Visitor) -> None:
    with visitor.client() as client:
        visitor.ask(client, visitor.rng.choice(ANY), "GET", b"", None, "Connection: close")
        client.expect_close()


def old(visitor: Visitor) -> None:
    """HTTP/1.0, where a body without a length ends with the connection."""
    target, nonce, count = visitor.target(kind := visitor.rng.choice(KINDS))
    with visitor.client() as client:
        client.send(f"GET {target} HTTP/1.0\r\nX-Request-ID: {nonce}\r\n\r\n".encode())
        visitor.compare(client.response(), nonce, count, "GET", b"", kind)
        client.expect_close()


def old_and_kept(visitor: Visitor) -> None:
    with visitor.client() as client:
        for _ in range(5):
            target, nonce, count = visitor.target("list")
            head = f"GET {target} HTTP/1.0\r\nConnection: keep-alive\r\nX-Request-ID: {nonce}\r\n\r\n"
            client.send(head.encode())
            visitor.compare(client.response(), nonce, count, "GET", b"", "list")


def post(visitor: Visitor) -> None:
    with visitor.client() as client:
        for _ in range(5):
            visitor.ask(client, visitor.rng.choice(KINDS), "POST", visitor.body(64 * 1024))


def post_in_chunks(visitor: Visitor) -> None:
    with visitor.client() as client:
        for _ in range(3):
            body = visitor.body(200_000)
            blocks, left = [], body
            while left:
                count = visitor.rng.choice((1, 10, 1000, 20_000))
                blocks.append(left[:count])
                left = left[count:]
            target, nonce, count = visitor.target(kind := visitor.rng.choice(KINDS))
            fields = ("Transfer-Encoding: chunked", f"X-Request-ID: {nonce}")
            client.send(request_bytes(target, "POST", fields=fields) + chunked(*blocks))
            visitor.compare(client.response("POST"), nonce, count, "POST", body, kind)


def upload(visitor: Visitor) -> None:
    with visitor.client() as client:
        visitor.ask(client, "list", "POST", visitor.body(4 * MIB))
        visitor.ask(client, "list")


def expect(visitor: Visitor) -> None:
    body = b"x" + visitor.body(50_000)
    target, nonce, count = visitor.target("list")
    fields = ("Expect: 100-continue", f"Content-Length: {len(body)}", f"X-Request-ID: {nonce}")
    with visitor.client() as client:
        client.send(request_bytes(target, "POST", fields=fields))
        assert client.one_response().status == 100
        client.send(body)
        visitor.compare(client.response("POST"), nonce, count, "POST", body, "list")


def slow_upload(visitor: Visitor) -> None:
    body = visitor.body(30_000)
    target, nonce, count = visitor.target("list")
    message = request_bytes(target, "POST", body=body, fields=(f"X-Request-ID: {nonce}",))
    with visitor.client() as client:
        while message:
            part = visitor.rng.randrange(1, 4000)
            client.send(message[:part])
            message = message[part:]
            # A slow client is what is wanted, not somebody who waits for something.
            time.sleep(visitor.rng.uniform(0, 0.02))
        visitor.compare(client.response("POST"), nonce, count, "POST", body, "list")


def slow_download(visitor: Visitor) -> None:
    """A reader that stops in the middle of a long answer, and goes on."""
    kind = visitor.rng.choice(("list", "generator", "announced", "file"))
    target, nonce, count = visitor.target(kind, visitor.rng.randrange(2 * MIB, 4 * MIB))
    with visitor.client(receive_buffer=8192) as client:
        client.send(request_bytes(target, fields=(f"X-Request-ID: {nonce}",)))
        time.sleep(visitor.rng.uniform(0, 0.3))
        visitor.compare(client.response(), nonce, count, "GET", b"", kind)
        visitor.ask(client, "list")


def pipeline(visitor: Visitor) -> None:
    asked, message = [], b""
    for _ in range(visitor.rng.randrange(2, 30)):
        kind = visitor.rng.choice(ANY)
        target, nonce, count = visitor.target(kind, visitor.rng.choice((0, 10, 1000)))
        method = visitor.rng.choice(("GET", "POST", "HEAD"))
        body = visitor.body(2000) if method == "POST" else b""
        fields = (f"X-Request-ID: {nonce}",)
        message += request_bytes(target, method, body=body if method == "POST" else None, fields=fields)
        asked.append((nonce, count, method, body, kind))
    with visitor.client() as client:
        client.send(message)
        for nonce, count, method, body, kind in asked:
            visitor.compare(client.response(method), nonce, count, method, body, kind)


def half_close(visitor: Visitor) -> None:
    target, nonce, count = visitor.target("generator")
    with visitor.client() as client:
        client.send(request_bytes(target, fields=(f"X-Request-ID: {nonce}",)))
        client.finish()
        visitor.compare(client.response(), nonce, count, "GET", b"", "generator")
        client.expect_close()


def impatient(visitor: Visitor) -> None:
    """The application reads ten bytes of a body, and answers."""
    with visitor.client() as client:
        for _ in range(3):
            visitor.ask(client, "impatient", "POST", visitor.body(60_000))


def broken(visitor: Visitor) -> None:
    """What the application does not give whole must be seen to be broken, and be right as far as it goes."""
    kind = visitor.rng.choice(("breaks", "short"))
    version = "HTTP/1.1" if kind == "short" else visitor.rng.choice(("HTTP/1.0", "HTTP/1.1"))
    target, nonce, count = visitor.target(kind)
    with visitor.client() as client:
        client.send(request_bytes(target).replace(b"HTTP/1.1", version.encode()))
        raw: bytes | None = None
        try:
            client.response()
        except BrokenResponse as error:
            raw = error.raw
    assert raw is not None, f"a broken answer looked whole: {kind} {version}"
    wanted = soaked.first_line(nonce, "GET", b"") + soaked.payload(nonce, count)
    # Chunks stand between; a short answer is one piece.
    assert not raw or kind == "breaks" or raw.endswith(wanted), (kind, version, len(raw))


def refused(visitor: Visitor) -> None:
    """A good request, then nonsense: one answer for each, and the end."""
    nonsense = visitor.rng.choice(
        (
            b"NONSENSE\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n",
        )
    )
    target, nonce, count = visitor.target("list")
    with visitor.client() as client:
        client.send(request_bytes(target, fields=(f"X-Request-ID: {nonce}",)) + nonsense)
        visitor.compare(client.response(), nonce, count, "GET", b"", "list")
        assert client.response().status == 400
        client.expect_close()


def leaves(visitor: Visitor) -> None:
    """Somewhere in the request, or in the answer; politely or not."""
    target, _, _ = visitor.target(visitor.rng.choice(KINDS), visitor.rng.choice((0, 2 * MIB)))
    message = request_bytes(target, "POST", body=visitor.body(100_000))
    with visitor.client(receive_buffer=8192) as client, contextlib.suppress(BrokenResponse):
        if visitor.rng.random() < 0.5:
            client.send(message[: visitor.rng.randrange(len(message))])
        else:
            client.send(message)
            client.received(visitor.rng.randrange(200))
        if visitor.rng.random() < 0.5:
            client.reset()


def files(visitor: Visitor) -> None:
    """A file that the server sends by itself: all of it, a part, several, none that is there."""
    whole = soaked.payload("file", soaked.FILE_BYTES)
    end = len(whole) - 1
    with visitor.client() as client:
        for _ in range(visitor.rng.randrange(1, 10)):
            first = visitor.rng.randrange(1000, len(whole) - 1000)
            last = min(first + visitor.rng.choice((0, 10, 20_000, 200_000)), end)
            wanted, status, content = visitor.rng.choice(
                (
                    ("", 200, whole),
                    (f"bytes={first}-{last}", 206, whole[first : last + 1]),
                    (f"bytes=-{first}", 206, whole[-first:]),
                    (f"bytes=0-9,{first}-{first + 99}", 206, None),
                    (f"bytes={end + 1}-", 416, None),
                )
            )
            _, nonce, _ = visitor.target("static")
            fields = (f"X-Request-ID: {nonce}", *([f"Range: {wanted}"] if wanted else []))
            client.send(request_bytes(f"/static/file?nonce={nonce}", fields=fields))
            response = client.response()
            assert response.get("X-Request-ID") == nonce, (wanted, nonce, response.fields)
            assert response.status == status, (wanted, response.raw[:400])
            if status == 206 and content is None:
                boundary = (response.get("Content-Type") or "").partition("boundary=")[2].encode()
                parts = response.body.split(b"\r\n--" + boundary)
                assert [part.partition(b"\r\n\r\n")[2] for part in parts] == [
                    *(b"", whole[:10], whole[first : first + 100], b"")
                ], (wanted, response.raw[:400])
            else:
                assert content is None or response.body == content, (wanted, len(response.body))
            visitor.count(response, nonce)


def resumed(visitor: Visitor) -> None:
    """Again and again with the session of the first time, as long as the server takes it."""
    door = visitor.doors.any(visitor.rng)
    for _ in range(visitor.rng.randrange(2, 6)):
        with Client(door, deadline_seconds=PATIENCE_SECONDS) as client:
            visitor.ask(client, "list")
            assert isinstance(client.socket, ssl.SSLSocket)
            door = door._replace(session=client.socket.session)
            with visitor.tally.lock:
                visitor.tally.resumed += bool(client.socket.session_reused)


def leaves_the_handshake(visitor: Visitor) -> None:
    """At each of its steps; politely or not, or with something that is none."""
    door = visitor.doors.any(visitor.rng)
    begun = client_hello(door.context)
    with Client(visitor.doors.address, deadline_seconds=PATIENCE_SECONDS) as client:
        how = visitor.rng.randrange(5)
        if how == 0:
            client.send(begun[: visitor.rng.randrange(len(begun))])
        elif how == 1:
            client.send(begun)
        elif how == 2:
            client.send(begun)
            client.received(visitor.rng.randrange(1, 500))
        elif how == 3:
            client.send(begun)
            client.send_what_is_taken(visitor.rng.randbytes(visitor.rng.randrange(1, 5000)))
        else:
            client.send(request_bytes())
            assert client.response().status == 400
            client.expect_close()
            return
        if visitor.rng.random() < 0.5:
            client.reset()


def leaves_after_the_handshake(visitor: Visitor) -> None:
    with Client(visitor.doors.any(visitor.rng), deadline_seconds=PATIENCE_SECONDS) as client:
        if visitor.rng.random() < 0.5:
            client.reset()


CONVERSATIONS: dict[str, tuple[Callable[[Visitor], None], int]] = {
    "kept": (kept, 30),
    "fresh": (fresh, 15),
    "old": (old, 5),
    "old and kept": (old_and_kept, 3),
    "post": (post, 10),
    "post in chunks": (post_in_chunks, 5),
    "upload": (upload, 3),
    "expect": (expect, 3),
    "slow upload": (slow_upload, 3),
    "slow download": (slow_download, 3),
    "pipeline": (pipeline, 5),
    "half close": (half_close, 3),
    "impatient": (impatient, 3),
    "broken": (broken, 5),
    "refused": (refused, 5),
    "leaves": (leaves, 8),
    "files": (files, 8),
    "resumed": (resumed, 5),
    "leaves the handshake": (leaves_the_handshake, 8),
    "leaves after the handshake": (leaves_after_the_handshake, 5),
}


def soak(seconds: float, folder: Path) -> Report:
    """Run it for so long; its files go to a folder."""
    (folder / "file").write_bytes(soaked.payload("file", soaked.FILE_BYTES))
    (folder / "static").mkdir()
    (folder / "static" / "file").write_bytes(soaked.payload("file", soaked.FILE_BYTES))
    (folder / "spool").mkdir()
    log = folder / "access.log"
    static = f"/static={folder / 'static'}"
    flags = (*FLAGS, "--spool-dir", str(folder / "spool"), "--access-log-file", str(log), "--static", static)
    tally, samples = Tally(), []
    (folder / "authority").mkdir()
    authority = Authority(folder / "authority")
    pair = authority.pair("localhost")
    flags_of_all = (*flags, *Doors.flags(authority, pair))
    environment = {"SOAK_FILE": str(folder / "file"), "MALLOC_ARENA_MAX": "1"}
    with ServerProcess(
        "soaked:app", *flags_of_all, threads=THREADS, environment=environment, bind="http://127.0.0.1:0"
    ) as server:
        doors = Doors(server, authority)
        for number, (talk, _) in enumerate(CONVERSATIONS.values()):
            talk(Visitor(server, doors, tally, number))
        before = still(server)
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            for name, clients in CROWDS.items():
                stack.enter_context(attacking(name, server.address, clients))
            for name, clients in TLS_CROWDS.items():
                stack.enter_context(attacking(name, doors.address, clients))
            visitors = [
                threading.Thread(
                    target=Visitor(server, doors, tally, 1000 + number).visit, args=(began + seconds,)
                )
                for number in range(VISITORS)
            ]
            for visitor in visitors:
                visitor.start()
            every = max(0.5, seconds / SAMPLES)
            while (now := time.monotonic() - began) < seconds:
                samples.append(sample(server, now, tally))
                disturb(server, log, len(samples))
                if len(samples) % RENEWAL_EVERY == 0:
                    authority.pair("localhost").rename_to(pair)
                    server.signal(signal.SIGUSR2)
                time.sleep(every)
            for visitor in visitors:
                visitor.join()
        after = still(server)
        statistics = view(server.address)["statistics"]
        server.signal(signal.SIGTERM)
        if (code := server.wait()) != 0:
            tally.failures.append(f"the server ended with {code}: {server.log[-2000:]}")
        text = server.log
    logged: Counter[str] = Counter()
    for file in folder.glob("access.log*"):
        with file.open(encoding="utf-8") as lines:
            logged.update(found[1] for line in lines if (found := re.search(r"nonce=([0-9a-f-]+)", line)))
    return Report(tally, samples, before, after, statistics, logged, text)


def still(server: ServerProcess) -> dict[str, Any]:
    """What must be the same before and after."""
    settled(server.address)
    return baseline(server.address)


def sample(server: ServerProcess, seconds: float, tally: Tally) -> Sample:
    """Look at the server's process, from outside and by asking it."""
    seen = view(server.address)
    statistics = seen["statistics"]
    return Sample(
        seconds,
        tally.answers,
        seen["resident_bytes"],
        len(seen["descriptors"]),
        seen["threads"],
        statistics["connections"],
        statistics["buffer_bytes"],
        statistics["spool_bytes"],
    )


def disturb(server: ServerProcess, log: Path, number: int) -> None:
    """Every other time the process stands still for a moment; every other time its log is rotated."""
    if number % 2:
        server.signal(signal.SIGSTOP)
        time.sleep(STOPPED_SECONDS)
        server.signal(signal.SIGCONT)
    elif log.exists():
        log.rename(log.with_name(f"access.log.{number}"))
        server.signal(signal.SIGUSR1)


def page(report: Report, seconds: float) -> str:
    """The run as Markdown."""
    tally, complaints = report.tally, report.complaints()
    middle, last = report.medians()
    day = datetime.now(timezone.utc).date().isoformat()
    lines = [
        "# The last long soak",
        "",
        "<!-- Written by `make soak LOG=soak/LOG.md`. -->",
        "",
        f"{day}, {seconds / 60:g} minutes, Kirsch {kirsch.__version__}, "
        f"CPython {platform.python_version()}, {os.cpu_count()} processors.",
        "",
        "| | |",
        "|---|---|",
        f"| conversations | {sum(tally.conversations.values()):,} |",
        f"| answers compared | {tally.answers:,} |",
        f"| bytes compared | {tally.bytes_compared:,} |",
        f"| wrong, crossed or lost | {len(tally.failures)} |",
        f"| connections accepted, with those of the crowds | {report.statistics['accepted']:,} |",
        f"| TLS handshakes done | {report.statistics['handshakes']:,} |",
        f"| of them, sessions that were seen to be resumed | {tally.resumed:,} |",
        f"| TLS handshakes that came to nothing | {report.statistics['handshakes_failed']:,} |",
        f"| requests refused by rule or timeout | {report.statistics['refused']:,} |",
        f"| resident memory, median of the middle third and of the last | {middle / MIB:.1f} MiB, "
        f"{last / MIB:.1f} MiB |",
        f"| complaints | {len(complaints)} |",
        "",
        "| seconds | answers | MiB | descriptors | threads | connections | buffers KiB | spool KiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in report.samples:
        lines.append(
            f"| {one.seconds:.0f} | {one.answers:,} | {one.resident_bytes / MIB:.1f} | {one.descriptors} "
            f"| {one.threads} | {one.connections} | {one.buffer_bytes // 1024} | {one.spool_bytes // 1024} |"
        )
    lines += ["", "| conversation | times |", "|---|---|"]
    lines += [f"| {name} | {count:,} |" for name, count in sorted(tally.conversations.items())]
    if complaints:
        lines += ["", "Complaints:", "", *(f"- {' '.join(text.split())[:400]}" for text in complaints[:50])]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run it as the command line says; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description="Mixed load with faults; every byte is compared.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--log", type=Path, help="write the run there, as Markdown")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = soak(options.minutes * 60, Path(folder))
    text = page(report, options.minutes * 60)
    print(text)
    if options.log:
        options.log.write_text(text, encoding="utf-8")
    return 1 if report.complaints() else 0


if __name__ == "__main__":
    sys.exit(main())
