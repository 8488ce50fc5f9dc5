"""Compression of responses: what is encoded, what never is, and that no block waits for the next.

Each encoding is decoded with another's decoder. The rules for heads alone are tested beside the code, in
`kirsch-http/src/h1/content_coding.rs`, the encoders in `kirsch-server/src/compression/encoder.rs`.
"""

from __future__ import annotations

import gzip
import json
import random
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import brotli
import kirsch
import pytest
import zstandard
from support.client import BrokenResponse, Client, Response
from support.server import in_process

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]

CODINGS = ("gzip", "br", "zstd")
PAGE = b"".join(b"<li>cherry %d of the tree %d</li>\n" % (number, number % 7) for number in range(200))
HTML = ("Content-Type", "text/html; charset=utf-8")
DEADLINE = 20.0


def decoded(response: Response) -> bytes:
    """The content of a response, whatever its encoding."""
    return decode(response.get("Content-Encoding"), response.body)


def decode(coding: str | None, body: bytes) -> bytes:
    if coding is None:
        return body
    if coding == "gzip":
        return gzip.decompress(body)
    if coding == "br":
        return brotli.decompress(body)
    assert coding == "zstd", coding
    return zstandard.ZstdDecompressor().decompressobj().decompress(body)


class Begun:
    """What a client makes of a stream that has not ended."""

    def __init__(self, coding: str) -> None:
        gzips = zlib.decompressobj(wbits=31).decompress
        zstds = zstandard.ZstdDecompressor().decompressobj().decompress
        self._decode = {"gzip": gzips, "br": brotli.Decompressor().process, "zstd": zstds}[coding]
        self._coding = coding

    def decode(self, data: bytes) -> bytes:
        """What can be read now."""
        seen = part = self._decode(data)
        # This one gives a part of what it has, until there is none.
        while self._coding == "br" and part:
            part = self._decode(b"")
            seen += part
        return seen


def page(
    body: bytes = PAGE, *fields: tuple[str, str], status: str = "200 OK", ctype: str = HTML[1]
) -> Application:
    """An application that answers with a body that is all there."""

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response(status, [("Content-Type", ctype), *fields])
        return [body]

    return app


def accepting(value: str) -> tuple[str, ...]:
    return (f"Accept-Encoding: {value}",)


def once(app: Application, accept: str = "gzip", method: str = "GET", **options: Any) -> Response:
    """One response of an application behind a server that compresses."""
    options.setdefault("compress", list(CODINGS))
    with in_process(app, **options) as address, Client(address) as client:
        return client.request("/", method, fields=accepting(accept) if accept else ())


@pytest.mark.parametrize("coding", CODINGS)
def test_a_page_is_encoded_with_its_length(coding: str) -> None:
    response = once(page(), coding)
    assert decoded(response) == PAGE
    assert (response.get("Content-Encoding"), response.framing) == (coding, "length")
    assert len(response.body) < len(PAGE) / 3
    assert response.get("Vary") == "Accept-Encoding"


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, br, zstd", "gzip"),
        ("br, zstd", "br"),
        ("gzip;q=0.5, br;q=0.8, zstd;q=0.7", "br"),
        ("*;q=0.1", "gzip"),
        ("gzip;q=0, *", "br"),
        ("identity, gzip;q=0.5", None),
        ("deflate", None),
        ("", None),
    ],
)
def test_the_client_weighs_and_the_server_prefers(accept: str, coding: str | None) -> None:
    response = once(page(), accept)
    assert response.get("Content-Encoding") == coding
    assert decoded(response) == PAGE
    # Whoever keeps the response has to know, whichever form it is.
    assert response.get("Vary") == "Accept-Encoding"


def test_several_lines_are_one_list() -> None:
    with in_process(page(), compress=["zstd", "br"]) as address, Client(address) as client:
        response = client.request(fields=("Accept-Encoding: gzip", "Accept-Encoding: br;q=0.3"))
    assert response.get("Content-Encoding") == "br"


def test_nothing_is_encoded_unless_it_is_set() -> None:
    with in_process(page()) as address, Client(address) as client:
        response = client.request(fields=accepting("gzip, br, zstd"))
    assert (response.body, response.all("Content-Encoding"), response.all("Vary")) == (PAGE, [], [])


NEVER: dict[str, Application] = {
    "encoded": page(PAGE, ("Content-Encoding", "x-own")),
    "a range": page(PAGE, ("Content-Range", f"bytes 0-{len(PAGE) - 1}/99999"), status="206 Partial Content"),
    "no-transform": page(PAGE, ("Cache-Control", "public, no-transform")),
    "digest": page(PAGE, ("Repr-Digest", "sha-256=:d435Qo+nKZ+gLcUHn7GQtQ72hiBVAgqoLsZnZPiTGPk=:")),
    "MD5": page(PAGE, ("Content-MD5", "x")),
    "small": page(b"x" * 1023),
    "a picture": page(ctype="image/png"),
    "events": page(ctype="text/event-stream"),
    "empty": page(b""),
}


@pytest.mark.parametrize("name", NEVER)
def test_what_is_never_encoded_is_as_the_application_gave_it(name: str) -> None:
    plain = once(NEVER[name], compress=())
    response = once(NEVER[name])
    own = [field for field in plain.fields if field[0] not in ("Date", "X-Request-ID")]
    assert [field for field in response.fields if field[0] not in ("Date", "X-Request-ID")] == own
    assert response.body == plain.body


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_what_has_no_content_has_no_encoding(status: str) -> None:
    response = once(page(b"", ("ETag", '"a"'), status=status))
    assert (response.all("Content-Encoding"), response.all("Vary")) == ([], [])
    assert response.get("ETag") == '"a"'


def test_what_does_not_become_smaller_is_sent_as_it_is() -> None:
    noise = random.Random(7).randbytes(3000)
    response = once(page(noise, ("ETag", '"a"'), ctype="text/plain"))
    assert (response.body, response.get("Content-Encoding")) == (noise, None)
    assert (response.get("ETag"), response.get("Vary")) == ('"a"', "Accept-Encoding")


def test_the_head_is_that_of_the_encoded_content() -> None:
    fields = [("ETag", '"a"'), ("Accept-Ranges", "bytes"), ("Vary", "Cookie"), ("X-Own", "kept")]
    response = once(page(PAGE, *fields, ("Content-Length", str(len(PAGE)))))
    assert response.get("ETag") == 'W/"a"'
    assert response.all("Accept-Ranges") == []
    assert response.all("Vary") == ["Cookie", "Accept-Encoding"]
    assert response.all("Content-Length") == [str(len(response.body))]
    assert response.get("X-Own") == "kept"
    assert decoded(response) == PAGE


def test_a_304_names_the_tag_that_the_client_has() -> None:
    app = page(b"", ("ETag", '"a"'), status="304 Not Modified")
    with in_process(app, compress="gzip") as address, Client(address) as client:
        weak = client.request(fields=('If-None-Match: "b", W/"a"', *accepting("gzip")))
        strong = client.request(fields=('If-None-Match: "a"', *accepting("gzip")))
    assert (weak.get("ETag"), weak.get("Vary")) == ('W/"a"', "Accept-Encoding")
    assert (strong.get("ETag"), strong.get("Vary")) == ('"a"', None)


def test_head_has_the_fields_of_get_as_far_as_they_are_known() -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [HTML, ("Content-Length", str(len(PAGE))), ("ETag", '"a"')])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [PAGE]

    with in_process(app, compress="gzip") as address, Client(address) as client:
        head = client.request(method="HEAD", fields=accepting("gzip"))
        get = client.request(fields=accepting("gzip"))
    for name in ("Content-Encoding", "Vary", "ETag", "Content-Type"):
        assert head.all(name) == get.all(name), name
    # How long it would become is known only to who encodes it.
    assert head.all("Content-Length") == []


def test_head_without_a_length_promises_nothing() -> None:
    head = once(page(b"", ("ETag", '"a"')), method="HEAD")
    assert (head.get("ETag"), head.get("Vary"), head.get("Content-Encoding")) == (
        'W/"a"',
        "Accept-Encoding",
        None,
    )


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("way", ["iterator", "write"])
def test_no_block_waits_for_the_next(coding: str, way: str) -> None:
    go_on = threading.Semaphore(0)
    blocks = [b"first ", b"second ", b"x" * 5000, b"y" * 70_000, b"last"]

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [HTML])
        if way == "iterator":
            return waiting()
        for block in waiting():
            write(block)
        return []

    def waiting() -> Iterator[bytes]:
        for block in blocks:
            yield block
            assert go_on.acquire(timeout=DEADLINE)

    with in_process(app, compress=coding) as address, Client(address) as client:
        client.send(f"GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: {coding}\r\n\r\n".encode())
        assert f"Content-Encoding: {coding}\r\n".encode() in client.until(b"\r\n\r\n")
        begun = Begun(coding)
        for block in blocks:
            # The application goes on only when the client has read all of this block.
            seen = b""
            while len(seen) < len(block):
                size = int(client.until(b"\r\n"), 16)
                seen += begun.decode(client.received(size))
                assert client.received(2) == b"\r\n"
            assert seen == block
            go_on.release()
        assert begun.decode(client.rest_of_chunks()) == b""
        # And the connection is good for another.
        for _ in blocks:
            go_on.release()
        assert decoded(client.request(fields=accepting(coding))) == b"".join(blocks)


def test_a_whole_body_given_by_an_iterator_with_its_length_has_a_length() -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [HTML, ("Content-Length", str(len(PAGE)))])
        yield PAGE

    response = once(app)
    assert (decoded(response), response.framing) == (PAGE, "length")


def test_blocks_with_a_length_become_chunks() -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [HTML, ("Content-Length", str(len(PAGE)))])
        yield PAGE[:100]
        yield PAGE[100:]

    response = once(app)
    assert (decoded(response), response.framing) == (PAGE, "chunked")


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [300_000, 20_000_000])
def test_a_large_block_is_encoded(coding: str, size: int) -> None:
    body = (PAGE * (size // len(PAGE) + 1))[:size]
    response = once(page(body), coding)
    assert (response.get("Content-Encoding"), response.framing) == (coding, "chunked")
    assert decoded(response) == body


@pytest.mark.parametrize("size", [3000, 300_000])
@pytest.mark.parametrize("coding", CODINGS)
def test_a_file_is_encoded(coding: str, size: int, tmp_path: Path) -> None:
    body = (PAGE * 100)[:size]
    (tmp_path / "page").write_bytes(body)

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [HTML])
        return environ["wsgi.file_wrapper"]((tmp_path / "page").open("rb"))

    response = once(app, coding)
    assert (decoded(response), response.get("Content-Encoding")) == (body, coding)


def test_http_1_0_gets_what_has_a_length() -> None:
    def blocks(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [HTML])
        yield PAGE
        yield PAGE

    for app, coding, body in ((page(), "gzip", PAGE), (blocks, None, PAGE * 2)):
        with in_process(app, compress="gzip") as address, Client(address) as client:
            client.send(b"GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
            response = client.response()
        assert (response.get("Content-Encoding"), decoded(response)) == (coding, body)
        assert response.all("Transfer-Encoding") == []
        assert response.get("Vary") == "Accept-Encoding"


def test_what_is_announced_is_compared_with_what_is_given() -> None:
    def short(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [HTML, ("Content-Length", str(len(PAGE) + 1))])
        yield PAGE

    with pytest.raises(BrokenResponse):
        once(short)

    def long(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [HTML, ("Content-Length", str(len(PAGE)))])
        yield PAGE[:10]
        yield PAGE[10:] + b"too much"
        raise AssertionError("nobody asks for more")

    with in_process(long, compress="gzip") as address, Client(address) as client:
        assert decoded(client.request(fields=accepting("gzip"))) == PAGE
        assert decoded(client.request(fields=accepting("gzip"))) == PAGE


def test_write_is_told_of_what_is_too_much() -> None:
    told: list[BaseException] = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [HTML, ("Content-Length", "2000")])
        write(PAGE[:1000])
        try:
            write(PAGE[:1001])
        except ValueError as error:
            told.append(error)
        return []

    assert decoded(once(app)) == PAGE[:1000] * 2
    assert len(told) == 1


def test_an_application_that_fails_leaves_a_body_that_is_not_whole() -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [HTML])
        yield PAGE
        raise RuntimeError("in the middle")

    with pytest.raises(BrokenResponse):
        once(app)


def test_an_application_that_fails_before_its_first_block_is_a_500() -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [HTML, ("Content-Length", "5000")])
        raise RuntimeError("at once")
        yield b""

    with in_process(app, compress="gzip") as address, Client(address) as client:
        response = client.request(fields=accepting("gzip"))
        assert (response.status, response.all("Content-Encoding")) == (500, [])
        client.expect_open()


def test_a_client_that_reads_slowly_gets_all() -> None:
    # More than the kernel takes, of what hardly becomes smaller.
    noise = random.Random(1).randbytes(40_000).hex().encode()

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [HTML])
        for _ in range(60):
            yield noise[:3000]
            yield noise

    expected = (noise[:3000] + noise) * 60
    with (
        in_process(app, compress="gzip", limit_response_memory=65536) as address,
        Client(address, receive_buffer=4096) as client,
    ):
        assert decoded(client.request(fields=accepting("gzip"))) == expected


def test_the_types_and_the_smallest_size_can_be_set() -> None:
    options: dict[str, Any] = {
        "compress": "gzip",
        "compress_types": ["application/x-cherry"],
        "compress_min": 10,
    }
    assert once(page(b"a" * 50, ctype="application/x-cherry"), **options).get("Content-Encoding") == "gzip"
    assert once(page(PAGE), **options).get("Content-Encoding") is None


def test_requests_on_one_connection_each_have_their_encoding() -> None:
    with in_process(page(), compress=list(CODINGS)) as address, Client(address) as client:
        lines = [f"GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: {coding}\r\n\r\n" for coding in CODINGS]
        client.send("".join(lines).encode())
        for coding in CODINGS:
            response = client.response()
            assert (response.get("Content-Encoding"), decoded(response)) == (coding, PAGE)


def test_the_log_counts_what_was_sent(tmp_path: Path) -> None:
    log = tmp_path / "log"
    response = once(page(), compress="gzip:9", access_log="json", access_log_file=str(log))
    assert json.loads(log.read_text())["http.response.body.size"] == len(response.body) < len(PAGE)


def test_files_are_sent_as_they_are_with_their_ranges_and_strong_tags(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(PAGE)
    (tmp_path / "packed.html").write_bytes(PAGE)
    (tmp_path / "packed.html.gz").write_bytes(gzip.compress(PAGE))

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [HTML, ("X-Sendfile", str(tmp_path / "page.html"))])
        return []

    routes = [kirsch.Route(path="/files", files=tmp_path)]
    options: dict[str, Any] = {"compress": list(CODINGS), "x_sendfile": tmp_path}
    with in_process(app, routes=routes, **options) as address, Client(address) as client:
        for target in ("/files/page.html", "/named"):
            response = client.request(target, fields=accepting("gzip, br, zstd"))
            assert (response.body, response.get("Content-Encoding")) == (PAGE, None), target
            tag = response.get("ETag")
            assert (tag or "").startswith('"')
            assert response.get("Accept-Ranges") == "bytes"
            part = client.request(target, fields=(*accepting("gzip"), "Range: bytes=1-3", f"If-Range: {tag}"))
            assert (part.status, part.body) == (206, PAGE[1:4])
            known = client.request(target, fields=(*accepting("gzip"), f"If-None-Match: W/{tag}"))
            assert (known.status, known.get("ETag")) == (304, tag)
        packed = client.request("/files/packed.html", fields=accepting("gzip"))
        assert (packed.get("Content-Encoding"), gzip.decompress(packed.body)) == ("gzip", PAGE)


def test_a_route_may_say_that_its_application_is_not_to_be_compressed() -> None:
    fields = {"cache-control": "no-transform"}
    routes = [kirsch.Route(path="/secret", app=page(), set_headers=fields)]
    with in_process(page(), routes=routes, compress="gzip") as address, Client(address) as client:
        assert client.request("/", fields=accepting("gzip")).get("Content-Encoding") == "gzip"
        response = client.request("/secret", fields=accepting("gzip"))
    assert (response.body, response.get("Content-Encoding")) == (PAGE, None)
    assert response.get("Cache-Control") == "no-transform"
