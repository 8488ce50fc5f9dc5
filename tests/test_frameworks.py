"""Every framework answers through Kirsch as it does elsewhere: one contract of routes, six applications.

Each application runs behind `wsgiref.validate` where the framework itself keeps the validator's rules, and
without it, because the validator hides what the server does with a bare list or file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests
from common import FAILURE, JSON_ANSWER, twenty_blocks
from support.client import request_bytes
from support.server import ServerProcess

FRAMEWORKS = {
    "webpy": "Hello from web.py",
    "flask": "Hello from Flask",
    "django": "Hello from Django",
    "bottle": "Hello from Bottle",
    "falcon": "Hello from Falcon",
    "pyramid": "Hello from Pyramid",
}
UPLOAD = b"\r\n--boundary\r".join(hashlib.sha256(str(number).encode()).digest() for number in range(40_000))


@pytest.fixture(scope="module", params=[*FRAMEWORKS, *[f"{name} validated" for name in FRAMEWORKS]])
def framework(request: pytest.FixtureRequest, blob: Path) -> Iterator[tuple[str, ServerProcess]]:
    """A framework's name, and the server of its application; at the end the validator must be content."""
    name, _, validated = request.param.partition(" ")
    environment = {"APP_FILE": str(blob), "APP_VALIDATE": validated}
    with ServerProcess(f"{name}_app:app", environment=environment) as server:
        yield name, server
        server.expect_valid()


@pytest.fixture
def name(framework: tuple[str, ServerProcess]) -> str:
    return framework[0]


@pytest.fixture
def server(framework: tuple[str, ServerProcess]) -> ServerProcess:
    return framework[1]


@pytest.fixture(params=["keep-alive", "close"])
def session(request: pytest.FixtureRequest) -> Iterator[requests.Session]:
    """A client of `requests`, with and without keep-alive."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Connection"] = request.param
        yield session


def test_text(name: str, server: ServerProcess, session: requests.Session) -> None:
    for _ in range(3):
        answer = session.get(server.url, timeout=10)
        assert (answer.status_code, answer.text) == (200, FRAMEWORKS[name])


def test_a_form_is_read(server: ServerProcess, session: requests.Session) -> None:
    fields = {"name": "Kirsch & Söhne", "note": "a+b=c\nd", "empty": ""}
    answer = session.post(f"{server.url}/form", data=fields, timeout=10).json()
    assert {key: value for key, value in answer.items() if value} == {
        key: fields[key] for key in ("name", "note")
    }


def test_cookies_are_set_and_read(server: ServerProcess, session: requests.Session) -> None:
    assert session.get(f"{server.url}/cookie", timeout=10).text == "none"
    assert session.get(f"{server.url}/cookie?set=morello", timeout=10).text == "set"
    assert dict(session.cookies) == {"flavour": "morello", "second": "2"}
    assert session.get(f"{server.url}/cookie", timeout=10).text == "morello"


def test_a_generator_is_streamed(server: ServerProcess, session: requests.Session) -> None:
    with session.get(f"{server.url}/stream", stream=True, timeout=10) as answer:
        assert b"".join(answer.iter_content(7)) == b"".join(twenty_blocks())


def test_an_upload_arrives_whole(server: ServerProcess, session: requests.Session) -> None:
    answer = session.post(f"{server.url}/upload", files={"file": ("name.bin", UPLOAD)}, timeout=30)
    assert answer.json() == {"sha256": hashlib.sha256(UPLOAD).hexdigest(), "length": len(UPLOAD)}


def test_a_file_is_served(server: ServerProcess, session: requests.Session, blob: Path) -> None:
    answer = session.get(f"{server.url}/static/blob", timeout=10)
    assert (answer.status_code, answer.content) == (200, blob.read_bytes())


def test_a_file_answers_head_with_its_length_or_none(server: ServerProcess, blob: Path) -> None:
    with server.client() as client:
        answer = client.request("/static/blob", "HEAD")
        # Some of the frameworks route HEAD to no GET: 405 with a length of its own is theirs to answer.
        assert answer.status != 200 or answer.get("Content-Length") in (None, "0", str(blob.stat().st_size))
        client.expect_open()


def test_a_redirect_leads_on(name: str, server: ServerProcess, session: requests.Session) -> None:
    answer = session.get(f"{server.url}/redirect", timeout=10)
    assert (len(answer.history), answer.text) == (1, FRAMEWORKS[name])
    assert answer.url == f"{server.url}/"


def test_an_exception_is_a_500_and_the_next_request_works(
    name: str, server: ServerProcess, session: requests.Session
) -> None:
    answer = session.get(f"{server.url}/error", timeout=10)
    assert answer.status_code == 500
    assert FAILURE not in answer.text
    assert session.get(server.url, timeout=10).text == FRAMEWORKS[name]
    server.wait_for_log(FAILURE)


def test_json_is_answered(server: ServerProcess, session: requests.Session) -> None:
    assert session.get(f"{server.url}/json", timeout=10).json() == JSON_ANSWER


def test_headers_go_both_ways(server: ServerProcess, session: requests.Session) -> None:
    answer = session.get(f"{server.url}/headers", headers={"X-Echo": "da capo"}, timeout=10)
    assert answer.headers["X-Echo"] == "da capo"
    assert answer.json()["HTTP_X_ECHO"] == "da capo"


def test_a_chunked_upload_arrives_whole(server: ServerProcess) -> None:
    """All six read a body only up to CONTENT_LENGTH; a server that buffers it knows its length."""
    head = b'--q8\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'

    def blocks() -> Iterator[bytes]:
        yield head
        yield from (UPLOAD[at : at + 50_000] for at in range(0, len(UPLOAD), 50_000))
        yield b"\r\n--q8--\r\n"

    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        kind = {"Content-Type": "multipart/form-data; boundary=q8"}
        answer = client.post("/upload", content=blocks(), headers=kind)
    assert answer.json() == {"sha256": hashlib.sha256(UPLOAD).hexdigest(), "length": len(UPLOAD)}


def test_pipelined_requests_are_answered_in_order(name: str, server: ServerProcess, blob: Path) -> None:
    targets = ["/", "/static/blob", "/stream", "/error", "/json", "/"]
    with server.client() as client:
        client.send(b"".join(request_bytes(target) for target in targets))
        answers = [client.response() for _ in targets]
    assert [answer.status for answer in answers] == [200, 200, 200, 500, 200, 200]
    bodies = [answer.body for answer in answers]
    assert bodies[0] == bodies[5] == FRAMEWORKS[name].encode()
    assert bodies[1:3] == [blob.read_bytes(), b"".join(twenty_blocks())]
    assert json.loads(bodies[4]) == JSON_ANSWER


@pytest.mark.parametrize("spec", ["webpy_app:application", "webpy_app", "webpy_app.py"])
def test_a_web_py_application_is_served_as_it_is(spec: str) -> None:
    """What `web.application(...)` gives, not its `wsgifunc()`; a module or file alone finds it by name."""
    with ServerProcess(spec) as server:
        assert requests.get(server.url, timeout=10).text == FRAMEWORKS["webpy"]
        assert re.search("Traceback", server.log) is None
