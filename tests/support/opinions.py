"""What parsers make of the same bytes: how many requests, and where does each end?

An `Opinion` is the answer of one parser. Kirsch's comes from `crates/kirsch-http/examples/opinion.rs`, a
process that is asked over a pipe, so that a comparison costs microseconds; the others are libraries:
h11, llhttp (the parser of Node), and what waitress and gunicorn read requests with.

`difference` says where two opinions contradict each other. Refusing never does: who refuses has no opinion
on what follows. `EXPLAINED` lists the contradictions that are the other parser's laxness, each by its rule.
"""

from __future__ import annotations

import json
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

import gunicorn.config
import gunicorn.http.errors
import gunicorn.http.parser
import h11
import llhttp
import waitress.adjustments
import waitress.parser

from .conformance import ROOT

# Endings that every parser may have; any other is the reason of a refusal.
IDLE, PARTIAL, CLOSED = "idle", "partial", "closed"
HEAD_BYTES = 32 * 1024


@dataclass(frozen=True)
class Request:
    """A request that a parser has read to its end.

    Attributes:
        end: The offset of the first byte behind it.
    """

    method: bytes
    target: bytes
    body: bytes
    end: int


@dataclass(frozen=True)
class Opinion:
    """The requests that a parser sees, and what it makes of the rest.

    Attributes:
        ending: `idle`: there is no rest. `partial`: the rest is the beginning of a request. `closed`: the
            last request ends the connection, the rest is not looked at. Otherwise the rest is refused, and
            this is why.
    """

    requests: tuple[Request, ...]
    ending: str


Parser = Callable[[bytes], Opinion]


class Kirsch:
    """Kirsch's parser, as a process. Use it as a context manager; call it with a stream."""

    def __enter__(self) -> Kirsch:
        words = ["cargo", "run", "--quiet", "-p", "kirsch-http", "--example", "opinion"]
        self.process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.communicate()
        assert kind is not None or self.process.returncode == 0

    def __call__(self, stream: bytes) -> Opinion:
        """Kirsch's opinion of a stream."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(struct.pack("<I", len(stream)) + stream)
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        requests = (
            Request(method.encode("latin-1"), target.encode("latin-1"), body.encode("latin-1"), end)
            for method, target, body, end in answer["requests"]
        )
        return Opinion(tuple(requests), answer["ending"])


def h11_opinion(stream: bytes) -> Opinion:
    """What h11 reads; each request is answered, since it waits for that."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
    connection.receive_data(stream)
    requests: list[Request] = []
    method = target = body = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            return Opinion(tuple(requests), str(error))
        if isinstance(event, h11.Request):
            method, target, body = bytes(event.method), bytes(event.target), b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            end = len(stream) - len(connection.trailing_data[0])
            requests.append(Request(method, target, body, end))
            # Not a success: to CONNECT that would be the beginning of a tunnel.
            connection.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE:
                return Opinion(tuple(requests), CLOSED)
            connection.start_next_cycle()
        else:
            begun = connection.trailing_data[0] or connection.their_state is not h11.IDLE
            return Opinion(tuple(requests), PARTIAL if begun else IDLE)


class LlhttpParser(llhttp.Request):
    """llhttp, stopping behind each request."""

    url = b""
    body = b""
    whole = False
    keep_alive = False

    def on_message_begin(self) -> None:
        """A request begins."""
        self.url = self.body = b""

    def on_url(self, piece: memoryview) -> None:
        """A piece of the target."""
        self.url += bytes(piece)

    def on_body(self, piece: memoryview) -> None:
        """A piece of the body, decoded."""
        self.body += bytes(piece)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.whole, self.keep_alive = True, self.should_keep_alive
        self.pause()


def llhttp_opinion(stream: bytes) -> Opinion:
    """What llhttp reads, with none of its leniencies."""
    parser = LlhttpParser()
    requests: list[Request] = []
    end = 0
    while end < len(stream):
        try:
            end += parser.execute(stream[end:])
        except llhttp.Error as error:
            return Opinion(tuple(requests), str(error) or type(error).__name__)
        if parser.is_upgrading:
            # As Node does where nobody wants the other protocol: it goes on with HTTP.
            parser.upgrade()
            continue
        if not parser.whole:
            return Opinion(tuple(requests), PARTIAL)
        method = (parser.method or "").encode("latin-1")
        requests.append(Request(method, parser.url, parser.body, end))
        if not parser.keep_alive:
            return Opinion(tuple(requests), CLOSED)
        parser.whole = False
        parser.unpause()
    return Opinion(tuple(requests), IDLE)


WAITRESS = waitress.adjustments.Adjustments()


def waitress_opinion(stream: bytes) -> Opinion:
    """What waitress reads: the loop of its `HTTPChannel.received`, without the channel."""
    requests: list[Request] = []
    parser, end = waitress.parser.HTTPRequestParser(WAITRESS), 0
    while end < len(stream):
        try:
            end += parser.received(stream[end:])
        except ValueError as error:
            # Of a target such as `//[x`; its server closes the connection then.
            return Opinion(tuple(requests), str(error))
        if not parser.completed:
            continue
        if parser.error:
            return Opinion(tuple(requests), str(parser.error.body))
        if not parser.empty:
            body = parser.get_body_stream().read()
            method, target = parser.command.encode("latin-1"), parser.request_uri.encode("latin-1")
            requests.append(Request(method, target, body, end))
            if parser.connection_close:
                return Opinion(tuple(requests), CLOSED)
        parser.close()
        parser = waitress.parser.HTTPRequestParser(WAITRESS)
    begun = parser.header_plus or parser.headers_finished
    return Opinion(tuple(requests), PARTIAL if begun else IDLE)


class Starved(Exception):
    """gunicorn wants more bytes than there are."""


def once(stream: bytes) -> Iterator[bytes]:
    """The stream in one piece; asking for more is an error that nobody takes for its end."""
    if stream:
        yield stream
    raise Starved


GUNICORN = gunicorn.config.Config()
GUNICORN.set("http_parser", "python")


def gunicorn_opinion(stream: bytes) -> Opinion:
    """What gunicorn reads."""
    parser = gunicorn.http.parser.RequestParser(GUNICORN, once(stream), ("127.0.0.1", 1))
    requests: list[Request] = []
    end = 0
    try:
        for message in parser:
            body = message.body.read()
            end = len(stream) - len(parser.unreader.buf.getvalue())
            method, target = message.method.encode("latin-1"), message.uri.encode("latin-1")
            requests.append(Request(method, target, body, end))
    except Starved:
        return Opinion(tuple(requests), PARTIAL if end < len(stream) else IDLE)
    except (gunicorn.http.errors.ParseException, OSError) as error:
        return Opinion(tuple(requests), type(error).__name__)
    return Opinion(tuple(requests), CLOSED)


OTHERS: dict[str, Parser] = {
    "h11": h11_opinion,
    "llhttp": llhttp_opinion,
    "waitress": waitress_opinion,
    "gunicorn": gunicorn_opinion,
}


def difference(ours: Opinion, theirs: Opinion) -> str:
    """Where two parsers contradict each other on where a request ends; empty if they do not."""
    for our, their in zip(ours.requests, theirs.requests, strict=False):
        if our != their:
            return f"we read {our}, they {their}"
    if len(ours.requests) > len(theirs.requests) and theirs.ending in (IDLE, PARTIAL):
        return f"we read {ours.requests[len(theirs.requests)]}, they wait for more"
    if len(ours.requests) < len(theirs.requests) and ours.ending in (IDLE, PARTIAL):
        return f"we wait for more, they read {theirs.requests[len(ours.requests)]}"
    return ""


@dataclass(frozen=True)
class Laxness:
    """Why a contradiction is the other parser's fault.

    Attributes:
        parser: Who is lax.
        name: What it does, in a few words.
        rule: What the RFCs say instead.
        shows: Whether a stream and what the two made of it show that laxness.
    """

    parser: str
    name: str
    rule: str
    shows: Callable[[bytes, Opinion, Opinion], bool]

    def applies(self, parser: str, stream: bytes, ours: Opinion, theirs: Opinion) -> bool:
        """Whether this explains what a parser said."""
        return parser == self.parser and self.shows(stream, ours, theirs)


EXPLAINED: tuple[Laxness, ...] = (
    Laxness(
        "waitress",
        "waitress overlooks Transfer-Encoding in HTTP/1.2 and above",
        "RFC 9110 section 2.5: a later minor version is processed as the highest one that is known",
        lambda stream, ours, theirs: re.search(rb"HTTP/1\.[2-9]\r\n", stream) is not None,
    ),
)
