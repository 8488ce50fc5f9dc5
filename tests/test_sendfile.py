"""`X-Sendfile` and `X-Accel-Redirect`: the application says which file, the server sends it.

What is sent of a file, and how, is tested beside the code, in `crates/kirsch-files`. Here is what an
application does and sees: however it is written, the file takes the place of its body, once and only if it
may be named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import accel
import flask
import kirsch
import pytest
from support.client import Client
from support.inside import eventually
from support.server import APPS, ServerProcess, in_process
from support.server import kirsch as command

LARGE = bytes(range(251)) * 1000
Answer = Iterable[bytes]


class Naming:
    """An application that names the file of its path, in each of the ways an application can be written.

    Attributes:
        top: A folder with `open`, whose files may be named, and `closed`.
        calls: What was called on the iterable that it returned.
        caught: Exceptions that the server raised into it.
    """

    def __init__(self, top: Path) -> None:
        self.top = top
        self.calls: list[str] = []
        self.caught: list[BaseException] = []
        for name in ("open", "closed"):
            (top / name).mkdir()
            (top / name / "a.txt").write_text(name)
        (top / "open" / "large.bin").write_bytes(LARGE)
        (top / "open" / "é.txt").write_text("accents")

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Answer:
        path = str(self.top) + environ["PATH_INFO"]
        fields = [("Content-Type", "text/plain"), ("x-SendFile", path), ("X-Other", "kept")]
        way = environ["QUERY_STRING"]
        if way == "generator":
            return self.generator(start_response, fields)
        if way == "write":
            write = start_response("200 OK", fields)
            try:
                write(b"not the file")
                write(b"nor this")
            except OSError as error:
                self.caught.append(error)
                raise
            return []
        if way == "wrapper":
            start_response("200 OK", fields)
            return environ["wsgi.file_wrapper"](open(__file__, "rb"))  # type: ignore[no-any-return]
        if way == "closed":
            start_response("200 OK", fields)
            return Closing(self)
        if way == "twice":
            start_response("200 OK", fields)
            try:
                raise ValueError("changed its mind")
            except ValueError as error:
                start_response("500 Sorry", [], (ValueError, error, None))
            return [b"sorry"]
        start_response("200 OK", fields)
        return [b"not ", b"the file"] if way == "list" else []

    def generator(self, start_response: Any, fields: list[tuple[str, str]]) -> Iterator[bytes]:
        start_response("200 OK", fields)
        yield b"not the file"
        yield b"nor this"


class Closing:
    """An iterable that notes what is called on it."""

    def __init__(self, naming: Naming) -> None:
        self.naming = naming

    def __iter__(self) -> Iterator[bytes]:
        self.naming.calls.append("iter")
        yield b"x" * 100_000

    def close(self) -> None:
        self.naming.calls.append("close")


@pytest.fixture
def naming(tmp_path: Path) -> Naming:
    return Naming(tmp_path)


@pytest.fixture
def client(naming: Naming) -> Iterator[Client]:
    with (
        in_process(naming, x_sendfile=[str(naming.top / "open")]) as address,
        Client(address) as client,
    ):
        yield client


@pytest.mark.parametrize("way", ["", "list", "generator", "write", "wrapper", "closed"])
def test_the_file_takes_the_place_of_the_body(client: Client, naming: Naming, way: str) -> None:
    for _ in range(2):
        response = client.request(f"/open/a.txt?{way}")
        assert (response.status, response.body, response.framing) == (200, b"open", "length")
        assert response.get("X-Sendfile") is None
        assert response.get("X-Other") == "kept"
    assert client.request(f"/open/large.bin?{way}").body == LARGE
    if way == "closed":
        # The client has its answer before.
        eventually(lambda: naming.calls == ["iter", "close"] * 3, "each was closed")


def test_ranges_and_conditions_are_served_from_the_file(client: Client) -> None:
    tag = client.request("/open/a.txt").get("ETag")
    assert tag is not None
    assert client.request("/open/a.txt", fields=(f"If-None-Match: {tag}",)).status == 304
    part = client.request("/open/large.bin", fields=("Range: bytes=250-252",))
    assert (part.status, part.body) == (206, b"\xfa\x00\x01")
    assert part.get("Content-Range") == "bytes 250-252/251000"
    parts = client.request("/open/large.bin", fields=("Range: bytes=0-0,5000-5000",))
    assert parts.status == 206
    assert re.match("multipart/byteranges; boundary=", parts.get("Content-Type") or "")


@pytest.mark.parametrize(("asked", "status"), [(None, 200), ("bytes=5-8", 206), ("bytes=-4", 206)])
def test_a_range_that_flask_has_answered_is_served_from_the_file(
    naming: Naming, asked: str | None, status: int
) -> None:
    """Its `send_file` says 206 of a body that it leaves to the server."""
    app = flask.Flask(__name__)
    app.config["USE_X_SENDFILE"] = True
    path = naming.top / "open" / "large.bin"
    app.add_url_rule("/", view_func=lambda: flask.send_file(path))
    fields = () if asked is None else (f"Range: {asked}",)
    with in_process(app, x_sendfile=[str(path.parent)]) as address, Client(address) as client:
        answer = client.request("/", fields=fields)
    assert answer.status == status
    size = len(LARGE)
    expected = {
        None: (None, LARGE),
        "bytes=5-8": (f"bytes 5-8/{size}", LARGE[5:9]),
        "bytes=-4": (f"bytes {size - 4}-{size - 1}/{size}", LARGE[-4:]),
    }
    assert (answer.get("Content-Range"), answer.body) == expected[asked]
    assert answer.get("Accept-Ranges") == (None if asked else "bytes")


def test_a_name_is_the_bytes_of_a_native_string(client: Client) -> None:
    assert client.request("/open/%C3%A9.txt").body == b"accents"


def test_what_start_response_is_told_last_counts(client: Client) -> None:
    response = client.request("/open/a.txt?twice")
    assert (response.status, response.body) == (500, b"sorry")


@pytest.mark.parametrize("path", ["/closed/a.txt", "/open/../closed/a.txt", "/opened"])
@pytest.mark.parametrize("way", ["", "generator", "write"])
def test_no_other_file_is_given_away(
    naming: Naming, path: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        in_process(naming, x_sendfile=str(naming.top / "open")) as address,
        Client(address) as client,
    ):
        response = client.request(f"{path}?{way}")
    assert response.status == 500
    assert b"closed" not in response.body
    # The server has stopped, so what it had to say was said.
    assert "lies in none of the folders that may be named" in caplog.text
    assert [type(error) for error in naming.caught] == ([OSError] if way == "write" else [])


def test_a_link_leads_nowhere_else_and_what_is_gone_is_not_there(client: Client, naming: Naming) -> None:
    os.symlink("../closed/a.txt", naming.top / "open" / "link")
    for path in ("/open/link", "/open/gone", "/open/"):
        assert client.request(path).status == 404


def test_without_folders_the_field_is_one_like_others(naming: Naming) -> None:
    with in_process(naming) as address, Client(address) as client:
        response = client.request("/open/a.txt?list")
        assert response.body == b"not the file"
        assert response.get("X-Sendfile") == str(naming.top / "open" / "a.txt")


INTERNAL = """
bind = "127.0.0.1:0"

[apps.accel]
wsgi = "accel:app"
path = "{here}"

[[routes]]
path = "/kept"
files = "open"
internal = true

[[routes]]
host = "other.test"
path = "/other"
files = "closed"
internal = true

[[routes]]
app = "accel"
set_headers = {{ x-frame-options = "DENY" }}
"""


@pytest.fixture
def internal(naming: Naming, tmp_path: Path) -> Iterator[ServerProcess]:
    text = INTERNAL.format(here=APPS)
    (tmp_path / "kirsch.toml").write_text(text)
    with ServerProcess("", words=command(), folder=tmp_path) as server:
        yield server


@pytest.mark.parametrize("way", ["/list", "/generator"])
def test_an_internal_route_takes_the_place_of_the_body(internal: ServerProcess, way: str) -> None:
    with internal.client() as client:
        response = client.request(f"{way}?/kept/a.txt")
        assert (response.status, response.body, response.framing) == (200, b"open", "length")
        kept = [response.get(name) for name in ("Content-Type", "Set-Cookie", "X-Frame-Options")]
        assert kept == ["text/x-kept", "a=1", "DENY"]
        gone = [response.get(name) for name in ("X-Other", "X-Accel-Redirect")]
        assert gone == [None, None]
        assert response.get("ETag") != '"of-the-empty-body"'
        assert client.request(f"{way}?/kept/large.bin").body == LARGE
        assert client.request(f"{way}?/kept/%C3%A9.txt").body == b"accents"
        assert client.request(f"{way}?/kept/gone").status == 404
        part = client.request(f"{way}?/kept/large.bin", fields=("Range: bytes=250-252",))
        assert (part.status, part.body) == (206, b"\xfa\x00\x01")


def test_no_client_reaches_an_internal_route(internal: ServerProcess) -> None:
    with internal.client() as client:
        for path in ("/kept/a.txt", "/kept", "/%6bept/a.txt", "/kept/gone"):
            response = client.request(path)
            assert (response.status, response.body) == (404, b"404 Not Found\n"), path


def test_no_other_place_is_given_away(internal: ServerProcess) -> None:
    places = (
        "/closed/a.txt",
        "/kept/../closed/a.txt",
        "/kept/%2e%2e/closed/a.txt",
        "/other/a.txt",
        "@kept",
        "",
    )
    with internal.client() as client:
        for place in places:
            response = client.request(f"/list?{place}")
            assert (response.status, b"closed" in response.body) == (500, False), place
            internal.wait_for_log(f"X-Accel-Redirect: {re.escape(place)}: no internal route leads there")
        # The route is for the host of the request.
        client.send(b"GET /list?/other/a.txt HTTP/1.1\r\nHost: other.test\r\n\r\n")
        response = client.response()
        assert (response.status, response.body) == (200, b"closed")


def test_without_internal_routes_the_field_is_one_like_others(naming: Naming) -> None:
    with in_process(accel.app, x_sendfile=str(naming.top / "open")) as address, Client(address) as client:
        response = client.request("/list?/kept/a.txt")
        assert (response.body, response.get("X-Accel-Redirect")) == (b"not the file", "/kept/a.txt")


def test_a_program_has_internal_routes_too(naming: Naming) -> None:
    routes = [kirsch.Route(path="/kept", files=str(naming.top / "open"), internal=True)]
    with in_process(accel.app, routes=routes) as address, Client(address) as client:
        assert client.request("/list?/kept/a.txt").body == b"open"
        assert client.request("/kept/a.txt").status == 404
