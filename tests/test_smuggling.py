"""Request smuggling: nobody in front of Kirsch, and no other parser, may see a request end elsewhere.

Two questions about the same bytes, the payloads of `conformance/smuggling.json` and mutants of all cases:

- Where do Kirsch, h11, llhttp, waitress and gunicorn see each request end (`support/opinions.py`)?
- Does a request reach the application through nginx or HAProxy that the proxy has not forwarded as one, and
  does a good client who shares the connection to the server always get its own answer (`support/fronts.py`)?

Mutants are made from a seed; a failure names their number, and `mutations.mutant` makes them again.
`KIRSCH_SMUGGLING_MUTANTS` bends more: so many for the parsers, a fifth of it through each proxy.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import socketserver
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
from support.client import Address, BrokenResponse, Client, get
from support.fronts import FRONTS, Forwarded
from support.mutations import TAIL, mutants
from support.opinions import EXPLAINED, OTHERS, Kirsch, Opinion, Request, difference
from support.payloads import Payload, payloads, seeds
from support.server import APPS, ServerProcess, clean_environment
from support.server import kirsch as command

SEED = int(os.environ.get("KIRSCH_SMUGGLING_SEED", "1"))
MUTANTS = int(os.environ.get("KIRSCH_SMUGGLING_MUTANTS", "30000"))
LANES = 4
# A proxy that says nothing for so long waits for more; then the client says that there is none.
# Nothing depends on it: who is late is cut short, and must be safe then too.
PATIENCE_SECONDS = 0.05
# Between the two pieces of a stream that is cut: a proxy may have passed on the first one then, or not.
PAUSE_SECONDS = 0.003
LAST = TAIL.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

PAYLOADS = payloads()
FAMILIES = list(dict.fromkeys(payload.family for payload in PAYLOADS))


def of_family(family: str) -> list[Payload]:
    return [payload for payload in PAYLOADS if payload.family == family]


@pytest.fixture(scope="module")
def kirsch() -> Iterator[Kirsch]:
    with Kirsch() as parser:
        yield parser


@pytest.fixture(scope="module")
def probe() -> Iterator[ServerProcess]:
    with ServerProcess("probe:app", threads=4) as server:
        yield server


# What Kirsch reads.


@pytest.mark.parametrize("family", FAMILIES)
def test_kirsch_reads_a_payload_as_the_file_says(kirsch: Kirsch, family: str) -> None:
    for payload in of_family(family):
        opinion = kirsch(payload.request)
        reads = [
            (one.method.decode(), one.target.decode("latin-1"), len(one.body)) for one in opinion.requests
        ]
        assert (payload.id, reads, opinion.ending) == (payload.id, payload.reads, payload.ending)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_application_sees_what_the_parser_reads(
    kirsch: Kirsch, probe: ServerProcess, family: str
) -> None:
    """The witness that the opinions which are compared below are those of the server."""
    for payload in of_family(family):
        opinion = kirsch(payload.request + LAST)
        with probe.client() as client:
            client.send_what_is_taken(payload.request + LAST)
            with contextlib.suppress(OSError):
                client.finish()
            client.rest()
            log = json.loads(get(probe.address, f"/__log?peer={client.peer}").body)
        seen = [(entry["method"], entry["env"]["RAW_URI"]) for entry in log]
        assert seen == [(one.method.decode(), one.target.decode("latin-1")) for one in opinion.requests], (
            payload
        )
        bodies = [
            (entry["body"], one.body.decode("latin-1"))
            for entry, one in zip(log, opinion.requests, strict=True)
        ]
        assert all(read in (body, None) for read, body in bodies), payload


# What others read.


@dataclass
class Tally:
    """What came of comparisons: how many, and the contradictions by who is lax and why."""

    streams: int = 0
    comparisons: int = 0
    accepted: int = 0
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)

    def compare(self, kirsch: Kirsch, stream: bytes, name: str) -> None:
        """Ask everybody about a stream."""
        ours = kirsch(stream)
        self.streams += 1
        self.accepted += len(ours.requests)
        for other, ask in OTHERS.items():
            self.comparisons += 1
            theirs = ask(stream)
            if not (found := difference(ours, theirs)):
                continue
            reasons = [one.name for one in EXPLAINED if one.applies(other, stream, ours, theirs)]
            if reasons:
                self.explained[reasons[0]] += 1
            else:
                self.unexplained.append(f"{name}, {other}: {found}, in {stream!r}")

    def __str__(self) -> str:
        parts = (f"{count} × {reason}" for reason, count in self.explained.most_common())
        return (
            f"{self.streams} streams, {self.accepted} requests for Kirsch, {self.comparisons} comparisons, "
            f"{self.explained.total()} contradictions explained: {'; '.join(parts) or 'none'}"
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_no_parser_sees_a_payload_end_elsewhere(kirsch: Kirsch, family: str) -> None:
    tally = Tally()
    for payload in of_family(family):
        tally.compare(kirsch, payload.request, payload.id)
        tally.compare(kirsch, payload.request + TAIL, f"{payload.id} and a request")
    assert tally.unexplained == []


@pytest.mark.slow
def test_no_parser_sees_a_mutant_end_elsewhere(kirsch: Kirsch, capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally()
    for mutant in itertools.islice(mutants(seeds(), SEED), MUTANTS):
        tally.compare(kirsch, mutant.data + TAIL, f"mutant {mutant.number} of seed {SEED} {mutant.operators}")
    with capsys.disabled():
        print(f"\nparsers: {tally}")
    assert tally.unexplained[:10] == []
    assert tally.accepted > MUTANTS / 4, "most mutants must be requests still"


# Through a proxy.


@dataclass
class Outcome:
    """What came of sending streams through a front."""

    streams: int = 0
    answers: int = 0
    shared: int = 0
    wrong: list[str] = field(default_factory=list)


def play(lane: Address, streams: list[tuple[str, bytes]], *, cut: bool) -> Outcome:
    """Send streams through a lane one by one, and behind each a canary on another connection.

    Args:
        lane: Where to send them.
        streams: Their names and bytes.
        cut: Whether to send them in two pieces.
    """
    outcome = Outcome()
    with Client(lane) as canary:
        for number, (name, stream) in enumerate(streams):
            # Any place will do, as long as it is another one for each.
            first = number * 31 % (len(stream) + 1) if cut else 0
            came = exchange(lane, stream + LAST, first).lower()
            target = f"/canary/{number}"
            answer = canary.request(target)
            outcome.streams += 1
            outcome.answers += came.count(b"\r\nx-peer: ")
            outcome.shared += f"\r\nx-peer: {answer.get('X-Peer')}\r\n".encode() in came
            if answer.status != 200 or not answer.body.startswith(f"{target} ".encode()):
                outcome.wrong.append(f"{name}: the canary got {answer.raw!r}, behind {stream!r}")
            if b"/canary/" in came:
                outcome.wrong.append(f"{name}: {stream!r} got the canary's answer: {came!r}")
    return outcome


def exchange(lane: Address, data: bytes, first: int = 0) -> bytes:
    """Send bytes, so many as a first piece, and read all that comes until the other side has had enough."""
    with Client(lane) as client:
        if first:
            client.send_what_is_taken(data[:first])
            select.select([client.socket], [], [], PAUSE_SECONDS)
        client.send_what_is_taken(data[first:])
        came = b""
        while select.select([client.socket], [], [], PATIENCE_SECONDS)[0]:
            try:
                block = client.socket.recv(65536)
            except ConnectionResetError:
                return came
            if not block:
                return came
            came += block
        with contextlib.suppress(OSError):
            client.finish()
        try:
            return came + client.rest()
        except BrokenResponse as error:
            if not error.reset:
                raise
            return came + error.raw


Entry = Sequence[str | None]


def contradictions(log: Sequence[Entry], forwarded: dict[str, Forwarded]) -> list[str]:
    """Requests that the application has seen and the proxy has not sent, or not so, or not once."""
    found = []
    times = Counter(entry[0] for entry in log)
    for request_id, method, target, body in log:
        sent = forwarded.get(request_id or "")
        if sent is None:
            found.append(f"no proxy has sent {method} {target} with the id {request_id}")
        elif times[request_id] != 1:
            found.append(f"{times[request_id]} requests with the id of {sent}")
        elif (method, target) != (sent.method, sent.target):
            found.append(f"{method} {target} was sent as {sent}")
        elif None not in (body, sent.body) and body != sent.body:
            found.append(f"{method} {target} with {body!r} was sent as {sent}")
    return found


def streams(mutated: int) -> list[tuple[str, bytes]]:
    """Every payload and so many mutants, with their names."""
    found = [(payload.id, payload.request) for payload in PAYLOADS]
    for mutant in itertools.islice(mutants(seeds(), SEED), mutated):
        found.append((f"mutant {mutant.number} of seed {SEED} {mutant.operators}", mutant.data))
    return found


def check_front(name: str, address: Address, witness: Path, sent: list[tuple[str, bytes]]) -> str:
    """Send streams through a front to a server whose application is the witness.

    Args:
        name: The front, as in `FRONTS`.
        address: Where the server listens.
        witness: What the application writes down.
        sent: The streams and their names.

    Returns:
        What was seen, in numbers.
    """
    kind, lax = FRONTS[name]
    with kind(address, LANES, lax=lax) as front:
        with ThreadPoolExecutor(LANES) as threads:
            dealt = [sent[number::LANES] for number in range(LANES)]
            # In two pieces a lax proxy passes on the beginning of a body before the end has come.
            outcomes = list(threads.map(partial(play, cut=lax), front.lanes, dealt))
        forwarded = front.stop()
    log = [json.loads(line) for line in witness.read_text("ascii").splitlines()]
    canaries = sum(1 for entry in log if entry[2].startswith("/canary/"))
    shared = sum(outcome.shared for outcome in outcomes)
    assert [wrong for outcome in outcomes for wrong in outcome.wrong] == []
    assert contradictions(log, forwarded) == []
    assert canaries == len(sent)
    assert shared > len(sent) / 20, "the canaries proved little: hardly any shared a connection"
    return (
        f"{len(sent)} streams, {len(forwarded)} requests in its log, {len(log)} in the application's; "
        f"{canaries} canaries, {shared} of them on the connection of the stream before"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", FRONTS)
def test_nothing_is_smuggled_past_a_proxy(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lax = FRONTS[name][1]
    witness = tmp_path / "witness"
    # Behind a lax proxy the application answers while the body comes: two more places to lose the boundary.
    flags = ("--stream-request-body",) if lax else ()
    environment = {"WITNESS_LOG": str(witness)}
    with ServerProcess("witness:app", *flags, threads=LANES, environment=environment) as server:
        seen = check_front(name, server.address, witness, streams(MUTANTS // 5))
    with capsys.disabled():
        print(f"\n{name}: {seen}")


@pytest.mark.slow
@pytest.mark.parametrize("name", FRONTS)
def test_nothing_is_smuggled_past_a_proxy_to_a_program_written_for_cheroot(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From which more is taken than Kirsch takes elsewhere."""
    witness = tmp_path / "witness"
    script = tmp_path / "script.py"
    script.write_text(CHEROOT.format(threads=LANES))
    environment = {**clean_environment(), "WITNESS_LOG": str(witness), "PYTHONPATH": str(APPS)}
    words = [*command(), "run", str(script)]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = "127.0.0.1", int(process.stdout.readline())
            seen = check_front(name, address, witness, streams(MUTANTS // 20))
        finally:
            process.kill()
    with capsys.disabled():
        print(f"\n{name}, cheroot: {seen}")


CHEROOT = """
import cheroot.wsgi, witness
server = cheroot.wsgi.Server(("127.0.0.1", 0), witness.app, numthreads={threads})
server.keep_alive_conn_limit = None
server.prepare()
print(server.bind_addr[1], flush=True)
server.serve()
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", FRONTS)
def test_nothing_is_smuggled_past_a_proxy_by_what_a_route_answers_early(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Most payloads are POST: the answer is there before the body, which nobody reads."""
    witness = tmp_path / "witness"
    (tmp_path / "index.html").write_text("a file")
    configuration = tmp_path / "kirsch.toml"
    configuration.write_text(EARLY.format(apps=APPS, folder=tmp_path))
    words = [*command(), "--config", str(configuration), "--threads", str(LANES)]
    with ServerProcess("", words=words, environment={"WITNESS_LOG": str(witness)}) as server:
        seen = check_front(name, server.address, witness, streams(MUTANTS // 20))
    with capsys.disabled():
        print(f"\n{name}, routes: {seen}")


# Everything but the witness's part is answered before a body is read.
EARLY = """
bind = "127.0.0.1:0"

[apps.witness]
wsgi = "witness:app"
path = "{apps}"

[[routes]]
path = "/echo"
method = "POST"
redirect = "http://to.test{{path}}{{query}}"

[[routes]]
method = ["POST", "PATCH"]
answer = 403

[[routes]]
method = ["PUT", "DELETE", "OPTIONS"]
files = "{folder}"
fallback = "index.html"

[[routes]]
app = "witness"
"""


# The tests' own witness: without it, the others prove nothing.


def test_a_request_that_no_proxy_has_sent_so_is_noticed() -> None:
    forwarded = {"a": Forwarded("POST", "/echo", "hello"), "b": Forwarded("GET", "/", "")}
    good: list[Entry] = [["a", "POST", "/echo", "hello"], ["b", "GET", "/", None]]
    assert contradictions(good, forwarded) == []
    bad: list[Entry] = [
        [None, "GET", "/smuggled", ""],
        ["c", "GET", "/smuggled", ""],
        ["a", "POST", "/echo", "hell"],
        ["a", "POST", "/smuggled", "hello"],
        ["a", "PUT", "/echo", "hello"],
    ]
    for wrong in bad:
        assert len(contradictions([wrong], forwarded)) == 1, wrong
    assert len(contradictions([good[0], good[0]], forwarded)) == 2


class Naive(socketserver.StreamRequestHandler):
    """A server that knows no chunks, and skips what it does not take for a request line."""

    log: ClassVar[list[Entry]] = []

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while line := self.rfile.readline():
                if len(words := line.decode("latin-1").split()) == 3:
                    self.answer(words[0], words[1])

    def answer(self, method: str, target: str) -> None:
        fields = {}
        while field := self.rfile.readline().decode("latin-1").strip():
            name, _, value = field.partition(":")
            fields[name.lower()] = value.strip()
        body = self.rfile.read(int(fields.get("content-length", 0))).decode("latin-1")
        self.log.append((fields.get("x-id"), method, target, body))
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def test_a_server_that_overlooks_chunks_is_caught() -> None:
    (payload,) = (one for one in PAYLOADS if one.id == "CL0-02")
    kind, lax = FRONTS["haproxy-lax"]
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Naive) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            host, port = server.server_address[:2]
            with kind((str(host), int(port)), 1, lax=lax) as front:
                exchange(front.lanes[0], payload.request + LAST)
                forwarded = front.stop()
        finally:
            server.shutdown()
    # Leaving the server's block has waited for its threads, and so for what they write down.
    assert contradictions(Naive.log, forwarded) == ["no proxy has sent GET /smuggled with the id None"]


def test_opinions_that_contradict_each_other_are_noticed() -> None:
    one, other = Request(b"GET", b"/", b"", 10), Request(b"GET", b"/", b"x", 11)
    for ours, theirs, is_one in (
        (Opinion((one,), "idle"), Opinion((one,), "idle"), False),
        (Opinion((one,), "idle"), Opinion((other,), "idle"), True),
        (Opinion((one, one), "idle"), Opinion((one, other), "idle"), True),
        (Opinion((one,), "idle"), Opinion((), "partial"), True),
        (Opinion((), "partial"), Opinion((one,), "idle"), True),
        (Opinion((one,), "idle"), Opinion((), "a reason"), False),
        (Opinion((), "BareLf"), Opinion((one,), "idle"), False),
        (Opinion((one,), "closed"), Opinion((one, one), "idle"), False),
    ):
        assert bool(difference(ours, theirs)) is is_one, (ours, theirs)
