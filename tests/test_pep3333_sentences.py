"""PEP 3333, sentence by sentence: each that binds a server has its test, or the reason why it has none.

The sentences stand in `conformance/pep3333.json`, in the order of the PEP, each with the tests that prove it:
functions of this file and of the others here, or cases of `conformance/http1.json`.
The tests in this file are for sentences that no row of the plan names.
"""

from __future__ import annotations

import json
import re
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.client import BrokenResponse, request_bytes
from support.conformance import cases
from support.server import ServerProcess
from support.wsgi import ask, environ_of, events, marked, must_be_refused, open_gate, operations

ROOT = Path(__file__).resolve().parent.parent
SENTENCES: list[dict[str, Any]] = json.loads((ROOT / "conformance/pep3333.json").read_text("utf-8"))
TEST = re.compile(r"^def (test_\w+)\(", re.MULTILINE)
CASE = re.compile(r"[A-Z]{2}-\d{2,3}")
CGI = {
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
}


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess("pep3333:app", threads=4) as server:
        yield server
        server.expect_valid()


@pytest.fixture(scope="module")
def single() -> Iterator[ServerProcess]:
    with ServerProcess("pep3333:app", threads=1) as server:
        yield server


# The table


def test_every_sentence_names_tests_that_are_there_or_says_why_not() -> None:
    tests = {
        name for path in Path(__file__).parent.glob("test_*.py") for name in TEST.findall(path.read_text())
    }
    known = tests | {case.id for case in cases()}
    wrong = []
    for entry in SENTENCES:
        assert set(entry) <= {"section", "verb", "sentence", "tests", "reason"}, entry
        assert entry["verb"] in ("must", "should", "may"), entry
        assert bool(entry.get("tests")) != bool(entry.get("reason")), entry
        wrong += [name for name in entry.get("tests", []) if name not in known]
    assert wrong == []


def test_every_test_of_this_file_proves_a_sentence() -> None:
    named = {name for entry in SENTENCES for name in entry.get("tests", [])}
    here = set(TEST.findall(Path(__file__).read_text()))
    about_the_table = {name for name in here if "every_sentence" in name or "every_test" in name}
    assert here - about_the_table <= named


# How the application is called


def test_the_application_is_called_once_for_each_request(server: ServerProcess) -> None:
    target, name = marked("/once")
    with server.client() as client:
        client.send(request_bytes(target) * 50)
        assert [client.response().body for _ in range(50)] == [b"once"] * 50
    assert len(events(server, name)) == 50


def test_the_application_is_called_with_two_positions() -> None:
    with ServerProcess("pep3333:only_positions") as server:
        assert ask(server, "/").body == b"called"


def test_environ_is_a_dictionary_and_the_requests_own(server: ServerProcess) -> None:
    with server.client() as client:
        assert [client.request("/clears").body for _ in range(3)] == [b"True"] * 3
        environ = json.loads(client.request("/environ").body)
    assert CGI - {"SCRIPT_NAME", "QUERY_STRING"} <= set(environ)


def test_start_response_and_write_take_what_they_say_and_nothing_more(server: ServerProcess) -> None:
    assert json.loads(ask(server, "/signature").body) == ["TypeError"] * 5


def test_the_body_arrives_byte_for_byte(server: ServerProcess) -> None:
    assert ask(server, "/bytes").body == bytes(range(256)) + b"\r\n\n\r\r\n"


def test_nothing_of_an_iterable_is_used_but_iteration_and_close(server: ServerProcess) -> None:
    target, name = marked("/attributes")
    with server.client() as client:
        assert client.request(target).body == b"ab"
    seen = events(server, name, until="closed")
    assert set(seen) <= {"__iter__", "__next__", "close", "closed"}


# environ


def test_every_required_variable_is_there(server: ServerProcess) -> None:
    environ = environ_of(server, request_bytes("/environ?a"))
    wsgi = {"version", "url_scheme", "input", "errors", "multithread", "multiprocess", "run_once"}
    assert (CGI | {f"wsgi.{name}" for name in wsgi}) <= set(environ)


def test_cgi_variables_are_native_strings(server: ServerProcess) -> None:
    fields = ("Content-Type: text/plain", "X-Any: caf\xe9")
    environ = environ_of(server, request_bytes("/environ?a=b", "POST", body=b"a", fields=fields))
    assert {key: kind for key, (kind, _) in environ.items() if "." not in key and kind != "str"} == {}


def test_as_many_cgi_variables_as_apply_are_there_and_no_others(server: ServerProcess) -> None:
    environ = environ_of(server, request_bytes("/environ", fields=("Authorization: Basic dTpw",)))
    assert {"GATEWAY_INTERFACE", "SERVER_SOFTWARE", "REMOTE_ADDR", "REMOTE_PORT"} <= set(environ)
    assert {"REMOTE_USER", "AUTH_TYPE", "REMOTE_HOST", "REMOTE_IDENT", "PATH_TRANSLATED"} & set(
        environ
    ) == set()


def test_a_fields_variable_is_there_if_the_field_is(server: ServerProcess) -> None:
    fields = ("Accept:", "X-Any: 1", "Range: bytes=0-1", "If-None-Match: *")
    environ = environ_of(server, request_bytes("/environ", fields=fields))
    found = {key for key in environ if key.startswith("HTTP_")}
    assert found == {"HTTP_HOST", "HTTP_ACCEPT", "HTTP_X_ANY", "HTTP_RANGE", "HTTP_IF_NONE_MATCH"}


def test_the_servers_own_variables_are_named_as_they_should_be(server: ServerProcess) -> None:
    environ = environ_of(server, request_bytes("/environ"))
    own = [key for key in environ if "." in key and not key.startswith("wsgi.")]
    assert own
    assert [key for key in own if not re.fullmatch(r"kirsch\.[a-z0-9_.]+", key)] == []


def test_every_variable_is_documented(server: ServerProcess) -> None:
    page = (ROOT / "docs/concepts/wsgi.md").read_text("utf-8")
    fields = ("Content-Type: text/plain",)
    environ = environ_of(server, request_bytes("/environ?a", "POST", body=b"a", fields=fields))
    assert [key for key in environ if not key.startswith("HTTP_") and f"`{key}`" not in page] == []
    assert "standard error" in page.split("`wsgi.errors`")[1].splitlines()[0]


def test_strings_for_the_application_hold_latin_1_alone(server: ServerProcess) -> None:
    odd = "\xe2\x82\xac\xff"
    environ = environ_of(
        server, request_bytes(f"/environ?{odd}%80", fields=(f"X-Any: {odd}", f"Cookie: {odd}"))
    )
    values = [value for kind, value in environ.values() if kind == "str"]
    assert odd in "".join(values)
    assert [value for value in values if value and max(value) > "\xff"] == []


def test_the_address_can_be_made_again_without_a_host(server: ServerProcess) -> None:
    with server.client() as client:
        client.send(b"GET /e22 HTTP/1.0\r\n\r\n")
        address = "http://{}:{}/e22".format(*server.address)
        assert json.loads(client.response().body)[0] == address


# The streams


def test_an_empty_input_gives_empty_bytes(server: ServerProcess) -> None:
    steps = (["read"], ["read", 5], ["readline"], ["readline", 5], ["readlines"], ["next"])
    assert json.loads(ask(server, operations(*steps)).body) == ["", "", "", "", [], "stop"]


def test_the_input_gives_bytes_and_nothing_like_them(server: ServerProcess) -> None:
    with server.client() as client:
        answer = client.request("/input/types", "POST", body=b"abcd\nefgh\nijkl\nmnop")
    assert json.loads(answer.body) == ["bytes"] * 6


def test_the_error_stream_takes_any_text(server: ServerProcess) -> None:
    assert ask(server, "/errors/odd").body == b"written"
    server.wait_for_log("begin .* end")


# start_response and write


def test_a_call_that_was_refused_counts_as_the_first(server: ServerProcess) -> None:
    assert must_be_refused(server, "/refused/again") == ["RuntimeError"]
    answer = ask(server, "/refused/again", exc_info="1")
    assert (answer.status, answer.body) == (503, b"sorry")


def test_a_head_that_was_refused_is_a_500_and_not_the_applications(server: ServerProcess) -> None:
    with server.client() as client:
        answer = client.request("/refused/alone")
        assert (answer.status, b"never" in answer.raw) == (500, False)
        client.expect_open()


@pytest.mark.parametrize("path", ["/head/waits", "/write/waits"])
def test_the_head_waits_for_the_first_bytes_of_the_body(server: ServerProcess, path: str) -> None:
    target, name = marked(path)
    with server.client() as client:
        client.send(request_bytes(target))
        assert events(server, name, until="waiting") == ["waiting"]
        assert select.select([client.socket], [], [], 0)[0] == [], (
            "something was sent before there was a body"
        )
        open_gate(server, name)
        assert client.response().body == b"body"


def test_what_http_requires_is_added(server: ServerProcess) -> None:
    answer = ask(server, "/s01")
    assert (len(answer.all("Date")), len(answer.all("Server"))) == (1, 1)
    assert answer.framing in ("length", "chunked")


def test_write_beyond_the_length_raises_and_sends_nothing(server: ServerProcess) -> None:
    target, name = marked("/write/beyond")
    with server.client() as client:
        assert client.request(target).body == b"abcd"
        client.expect_open()
    assert events(server, name) == ["ValueError"]


def test_write_across_the_length_sends_what_was_announced_and_raises(server: ServerProcess) -> None:
    target, name = marked("/write/across")
    with server.client() as client:
        assert client.request(target).body == b"abcd"
        client.expect_open()
    assert events(server, name) == ["ValueError"]


def test_write_of_an_answer_to_head_is_no_mistake(server: ServerProcess) -> None:
    target, name = marked("/write/head")
    with server.client() as client:
        assert client.request(target, "HEAD").get("Content-Length") == "4"
        client.expect_open()
    assert events(server, name) == ["written"]


# What else


def test_one_thread_is_in_the_application_at_a_time_if_there_is_one(single: ServerProcess) -> None:
    clients = [single.client() for _ in range(8)]
    for client in clients:
        client.send(request_bytes("/crowd") * 5)
    assert {client.response().body for client in clients for _ in range(5)} == {b"1"}
    for client in clients:
        client.socket.close()


def test_the_file_wrapper_takes_a_file_and_perhaps_a_size(server: ServerProcess) -> None:
    assert json.loads(ask(server, "/wrapper/signature").body) == ["TypeError", "none", "none", "TypeError"]


def test_the_file_wrapper_is_an_iterable_for_middleware_too(server: ServerProcess) -> None:
    target, name = marked("/wrapper/iterated")
    with server.client() as client:
        assert json.loads(client.request(target).body) == ["ab", "cd", "e"]
    assert events(server, name) == ["closed"]


def test_an_exception_is_logged_and_a_begun_response_is_aborted(server: ServerProcess) -> None:
    target, name = marked("/b21")
    with server.client() as client, pytest.raises(BrokenResponse):
        client.request(target)
    server.wait_for_log(rf"(?s)GET /b21[^\n]*id={name}.*RuntimeError: planned")
