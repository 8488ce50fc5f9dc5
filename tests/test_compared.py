"""Kirsch's column of the table that compares servers: what it answers to each probe, seen anew each time.

The table is `conformance/compared.json`, its page `docs/reference/compared.md`. A probe returns the words
that stand in the column; where they do not, either the server or the table is wrong.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.client import BrokenResponse, Client, Response, chunked, get, request_bytes
from support.server import ServerProcess

TABLE = Path(__file__).resolve().parent.parent / "conformance/compared.json"
ROWS: list[dict[str, Any]] = json.loads(TABLE.read_text("utf-8"))
BODY = b"a\nbc\n\nd"
PARTS = {
    "/lines": b"a\n|bc\n|\n|d",
    "/readlines": b"a\n|bc\n|\n|d",
    "/readline-size": b"a\n|bc\n",
    "/read-read": b"a\n|bc\n\nd",
    "/read-negative": BODY,
}

Probe = Callable[[ServerProcess], str]
PROBES: dict[str, Probe] = {}


def probe(name: str) -> Callable[[Probe], Probe]:
    """Register what finds the words for a row."""

    def register(function: Probe) -> Probe:
        PROBES[name] = function
        return function

    return register


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess("compared:app", threads=4) as server:
        yield server


def test_every_row_has_its_probe() -> None:
    assert [row["id"] for row in ROWS] == list(PROBES)
    assert {len(row["others"]) for row in ROWS} == {5}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_the_column_says_what_happens(server: ServerProcess, row: dict[str, Any]) -> None:
    assert PROBES[row["id"]](server) == row["kirsch"]


def ok(good: bool, otherwise: object) -> str:
    """The word for what is right, or what came instead."""
    return "ok" if good else str(otherwise)


def sent(server: ServerProcess, message: bytes) -> Response:
    """The answer to these bytes, on a connection of its own."""
    with server.client() as client:
        client.send_what_is_taken(message)
        return client.response()


def statuses(server: ServerProcess, *messages: bytes) -> str:
    """The statuses of the answers to several requests."""
    return "/".join(str(sent(server, message).status) for message in messages)


def field(line: bytes, method: bytes = b"GET") -> bytes:
    """A request with one more line."""
    return method + b" / HTTP/1.1\r\nHost: a.test\r\n" + line + b"\r\n\r\n"


@probe("lazy-head")
def lazy_head(server: ServerProcess) -> str:
    answer = get(server.address, "/lazy")
    return ok((answer.status, answer.get("X-Lazy"), answer.body) == (404, "yes", b"lazy"), answer)


@probe("write")
def write(server: ServerProcess) -> str:
    answer = get(server.address, "/write")
    return ok(answer.body == b"ab", answer)


@probe("reason")
def reason(server: ServerProcess) -> str:
    answer = get(server.address, "/reason")
    return ok(answer.reason == "Very Fine", answer)


def read(path: str) -> Probe:
    """A probe of `wsgi.input`."""

    def reads(server: ServerProcess) -> str:
        answer = get(server.address, path, method="POST", body=BODY)
        return ok(answer.body == PARTS[path], answer)

    return reads


probe("input-lines")(read("/lines"))
probe("input-readline-size")(read("/readline-size"))
probe("input-readlines")(read("/readlines"))
probe("input-read-read")(read("/read-read"))
probe("input-read-negative")(read("/read-negative"))


@probe("chunked")
def chunked_request(server: ServerProcess) -> str:
    answer = sent(server, field(b"Transfer-Encoding: chunked", b"POST") + chunked(b"hel", b"lo"))
    return ok(answer.body == b"/|a.test|-|hello", answer)


@probe("chunk-corrupt")
def chunk_corrupt(server: ServerProcess) -> str:
    return statuses(server, field(b"Transfer-Encoding: chunked", b"POST") + b"zz\r\nhello\r\n0\r\n\r\n")


@probe("latin-1-request")
def latin_1_request(server: ServerProcess) -> str:
    answer = sent(server, field(b"X-Foo: caf\xe9"))
    return ok(answer.body == b"/|a.test|caf\xe9|", answer)


@probe("underscore-twin")
def underscore_twin(server: ServerProcess) -> str:
    seen = {sent(server, field(lines)).body for lines in (b"X-Foo: a\r\nX_Foo: b", b"X_Foo: b\r\nX-Foo: a")}
    return "real" if seen == {b"/|a.test|a|"} else str(seen)


@probe("raise-mid-body")
def raise_mid_body(server: ServerProcess) -> str:
    with server.client() as client:
        client.send(request_bytes("/raise-in-body"))
        try:
            return str(client.response())
        except BrokenResponse as broken:
            return "aborted" if b"first" in broken.raw else str(broken)


@probe("head")
def head(server: ServerProcess) -> str:
    with server.client() as client:
        answer = client.request("/plain", "HEAD")
        return ok(answer.get("Content-Length") == "5" and client.expect_open().status == 200, answer)


@probe("no-content")
def no_content(server: ServerProcess) -> str:
    with server.client() as client:
        answer = client.request("/204")
        return "stripped" if answer.status == 204 and client.expect_open().status == 200 else str(answer)


@probe("body-long")
def body_long(server: ServerProcess) -> str:
    with server.client() as client:
        answer = client.request("/long")
        in_step = client.expect_open().body.startswith(b"/|a.test")
        return "truncated" if answer.body == b"abc" and in_step else str(answer)


@probe("body-short")
def body_short(server: ServerProcess) -> str:
    with server.client() as client:
        client.send(request_bytes("/short"))
        try:
            return str(client.response())
        except BrokenResponse as broken:
            return "closed" if broken.raw.endswith(b"\r\n\r\nabc") else str(broken)


@probe("start-twice")
def start_twice(server: ServerProcess) -> str:
    return get(server.address, "/start-twice").body.decode()


@probe("exc-info")
def exc_info(server: ServerProcess) -> str:
    answer = get(server.address, "/exc-info")
    return ok((answer.status, answer.get("X-Old"), answer.body) == (503, None, b"sorry"), answer)


@probe("raise")
def raised(server: ServerProcess) -> str:
    answer = get(server.address, "/raise")
    kind = (answer.get("Content-Type") or "").startswith("text/plain")
    return f"{answer.status} {'text' if kind and answer.body else 'other'}"


def status_of(path: str) -> Probe:
    """A probe that looks at the status, and that nothing of the application came through."""

    def status(server: ServerProcess) -> str:
        answer = get(server.address, path)
        return (
            str(answer.status)
            if not {b"Injected", b"never", b"X-A"} & set(answer.raw.split())
            else str(answer)
        )

    return status


probe("no-start")(status_of("/never-starts"))
probe("returns-none")(status_of("/none"))


@probe("file-wrapper")
def file_wrapper(server: ServerProcess) -> str:
    answer = get(server.address, "/wrapper")
    return ok(answer.body == b"a file", answer)


probe("crlf-header")(status_of("/crlf"))
probe("euro-header")(status_of("/euro"))


@probe("latin-1-response")
def latin_1_response(server: ServerProcess) -> str:
    answer = get(server.address, "/latin-1")
    return ok(b"\r\nX-A: \xe9\r\n" in answer.raw, answer)


@probe("connection-close")
def connection_close(server: ServerProcess) -> str:
    with server.client() as client:
        answer = client.request("/close")
        client.expect_close()
        return "honoured" if answer.all("Connection") == ["close"] else str(answer)


probe("str-body")(status_of("/str"))


@probe("slashes")
def slashes(server: ServerProcess) -> str:
    answer = get(server.address, "//x/y")
    return "kept" if answer.body.startswith(b"//x/y|") else str(answer)


@probe("absolute-form")
def absolute_form(server: ServerProcess) -> str:
    answer = sent(server, b"GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n")
    return ok(answer.body == b"/x|a.test|-|", answer)


@probe("percent-zz")
def percent_zz(server: ServerProcess) -> str:
    answer = get(server.address, "/%zz")
    return "literal" if answer.body.startswith(b"/%zz|") else str(answer)


@probe("host-missing")
def host_missing(server: ServerProcess) -> str:
    return statuses(server, b"GET / HTTP/1.1\r\n\r\n")


@probe("host-twice")
def host_twice(server: ServerProcess) -> str:
    return statuses(server, field(b"Host: b.test"))


@probe("length-and-coding")
def length_and_coding(server: ServerProcess) -> str:
    head = field(b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"POST")
    with server.client() as client:
        client.send(head + chunked(b"hello") + request_bytes("/smuggled"))
        answer = client.response()
        client.expect_close()
        return str(answer.status)


@probe("length-broken")
def length_broken(server: ServerProcess) -> str:
    two = field(b"Content-Length: 5\r\nContent-Length: 6", b"POST") + b"hello!"
    return statuses(server, two, field(b"Content-Length: +5", b"POST") + b"hello")


@probe("coding-unknown")
def coding_unknown(server: ServerProcess) -> str:
    return statuses(server, field(b"Transfer-Encoding: xchunked", b"POST") + chunked(b"hello"))


@probe("coding-in-1.0")
def coding_in_1_0(server: ServerProcess) -> str:
    return statuses(server, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"hello"))


@probe("blank-and-fold")
def blank_and_fold(server: ServerProcess) -> str:
    return statuses(server, field(b"X-A : b"), field(b"X-A: b\r\n c"))


@probe("bare-bytes")
def bare_bytes(server: ServerProcess) -> str:
    return statuses(server, field(b"X-A: b\nX-B: c"), field(b"X-A: b\rX-B: c"), field(b"X-A: b\0c"))


@probe("version-9.9")
def version(server: ServerProcess) -> str:
    return statuses(server, b"GET / HTTP/9.9\r\nHost: a.test\r\n\r\n")


@probe("too-large")
def too_large(server: ServerProcess) -> str:
    target = b"GET /" + b"u" * 70_000 + b" HTTP/1.1\r\nHost: a.test\r\n\r\n"
    fields = b"\r\n".join(b"X-%d: 1" % number for number in range(300))
    return statuses(server, target, field(b"X-A: " + b"v" * 500_000), field(fields))


@probe("continue")
def expectation(server: ServerProcess) -> str:
    message = field(b"Expect: 100-continue\r\nContent-Length: 5", b"POST")
    with ServerProcess("compared:app", "--stream-request-body") as streaming:
        return (
            f"{who_answers(server, message)}; {who_answers(streaming, message)} with `--stream-request-body`"
        )


def who_answers(server: ServerProcess, message: bytes) -> str:
    """Whether the 100 comes for an application that does not read, and for one that does."""
    with server.client() as client:
        client.send(message)
        if client.one_response().status != 100:
            return "never"
        client.send(b"hello")
        if client.response().body != b"/|a.test|-|hello":
            return "and loses the body"
    with server.client() as client:
        client.send(message.replace(b"POST / ", b"POST /plain "))
        return "eager" if client.one_response().status == 100 else "lazy"


@probe("close-on-disconnect")
def close_on_disconnect(server: ServerProcess) -> str:
    with server.client() as client:
        client.send(request_bytes("/endless"))
        client.until(b"\r\n\r\n")
        client.reset()
    answer = get(server.address, "/was-closed")
    return ok(answer.body == b"closed", answer)


@probe("sigterm")
def sigterm(_: ServerProcess) -> str:
    with ServerProcess("compared:app") as server, server.client() as client:
        client.send(request_bytes("/waits"))
        assert get(server.address, "/was-entered").body == b"entered"
        server.signal(signal.SIGTERM)
        answer = client.response()
        return f"{'completes' if answer.body == b'finished' else answer}, exit code {server.wait()}"


@probe("half-uploads")
def half_uploads(server: ServerProcess) -> str:
    clients = [Client(server.address) for _ in range(6)]
    for client in clients:
        client.send(request_bytes("/", "POST", body=b"hello")[:-2])
    answer = get(server.address, "/plain")
    for client in clients:
        client.socket.close()
    return "served (4 threads)" if answer.body == b"hello" else str(answer)
