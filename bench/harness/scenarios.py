"""The scenarios: an application, the load on it, and the answer that is right.

A new scenario is one entry in `SCENARIOS`. Their order is the order of the run: what is compared is
measured one after the other.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from harness.load import Load

THREADS = 10
IDLE_CONNECTIONS = 10_000
# As many as an unmodified server of cheroot's keeps, by its `keep_alive_conn_limit`.
CLASSES_CONNECTIONS = 10
# A client's handshake takes it a millisecond.
IDLE_TLS_CONNECTIONS = 2_000

HELLO = b"Hello, world!\n"
DONE = b"done\n"
FLASK = b'{"active":true,"id":7,"name":"Kim","roles":["reader","writer"]}\n'
PAGE = b"<!doctype html>\n<title>Kim</title>\n<ul>\n<li>one</li>\n<li>two</li>\n<li>three</li>\n</ul>\n"
LARGE = bytes(range(256)) * 4096
FILES = {"1KiB": 1 << 10, "64KiB": 64 << 10, "10MiB": 10 << 20}
CHUNKED = b"0123456789abcdef" * 64 * 100


@dataclass(frozen=True)
class Probe:
    """One request and the body that answers it, tried on every server before it is timed."""

    body: bytes
    path: str = "/"
    send: bytes = b""


@dataclass(frozen=True)
class Scenario:
    """One measurement."""

    name: str
    title: str
    app: str
    probe: Probe
    load: Load
    # Other clients at the same time, whose figures nobody reads.
    company: Load | None = None
    threads: int = THREADS
    # Requests wait: servers of one thread sit out, and threads without a server are measured too.
    waits: bool = False
    bare: bool = False
    # nginx and the floor can answer it.
    yardsticks: bool = False
    # Only Kirsch's router can answer it, with one route and with many.
    routed: bool = False
    # Of Kirsch, the command and cheroot's classes take part, and cheroot itself; nobody else.
    classes: bool = False
    # A file is asked for: servers of files take part, and nobody else.
    files: bool = False
    # Connections that only lie there; memory is measured instead of speed.
    idle: int = 0

    @property
    def saturates(self) -> bool:
        """Whether every server keeps its core busy, so that the core's pace is the same question for all."""
        return not self.bare and self.load.connections > 1

    @property
    def connections(self) -> int:
        """All connections open at once."""
        return max(self.load.connections + (self.company.connections if self.company else 0), self.idle)


def _hello(connections: int, fields: str) -> Scenario:
    name = f"hello-c{connections}" + ("-browser" if fields == "browser" else "")
    title = f"Hello world, {connections} connections, " + (
        "twelve fields" if fields == "browser" else "one field"
    )
    load = Load(connections, fields=fields)
    return Scenario(name, title, "plain:hello", Probe(HELLO), load, yardsticks=True)


def _sleep(threads: int) -> Scenario:
    title = f"One wait of 10 ms, {threads} threads, {threads} connections"
    load = Load(threads)
    return Scenario(
        f"sleep-t{threads}", title, "waits:sleep", Probe(DONE), load, threads=threads, waits=True, bare=True
    )


def _short(connections: int) -> Scenario:
    title = f"Three waits of 0.2 ms, {THREADS} threads, {connections} connections"
    return Scenario(
        f"short-c{connections}", title, "waits:short", Probe(DONE), Load(connections), waits=True, bare=True
    )


def _beside(name: str, title: str, company: Load | None) -> Scenario:
    # Some of the company ask even where it is only waiting, hence no server of one thread.
    probe = Probe(DONE, company.path if company else "/quick")
    return Scenario(name, title, "waits:mixed", probe, Load(58, "/quick"), company=company, waits=True)


def _post(name: str, size: int, connections: int) -> Scenario:
    sent = bytes(number % 251 for number in range(size))
    probe = Probe(b"%d\n" % zlib.crc32(sent), "/?crc", sent)
    return Scenario(name, f"POST of {name[5:]}", "bodies:upload", probe, Load(connections, "/", "POST", size))


def content(name: str) -> bytes:
    """Return what is in the file of that name."""
    size = FILES[name]
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def _file(name: str, connections: int) -> Scenario:
    probe = Probe(content(name), f"/{name}.bin")
    load = Load(connections, probe.path)
    return Scenario(f"file-{name}", f"A file of {name}", "", probe, load, yardsticks=True, files=True)


def _handshakes(kind: str) -> Scenario:
    load = Load(8, tls=True, handshakes=kind)
    return Scenario(
        f"tls-{kind}", f"TLS 1.3, {kind} handshakes", "plain:hello", Probe(HELLO), load, yardsticks=True
    )


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        *(_hello(connections, fields) for connections in (1, 64, 1000) for fields in ("one", "browser")),
        Scenario(
            "cheroot-c10",
            "Hello world through cheroot's classes, 10 connections",
            "plain:hello",
            Probe(HELLO),
            Load(CLASSES_CONNECTIONS),
            classes=True,
        ),
        Scenario(
            "flask", "JSON with Flask", "flask_json:app", Probe(FLASK, "/users/7"), Load(64, "/users/7")
        ),
        Scenario(
            "webpy", "A page with web.py", "webpy_page:app", Probe(PAGE, "/page/Kim"), Load(64, "/page/Kim")
        ),
        *(_sleep(threads) for threads in (10, 40, 100)),
        *(_short(connections) for connections in (2, 8, 10, 64)),
        _beside("quick-alone", "58 quick clients alone", None),
        _beside("quick-beside-sleep", "58 quick clients beside 6 that wait 10 ms", Load(6, "/sleep")),
        _beside("quick-beside-compute", "58 quick clients beside 2 that compute 10 ms", Load(2, "/compute")),
        _post("post-1KiB", 1024, 64),
        _post("post-1MiB", 1 << 20, 16),
        Scenario("large", "A response of 1 MiB", "bodies:large", Probe(LARGE), Load(16)),
        Scenario("chunks", "A generator of 100 blocks of 1 KiB", "bodies:chunks", Probe(CHUNKED), Load(16)),
        _file("1KiB", 64),
        _file("64KiB", 64),
        _file("10MiB", 16),
        Scenario(
            "routes",
            "One route, and thousands of hosts and of paths",
            "plain:hello",
            Probe(HELLO, "/p0/page"),
            Load(64, "/p0/page", fields="many"),
            routed=True,
        ),
        Scenario(
            "idle",
            f"{IDLE_CONNECTIONS} idle connections",
            "plain:hello",
            Probe(HELLO),
            Load(1),
            yardsticks=True,
            idle=IDLE_CONNECTIONS,
        ),
        *(_handshakes(kind) for kind in ("full", "resumed")),
        Scenario(
            "tls-large",
            "A response of 1 MiB over TLS 1.3",
            "bodies:large",
            Probe(LARGE, "/large.bin"),
            Load(16, "/large.bin", tls=True),
            yardsticks=True,
        ),
        Scenario(
            "tls-idle",
            f"{IDLE_TLS_CONNECTIONS} idle connections over TLS 1.3",
            "plain:hello",
            Probe(HELLO),
            Load(1, tls=True),
            yardsticks=True,
            idle=IDLE_TLS_CONNECTIONS,
        ),
    )
}
