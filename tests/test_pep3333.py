"""PEP 3333, row by row: what the server owes an application, seen on the wire and in the application.

The applications stand in `apps/pep3333.py`. The names of the tests begin with the row of the conformance
plan. Rows without a test here, and where they are proven:

* E11 with TLS, F17 with TLS, U09 and every HTTP/2 column: with those protocols.
* I23, L10 in part, E18, U06 and others that are bytes on a connection: `test_conformance.py`.
* X06, E12 with several workers, X13: with worker processes. X11: in the Rust tests, which can inject a panic.
* X10, the messages: `test_first_mistakes.py`. X12 in full, 1,000,000 requests: the endurance run.

The same from the other side, sentence by sentence: `test_pep3333_sentences.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import itertools
import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pep3333 import BAD_FIELD_LISTS, BAD_FIELDS, BAD_STATUSES, operate
from support.client import BrokenResponse, Client, chunked, get, request_bytes
from support.server import ServerProcess
from support.wsgi import ask, environ_of, events, marked, must_be_refused, open_gate, operations

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """The server of most tests; at the end, the validator must have found nothing."""
    with ServerProcess("pep3333:app", threads=4) as server:
        yield server
        server.expect_valid()


@pytest.fixture(scope="module")
def single() -> Iterator[ServerProcess]:
    with ServerProcess("pep3333:app", threads=1) as server:
        yield server


@pytest.fixture(scope="module")
def streaming() -> Iterator[ServerProcess]:
    with ServerProcess("pep3333:app", "--stream-request-body", threads=4) as server:
        yield server


@pytest.fixture(params=["buffered", "streamed"])
def either(request: pytest.FixtureRequest) -> ServerProcess:
    """A server that buffers request bodies, and one that streams them."""
    return request.getfixturevalue("server" if request.param == "buffered" else "streaming")


# E: environ


def test_e05_server_name_and_port_are_there_without_a_host(server: ServerProcess) -> None:
    environ = environ_of(server, b"GET /environ HTTP/1.0\r\n\r\n")
    assert environ["SERVER_NAME"][0] == environ["SERVER_PORT"][0] == "str"
    assert environ["SERVER_NAME"][1] != ""
    assert environ["SERVER_PORT"][1] == str(server.address[1])
    assert environ["REMOTE_ADDR"] == ["str", "127.0.0.1"]


def test_e05_over_ipv6_the_servers_address_is_a_host_and_the_clients_an_address() -> None:
    """One has brackets, the other has none (RFC 3875 sections 4.1.14 and 4.1.8)."""
    with ServerProcess("pep3333:app", bind="[::1]:0") as server:
        environ = environ_of(server, b"GET /environ HTTP/1.0\r\n\r\n")
        with server.client() as client:
            client.send(b"GET /e22 HTTP/1.0\r\n\r\n")
            address = json.loads(client.response().body)[0]
    assert address == f"http://[::1]:{server.address[1]}/e22"
    assert environ["SERVER_NAME"][1] == "[::1]"
    assert environ["SERVER_PORT"][1] == str(server.address[1])
    assert environ["REMOTE_ADDR"][1] == "::1"


def test_e05_over_a_unix_socket_name_and_port_are_not_empty(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with ServerProcess("pep3333:app", bind=f"unix:{path}", address=("", 0)) as server:
        server.wait_for_log(re.escape(path))
        with Client(path) as client:
            environ = json.loads(client.request("/environ").body)
    assert environ["SERVER_NAME"][1] != ""
    assert environ["SERVER_PORT"][1].isdecimal()
    assert environ["REMOTE_ADDR"][0] == "str"
    assert not os.path.exists(path), "the socket was left behind"


def test_e05_on_an_inherited_descriptor_the_port_is_the_sockets_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number, port = listener.fileno(), listener.getsockname()[1]
        with ServerProcess("pep3333:app", bind=f"fd://{number}", pass_fds=(number,)) as server:
            environ = environ_of(server, b"GET /environ HTTP/1.0\r\n\r\n")
    assert server.address[1] == port
    assert environ["SERVER_PORT"][1] == str(port)


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_e06_server_protocol_is_the_requests_version(server: ServerProcess, version: str) -> None:
    environ = environ_of(server, f"GET /environ {version}\r\nHost: a.test\r\n\r\n".encode())
    assert environ["SERVER_PROTOCOL"] == ["str", version]


def test_e07_without_a_body_type_and_length_are_absent_or_empty(server: ServerProcess) -> None:
    environ = environ_of(server, request_bytes("/environ"))
    assert environ.get("CONTENT_TYPE", ["str", ""]) == ["str", ""]
    assert environ.get("CONTENT_LENGTH", ["str", ""]) == ["str", ""]


def test_e09_a_chunked_body_has_no_length_or_its_true_one(either: ServerProcess) -> None:
    head = b"POST /environ HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    environ = environ_of(either, head + chunked(b"hello", b"you"))
    assert environ.get("CONTENT_LENGTH", ["str", ""]) in (["str", ""], ["str", "8"])
    assert environ.get("HTTP_TRANSFER_ENCODING") in (None, ["str", "chunked"])


def test_e10_wsgi_version_is_a_tuple(server: ServerProcess) -> None:
    assert environ_of(server, request_bytes("/environ"))["wsgi.version"] == ["tuple", [1, 0]]


def test_e11_cleartext_says_so_and_nothing_of_tls(server: ServerProcess) -> None:
    environ = environ_of(server, request_bytes("/environ"))
    assert environ["wsgi.url_scheme"] == ["str", "http"]
    assert [key for key in environ if key == "HTTPS" or key.startswith("SSL_")] == []


def test_e12_multithread_is_true_with_more_than_one_thread(
    server: ServerProcess, single: ServerProcess
) -> None:
    keys = ("wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once")
    many = environ_of(server, request_bytes("/environ"))
    assert [many[key] for key in keys] == [["bool", True], ["bool", False], ["bool", False]]
    one = environ_of(single, request_bytes("/environ"))
    assert [one[key] for key in keys] == [["bool", False], ["bool", False], ["bool", False]]


def test_e13_lines_written_to_wsgi_errors_by_four_threads_stay_whole() -> None:
    with ServerProcess("pep3333:app", threads=4) as server:
        clients = [server.client() for _ in range(4)]
        for who, client in enumerate(clients):
            client.send(request_bytes(f"/errors?lines=10000&who={who}"))
        assert [client.response().body for client in clients] == [b"written"] * 4
        for client in clients:
            client.socket.close()
    lines = re.findall(r"line é (\d) (\d+) end$", server.log, re.MULTILINE)
    for who in range(4):
        assert [int(number) for by, number in lines if by == str(who)] == list(range(10_000))
        assert f"lines {who} one\n" in server.log
        assert f"lines {who} two\n" in server.log


def test_e13_an_ascii_standard_error_refuses_no_character() -> None:
    with ServerProcess("pep3333:app", environment={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}) as server:
        assert ask(server, "/errors").body == b"written"


def test_e15_the_servers_environment_variables_are_not_in_environ() -> None:
    with ServerProcess("pep3333:app", environment={"SECRET": "1"}) as server:
        environ = environ_of(server, request_bytes("/environ"))
    assert "SECRET" not in environ
    assert "PATH" not in environ


def test_e16_the_input_is_terminated_and_files_can_be_wrapped(server: ServerProcess) -> None:
    environ = environ_of(server, request_bytes("/environ"))
    assert environ["wsgi.input_terminated"] == ["bool", True]
    assert environ["wsgi.file_wrapper"][1] is True, "it is not callable"


def test_e17_extra_keys_are_the_raw_target_and_our_own(server: ServerProcess) -> None:
    environ = environ_of(server, request_bytes("/environ?a=%20b"))
    cgi = {"REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH"}
    cgi |= {"SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "SERVER_SOFTWARE", "REMOTE_ADDR", "REMOTE_PORT"}
    cgi |= {"GATEWAY_INTERFACE"}
    known = cgi | {"RAW_URI", "REQUEST_URI"}
    assert environ["RAW_URI"][1] == environ["REQUEST_URI"][1] == "/environ?a=%20b"
    assert [
        key for key in environ if key not in known and not key.startswith(("HTTP_", "wsgi.", "kirsch."))
    ] == []


def test_e18_odd_fields_arrive_as_pep_3333_has_them(server: ServerProcess) -> None:
    fields = ("X-Two: a", "X-Two: b", "Cookie: a=1", "Cookie: b=2", "X-Latin: \xe9", "X-Empty:")
    environ = environ_of(server, request_bytes("/environ", fields=(*fields, "X_Twin: evil", "X-Twin: good")))
    names = ("HTTP_X_TWO", "HTTP_COOKIE", "HTTP_X_LATIN", "HTTP_X_EMPTY", "HTTP_X_TWIN")
    assert [re.sub(r", ?", ",", environ[name][1]) for name in names] == ["a,b", "a=1; b=2", "é", "", "good"]


def test_e19_environ_is_freed_at_the_end_of_its_request_without_the_collector(server: ServerProcess) -> None:
    ask(server, "/gc", then="off")
    with server.client() as client:
        for _ in range(50):
            client.send(request_bytes("/e19") * 20)
            assert [client.response().body for _ in range(20)] == [b"held"] * 20
        left = client.request("/e19/left").body
    ask(server, "/gc", then="on")
    assert left == b"0"


def test_e20_environ_may_be_kept_after_the_request(server: ServerProcess) -> None:
    assert get(server.address, "/keep", method="POST", body=b"the first").body == b"kept"
    found = json.loads(get(server.address, "/read-kept", method="POST", body=b"the second").body)
    assert found[0] in ("b''", "ValueError")
    assert found[1] == "the second"


def test_e22_environ_can_be_copied_and_shifted(server: ServerProcess) -> None:
    with server.client() as client:
        client.send(b"GET /e22 HTTP/1.1\r\nHost: a.test:81\r\n\r\n")
        assert json.loads(client.response().body) == ["http://a.test:81/e22", "e22", "/e22"]


# U: URL keys


def test_u01_path_and_query_stand_apart(server: ServerProcess) -> None:
    environ = environ_of(server, request_bytes("/environ?x=y?z"))
    values = [environ[key] for key in ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")]
    assert values == [["str", ""], ["str", "/environ"], ["str", "x=y?z"]]


@pytest.mark.parametrize("query", ["%C3%A9=%zz&&;+", "a=b%26c", "%25", "é".encode().decode("latin-1")])
def test_u07_the_query_arrives_byte_for_byte(server: ServerProcess, query: str) -> None:
    assert environ_of(server, request_bytes(f"/environ?{query}"))["QUERY_STRING"][1] == query


# I: wsgi.input


def test_i02_read_waits_for_all_it_was_asked_for(streaming: ServerProcess) -> None:
    with streaming.client() as client:
        target = operations(["read", 6], ["read", 3], ["read", 3])
        client.send(f"POST {target} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\n".encode())
        for byte in b"trickles!":
            client.send(bytes([byte]))
        assert json.loads(client.response().body) == ["trickl", "es!", ""]


def test_i03_read_of_nothing_uses_nothing_up(either: ServerProcess) -> None:
    answer = get(either.address, operations(["read", 0], ["read", 0], ["read"]), method="POST", body=b"body")
    assert json.loads(answer.body) == ["", "", "body"]


def test_i05_after_the_end_there_is_nothing_five_times(either: ServerProcess) -> None:
    steps: list[Any] = [["read"], *[["read", 4]] * 5, ["read"], ["readline"], ["readlines"], ["next"]]
    with either.client() as client:
        answer = client.request(operations(*steps), "POST", body=b"body")
        assert json.loads(answer.body) == ["body", *[""] * 5, "", "", [], "stop"]
        client.expect_open()


def test_i08_readline_honours_its_size(either: ServerProcess) -> None:
    long_line = "x" * MIB + "\n"
    steps: list[Any] = [["readline", 2], ["readline", 0], ["readline", -1], ["readline"], ["readline", 5]]
    body = f"first\n{long_line}last".encode()
    answer = get(either.address, operations(*steps), method="POST", body=body)
    assert json.loads(answer.body) == ["fi", "", "rst\n", long_line, "last"]


def test_i10_iteration_gives_every_line(either: ServerProcess) -> None:
    steps = [*[["next"]] * 4, ["read"]]
    answer = get(either.address, operations(*steps), method="POST", body=b"a\n\nb\r\n")
    assert json.loads(answer.body) == ["a\n", "\n", "b\r\n", "stop", ""]


sizes = st.integers(min_value=-1, max_value=40)
steps_of_input = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["read", "readline", "readlines"])),
        st.tuples(st.sampled_from(["read", "readline", "readlines"]), sizes),
        st.tuples(st.just("next")),
    ),
    min_size=1,
    max_size=12,
)
bodies = st.lists(
    st.sampled_from([b"\n", b"\r", b"a", b"bc", b"\r\n", b"x" * 17, b"y" * 9000]), max_size=30
).map(b"".join)


@pytest.mark.parametrize("framing", ["length", "chunked"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=bodies, steps=steps_of_input, cuts=st.lists(st.floats(0, 1), max_size=6), chunk=st.integers(1, 5000)
)
def test_i11_and_i12_the_input_answers_as_a_binary_file_does(
    either: ServerProcess,
    framing: str,
    body: bytes,
    steps: list[tuple[Any, ...]],
    cuts: list[float],
    chunk: int,
) -> None:
    file = io.BytesIO(body)
    expected = [operate(file, name, *arguments) for name, *arguments in steps]
    head = f"POST {operations(*steps)} HTTP/1.1\r\nHost: a.test\r\n"
    if framing == "length":
        message = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    else:
        blocks = [body[at : at + chunk] for at in range(0, len(body), chunk)]
        message = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunked(*blocks)
    places = [0, *sorted(int(cut * len(message)) for cut in cuts), len(message)]
    with either.client() as client:
        for start, end in itertools.pairwise(places):
            client.send(message[start:end])
        answer = client.response()
        assert json.loads(answer.body) == expected
        # An answer before the end of a streamed body was seen may end the connection, but says so.
        if answer.get("Connection") == "close":
            client.expect_close()
        else:
            client.expect_open()


def test_i12_the_validator_finds_nothing_in_a_chunked_request(either: ServerProcess) -> None:
    with either.client() as client:
        client.send(b"POST /input/validated HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(chunked(b"a", b"bc\nd", b"ef"))
        assert json.loads(client.response().body) == ["ab", "c\n", "def"]


HALF_BODIES = {
    "length": b"Content-Length: 10\r\n\r\nhello",
    "chunk": b"Transfer-Encoding: chunked\r\n\r\na\r\nhello",
    "between chunks": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
}


@pytest.mark.parametrize("half", HALF_BODIES)
@pytest.mark.parametrize("leave", [Client.finish, Client.reset], ids=["i14 by FIN", "i15 by RST"])
def test_i14_and_i15_half_a_body_is_an_error_and_never_a_short_body(
    streaming: ServerProcess, half: str, leave: Callable[[Client], None]
) -> None:
    target, name = marked("/input/error")
    with streaming.client() as client:
        client.send(f"POST {target} HTTP/1.1\r\nHost: a.test\r\n".encode() + HALF_BODIES[half])
        # A client that leaves before the application was called would prove nothing.
        events(streaming, name, until="reading")
        leave(client)
        assert events(streaming, name, until="done") == ["reading", ["raised", True], "done"]


@pytest.mark.parametrize("half", HALF_BODIES)
def test_i14_where_bodies_are_buffered_the_application_never_sees_half_of_one(
    server: ServerProcess, half: str
) -> None:
    target, name = marked("/input/error")
    with server.client() as client:
        client.send(f"POST {target} HTTP/1.1\r\nHost: a.test\r\n".encode() + HALF_BODIES[half])
        client.finish()
        assert client.response().status == 400
        client.expect_close()
    assert events(server, name) == []


def test_i18_an_old_input_never_gives_bytes_of_the_next_request(streaming: ServerProcess) -> None:
    with streaming.client() as client:
        assert client.request("/keep", "POST", body=b"the first").body == b"kept"
        client.send(request_bytes("/read-kept", "POST", body=b"the second"))
        found = json.loads(client.response().body)
    assert found[0] in ("b''", "ValueError")
    assert found[1] == "the second"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_i24_twenty_mebibytes_arrive_whole(either: ServerProcess, framing: str) -> None:
    body = b"".join(
        hashlib.sha256(str(number).encode()).digest() + b"\r\n" for number in range(20 * MIB // 34)
    )
    with either.client(deadline_seconds=60) as client:
        if framing == "length":
            client.send(request_bytes("/input/sha256", "POST", body=body))
        else:
            client.send(b"POST /input/sha256 HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.send(chunked(*[body[at : at + 65_537] for at in range(0, len(body), 65_537)]))
        assert client.response().body.decode() == hashlib.sha256(body).hexdigest()


# S: start_response and write


def test_s01_start_response_answers_write(server: ServerProcess) -> None:
    assert ask(server, "/s01").body == b"True"


def test_s02_status_and_fields_go_out_in_order_and_case(server: ServerProcess) -> None:
    answer = ask(server, "/s02")
    own = [pair for pair in answer.fields if pair[0].lower() in ("x-a", "x-b", "x-empty", "content-type")]
    assert (answer.status, answer.reason) == (207, "Many Things")
    assert own == [("X-B", "1"), ("x-a", "2"), ("Content-Type", "text/plain"), ("X-B", "3"), ("X-EMPTY", "")]


def test_s03_a_second_call_without_exc_info_is_refused(server: ServerProcess) -> None:
    must_be_refused(server, "/s03")


def test_s05_exc_info_before_anything_was_sent_replaces_status_and_headers(server: ServerProcess) -> None:
    answer = ask(server, "/s05")
    assert (answer.status, answer.reason, answer.body) == (503, "Later", b"sorry")
    assert (answer.get("X-New"), answer.get("X-Old")) == ("1", None)
    assert answer.get("Content-Length") in (None, "5")


def test_s06_exc_info_after_the_first_byte_raises_the_given_exception_again(server: ServerProcess) -> None:
    target, name = marked("/s06")
    with server.client() as client, pytest.raises(BrokenResponse) as broken:
        client.request(target)
    assert broken.value.raw.endswith(b"5\r\nfirst\r\n")
    assert events(server, name) == [["raised", True, True]]


def test_s08_exc_info_leaves_no_reference_cycle(single: ServerProcess) -> None:
    """With one thread, nothing of an earlier test can end between the two collections."""
    with single.client() as client:
        client.request("/gc?then=off")
        for _ in range(100):
            client.send(request_bytes("/s08") * 20)
            assert [client.response().body for _ in range(20)] == [b"s08"] * 20
        assert client.request("/gc?then=on").body == b"0"


@pytest.mark.parametrize("path", ["/s10", "/s11"])
def test_s10_and_s11_start_response_may_wait_for_the_first_block(server: ServerProcess, path: str) -> None:
    answer = ask(server, path)
    assert (answer.status, answer.reason, answer.body) == (404, "Lazy", b"lazy")
    assert answer.get("X-Lazy") == ("yes" if path == "/s10" else None)


def test_s12_empty_blocks_send_nothing_so_that_exc_info_can_still_replace(server: ServerProcess) -> None:
    answer = ask(server, "/s12")
    assert (answer.status, answer.body) == (500, b"sorry")


def test_s13_an_empty_iterable_sends_the_head_at_its_end(server: ServerProcess) -> None:
    answer = ask(server, "/s13")
    assert (answer.status, answer.reason, answer.get("X-Here"), answer.body) == (202, "Empty", "yes", b"")


@pytest.mark.parametrize("number", range(len(BAD_STATUSES)), ids=[repr(status) for status in BAD_STATUSES])
def test_s15_a_malformed_status_is_refused(server: ServerProcess, number: int) -> None:
    must_be_refused(server, "/s15", n=str(number))


@pytest.mark.parametrize("number", range(len(BAD_FIELD_LISTS)), ids=["tuple", "generator", "dict", "None"])
def test_s17_headers_that_are_no_list_are_refused(server: ServerProcess, number: int) -> None:
    must_be_refused(server, "/s17", n=str(number))


@pytest.mark.parametrize("number", range(len(BAD_FIELDS)), ids=[repr(field) for field in BAD_FIELDS])
def test_s20_and_s21_a_malformed_header_is_refused(server: ServerProcess, number: int) -> None:
    must_be_refused(server, "/s20", n=str(number))


def test_s22_a_latin_1_value_is_one_byte_a_character_and_a_tab_is_allowed(server: ServerProcess) -> None:
    answer = ask(server, "/s22")
    assert b"X-A: caf\xe9\r\n" in answer.raw
    assert answer.get("X-Tab") == "a\tb"


def test_s26_the_applications_date_and_server_are_kept_and_not_doubled(server: ServerProcess) -> None:
    answer = ask(server, "/s26")
    assert answer.all("Date") == ["Sun, 06 Nov 1994 08:49:37 GMT"]
    assert answer.all("Server") == ["mine"]


def test_s27_the_list_of_headers_is_copied_and_left_alone(server: ServerProcess) -> None:
    for _ in range(2):
        answer = ask(server, "/s27")
        assert json.loads(answer.body) == [["Content-Type", "text/plain"], ["X-A", "1"]]
        assert (answer.get("X-A"), answer.get("X-Late")) == ("1", None)


def test_s28_subclasses_of_str_are_strings(server: ServerProcess) -> None:
    answer = ask(server, "/s28")
    assert (answer.status, answer.reason, answer.get("X-A"), answer.body) == (200, "Fine", "1", b"s28")


def test_s29_write_sends_at_once_and_what_is_returned_follows(server: ServerProcess) -> None:
    target, name = marked("/s29")
    with server.client() as client:
        client.send(request_bytes(target))
        assert client.until(b"\r\n1\r\na\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        open_gate(server, name)
        assert client.rest_of_chunks() == b"b"


@pytest.mark.parametrize("number", range(5), ids=["str", "bytearray", "memoryview", "int", "None"])
def test_s30_write_takes_nothing_but_bytes(server: ServerProcess, number: int) -> None:
    assert must_be_refused(server, "/s30", n=str(number)) == ["TypeError"]


def test_s32_write_after_the_request_raises_and_sends_nothing(server: ServerProcess) -> None:
    target, name = marked("/s32")
    with server.client() as client:
        assert client.request("/s32").body == b"kept"
        assert client.request(target).body == b"tried"
        client.expect_open()
    assert len(events(server, name)) == 1


def test_s33_write_to_a_client_that_has_gone_raises_and_close_is_called(server: ServerProcess) -> None:
    target, name = marked("/s33")
    with server.client(receive_buffer=4096) as client:
        client.send(request_bytes(target))
        client.until(b"\r\n\r\n")
        client.reset()
        assert events(server, name, until="closed") == ["OSError", "closed"]


def test_s34_an_empty_write_sends_nothing_so_that_exc_info_can_still_replace(server: ServerProcess) -> None:
    answer = ask(server, "/s34")
    assert (answer.status, answer.body) == (503, b"sorry")


# B: the iterable


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("list", b"abbccc"),
        ("tuple", b"abbccc"),
        ("empty list", b""),
        ("empty tuple", b""),
        ("empty iterator", b""),
        ("empty blocks", b"ab"),
        ("bytes subclass", b"mine"),
        ("set", b"abc"),
        ("old sequence", b"older"),
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_b02_b03_b05_and_b09_an_iterables_blocks_are_the_body(
    server: ServerProcess, kind: str, body: bytes, version: str
) -> None:
    with server.client() as client:
        client.send(
            f"GET /iterable?{urlencode({'kind': kind})} HTTP/{version}\r\nHost: a.test\r\n\r\n".encode()
        )
        answer = client.response()
        assert (answer.status, answer.body) == (200, body)
        assert version == "1.1" or answer.framing != "chunked"


def test_b02_one_block_has_its_length(server: ServerProcess) -> None:
    answer = ask(server, "/iterable", kind="one")
    assert (answer.get("Content-Length"), answer.framing, answer.body) == ("5", "length", b"hello")


def test_b04_a_block_is_at_the_client_before_the_next_is_asked_for(server: ServerProcess) -> None:
    target, name = marked("/b04")
    with server.client() as client:
        client.send(request_bytes(target))
        client.until(b"\r\n5\r\nfirst\r\n")
        open_gate(server, name)
        assert client.rest_of_chunks() == b"second"
        client.expect_open()


@pytest.mark.parametrize("kind", ["bytes", "str", "None", "int"])
def test_b07_what_is_no_iterable_of_bytes_is_a_500(server: ServerProcess, kind: str) -> None:
    with server.client() as client:
        assert client.request(f"/iterable?kind={kind}").status == 500
        client.expect_open()


@pytest.mark.parametrize("kind", ["str", "int", "None", "bytearray", "memoryview"])
def test_b08_a_block_that_is_not_bytes_is_a_500(server: ServerProcess, kind: str) -> None:
    assert ask(server, "/iterable", kind=f"block {kind}").status == 500


def test_b10_close_is_called_once_after_the_normal_end(server: ServerProcess) -> None:
    target, name = marked("/b10")
    assert get(server.address, target).body == b"ab"
    assert events(server, name, until="closed") == ["closed"]


def test_b10_what_close_writes_belongs_to_the_body(server: ServerProcess) -> None:
    assert ask(server, "/b10/write").body == b"the body and the end"


@pytest.mark.parametrize("after", ["0", "1"])
def test_b11_and_b20_close_is_called_once_after_an_exception(server: ServerProcess, after: str) -> None:
    target, name = marked("/b11", after=after)
    with server.client() as client:
        client.send(request_bytes(target))
        if after == "0":
            assert client.response().status == 500
        else:
            with pytest.raises(BrokenResponse):
                client.response()
    assert events(server, name, until="closed") == ["closed"]


def test_b14_an_exception_in_close_is_logged_and_the_response_stays_good(server: ServerProcess) -> None:
    with server.client() as client:
        assert client.request("/b14").body == b"whole"
        client.expect_open()
    server.wait_for_log("planned in close")


def test_b15_the_client_does_not_wait_for_close(server: ServerProcess) -> None:
    target, name = marked("/b15")
    with server.client() as client:
        assert client.request(target).body == b"whole"
        open_gate(server, name)
    assert events(server, name, until="closed") == ["closed"]


def test_b16_the_close_of_a_list_subclass_is_called(server: ServerProcess) -> None:
    target, name = marked("/iterable", kind="list subclass")
    assert get(server.address, target).body == b"ab"
    assert events(server, name, until="closed") == ["closed"]


@pytest.mark.parametrize("length", ["", "100"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_b21_an_exception_in_the_body_aborts_the_response_visibly(
    server: ServerProcess, length: str, version: str
) -> None:
    with server.client() as client:
        client.send(f"GET /b21?length={length} HTTP/{version}\r\nHost: a.test\r\n\r\n".encode())
        if version == "1.0" and not length:
            # A close is how such a body ends in any case: only a reset could tell. Either is allowed.
            assert b" 200 OK\r\n" in client.until(b"first")
        else:
            with pytest.raises(BrokenResponse) as broken:
                client.response()
            assert b"first" in broken.value.raw


def test_b23_an_endless_body_ends_when_its_client_leaves(server: ServerProcess) -> None:
    target, name = marked("/b23")
    with server.client() as client:
        client.send(request_bytes(target))
        client.until(b"\r\n\r\n")
        client.reset()
    assert events(server, name, until="closed") == ["closed"]


def test_b26_the_iterable_stays_on_the_thread_that_called_the_application(server: ServerProcess) -> None:
    target, name = marked("/b26")
    with server.client() as client:
        assert len(client.request(target).body) == 300 * 65536
    noted = events(server, name, until="closed")
    assert noted == ["same thread"] * 301 + ["closed"]


def test_b27_every_request_begins_with_a_clean_context(single: ServerProcess) -> None:
    assert [ask(single, "/b27").body for _ in range(3)] == [b"clean leaked"] * 3


# L: lengths, HEAD, bodiless answers


def test_l01_a_body_shorter_than_announced_ends_the_connection(server: ServerProcess) -> None:
    target, name = marked("/length", length="10", blocks="abc")
    with server.client() as client, pytest.raises(BrokenResponse) as broken:
        client.request(target)
    assert broken.value.raw.endswith(b"\r\n\r\nabc")
    assert events(server, name, until="closed") == ["abc", "closed"]
    server.wait_for_log("(?i)content-length")


def test_l02_a_body_longer_than_announced_is_cut_and_the_connection_stays_in_step(
    server: ServerProcess,
) -> None:
    target, name = marked("/length", length="4", blocks="abc,def,ghi")
    with server.client() as client:
        assert client.request(target).body == b"abcd"
        client.expect_open()
    assert events(server, name, until="closed") == ["abc", "def", "closed"]


def test_l03_head_of_one_block_has_the_length_and_no_body(server: ServerProcess) -> None:
    with server.client() as client:
        answer = client.request("/iterable?kind=one", "HEAD")
        assert answer.get("Content-Length") == "5"
        client.expect_open()


def test_l03_the_application_sees_head(server: ServerProcess) -> None:
    assert ask(server, "/method", "HEAD").get("X-Method") == "HEAD"


def test_l04_head_of_a_generator_sends_no_chunk_and_closes(server: ServerProcess) -> None:
    target, name = marked("/b10")
    with server.client() as client:
        assert client.request(target, "HEAD").status == 200
        client.expect_open()
    assert events(server, name, until="closed") == ["closed"]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_l05_an_answer_that_may_have_no_body_sends_none(server: ServerProcess, status: str) -> None:
    target, _ = marked("/length", status=status, length="5", blocks="stray")
    with server.client() as client:
        answer = client.request(target)
        assert answer.status == int(status[:3])
        assert answer.get("Transfer-Encoding") is None
        assert status[:3] != "204" or answer.get("Content-Length") is None
        client.expect_open()


def test_l07_a_205_has_no_content_and_says_so(server: ServerProcess) -> None:
    target, _ = marked("/length", status="205 Reset Content", blocks="stray")
    with server.client() as client:
        answer = client.request(target)
        assert (answer.status, answer.get("Content-Length"), answer.body) == (205, "0", b"")
        client.expect_open()


def test_l08_with_length_zero_a_body_is_dropped(server: ServerProcess) -> None:
    target, _ = marked("/length", length="0", blocks="stray")
    with server.client() as client:
        assert client.request(target).body == b""
        client.expect_open()


def test_l09_for_1_0_a_body_without_length_ends_with_the_connection(server: ServerProcess) -> None:
    with server.client() as client:
        client.send(b"GET /b10 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = client.response()
    assert (answer.framing, answer.body, answer.get("Transfer-Encoding")) == ("close", b"ab", None)


def test_l10_an_answer_before_the_body_was_read_arrives_whole(either: ServerProcess) -> None:
    with either.client() as client:
        client.send_what_is_taken(request_bytes("/l10", "POST", body=b"b" * 4 * MIB))
        answer = client.response()
    assert (answer.status, answer.body) == (401, b"who")


# F: wsgi.file_wrapper


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3_000_000])
@pytest.mark.parametrize("announced", [True, False], ids=["with length", "without"])
def test_f01_a_files_bytes_arrive(server: ServerProcess, tmp_path: Path, size: int, announced: bool) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    announce = str(size) if announced else ""
    with server.client() as client:
        target = "/file?" + urlencode({"path": tmp_path / "file", "announce": announce})
        assert client.request(target).body == content
        client.expect_open()


@pytest.mark.slow
def test_f01_three_gibibytes_arrive(server: ServerProcess, tmp_path: Path) -> None:
    size = 3 * 1024 * MIB
    with (tmp_path / "file").open("wb") as file:
        file.truncate(size)
    with socket.create_connection(server.address) as stream:
        target = "/file?" + urlencode({"path": tmp_path / "file", "announce": str(size)})
        stream.sendall(f"GET {target} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n".encode())
        received, block = 0, bytearray(MIB)
        while count := stream.recv_into(block):
            received += count
    assert size < received < size + 1000


@pytest.mark.parametrize("how", ["seek", "read"])
def test_f02_and_f03_sending_begins_where_the_file_stands(
    server: ServerProcess, tmp_path: Path, how: str
) -> None:
    content = os.urandom(100_000)
    (tmp_path / "file").write_bytes(content)
    target = "/file?" + urlencode({"path": tmp_path / "file", how: "100"})
    assert get(server.address, target).body == content[100:]


def test_f03_a_files_length_beyond_what_was_announced_is_not_sent(
    server: ServerProcess, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with server.client() as client:
        target = "/file?" + urlencode({"path": tmp_path / "file", "announce": "4", "seek": "2"})
        assert client.request(target).body == b"2345"
        client.expect_open()


def test_f07_an_object_with_read_alone_is_enough(server: ServerProcess) -> None:
    target, name = marked("/wrapped", kind="read only")
    assert get(server.address, target).body == b"x" * 100_000
    assert events(server, name, until="closed") == ["closed"]


@pytest.mark.parametrize("kind", ["stringio", "text"])
def test_f09_a_text_file_is_a_500(server: ServerProcess, kind: str) -> None:
    assert ask(server, "/wrapped", kind=kind).status == 500


def test_f10_what_is_no_regular_file_is_read(server: ServerProcess) -> None:
    assert ask(server, "/wrapped", kind="pipe").body == b"piped"
    assert ask(server, "/wrapped", kind="proc").body.startswith(b"Name:\t")
    assert ask(server, "/wrapped", kind="bytesio").body == b"in memory"


@pytest.mark.parametrize("kind", ["raises", "negative", "closed", "huge"])
def test_f11_an_odd_descriptor_sends_no_other_files_bytes(server: ServerProcess, kind: str) -> None:
    answer = ask(server, "/wrapped", kind=kind)
    assert (answer.status, answer.body) == (200, b"odd") or answer.status == 500


def test_f15_a_file_truncated_while_it_is_sent_aborts_the_response(
    server: ServerProcess, tmp_path: Path
) -> None:
    path, size = tmp_path / "file", 256 * MIB
    with path.open("wb") as file:
        file.truncate(size)
    with server.client(receive_buffer=65536) as client:
        client.send(request_bytes("/file?" + urlencode({"path": path, "announce": str(size)})))
        client.until(b"\r\n\r\n")
        os.truncate(path, 0)
        assert count_to_end(client) < size


def count_to_end(client: Client) -> int:
    """How many bytes come before the end of the stream, or a reset."""
    received, block = 0, bytearray(MIB)
    with contextlib.suppress(ConnectionResetError):
        while count := client.socket.recv_into(block):
            received += count
    return received


def test_f17_a_file_for_head_and_for_1_0(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    target = "/file?" + urlencode({"path": tmp_path / "file"})
    with server.client() as client:
        assert client.request(target, "HEAD").body == b""
        client.expect_open()
        client.send(f"GET {target} HTTP/1.0\r\n\r\n".encode())
        assert client.response().body == b"0123456789"
        client.expect_close()


def test_f19_a_range_is_the_applications_business(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    target = "/file?" + urlencode({"path": tmp_path / "file"})
    answer = get(server.address, target, fields=("Range: bytes=2-3",))
    assert (answer.status, answer.body) == (200, b"0123456789")


def test_f20_a_wrapper_that_is_not_returned_is_not_closed(server: ServerProcess) -> None:
    target, name = marked("/f20")
    assert get(server.address, target).body == b"something else"
    assert events(server, name) == []


# X: errors and life cycle


@pytest.mark.parametrize("path", ["/raise", "/raise/exit", "/raise/interrupt", "/no-start"])
def test_x01_an_exception_is_a_500_that_tells_the_client_nothing(server: ServerProcess, path: str) -> None:
    with server.client() as client:
        answer = client.request(path)
        assert answer.status == 500
        assert answer.framing == "length"
        assert b"secret" not in answer.raw
        assert b"Traceback" not in answer.raw
        client.expect_open()


def test_x01_the_log_has_the_whole_traceback_with_the_requests_line(server: ServerProcess) -> None:
    target, name = marked("/raise")
    get(server.address, target)
    server.wait_for_log(rf"(?s)GET /raise.*id={name}")
    server.wait_for_log(r"(?s)Traceback \(most recent call last\).*RuntimeError: a secret of the application")


def test_x03_the_text_of_an_exception_cannot_forge_or_flood_the_log() -> None:
    with ServerProcess("pep3333:app") as server:
        assert ask(server, "/raise/odd").status == 500
        server.wait_for_log("RuntimeError: odd")
    assert "\x1b" not in server.log
    assert not re.search(r"^FAKE LOG LINE", server.log, re.MULTILINE)
    assert len(server.log) < 200_000


def test_x04_requests_go_on_when_the_log_can_no_longer_be_written() -> None:
    read_end, write_end = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number, address = listener.fileno(), listener.getsockname()
        server = ServerProcess(
            "pep3333:app", bind=f"fd://{number}", pass_fds=(number,), stderr=write_end, address=address
        )
        os.close(write_end)
        with server:
            assert ask(server, "/").body == b"plain"
            os.close(read_end)
            assert ask(server, "/raise").status == 500
            assert ask(server, "/errors", lines="100").body == b"written"
            assert ask(server, "/").body == b"plain"


def test_x05_a_request_that_takes_too_long_is_answered_504_and_others_live() -> None:
    with ServerProcess("pep3333:app", "--timeout-request", "3s", threads=2) as server:
        target, name = marked("/gate")
        with server.client() as stuck:
            stuck.send(request_bytes(target))
            events(server, name, until="waiting")
            assert ask(server, "/").body == b"plain"
            assert stuck.response().status == 504
        open_gate(server, name)


def test_x07_an_application_may_fork_and_start_programs(server: ServerProcess) -> None:
    code, sockets, blocked = json.loads(ask(server, "/x07").body)
    assert code == 7
    assert sockets == 0, "a program of the application inherited sockets of the server"
    assert blocked == [], "a program of the application would never see these signals"
    assert ask(server, "/").body == b"plain"


def test_x08_threads_of_the_application_do_not_keep_the_server_from_stopping() -> None:
    with ServerProcess("pep3333:app") as server:
        assert ask(server, "/x08").body == b"started"


@pytest.mark.parametrize(
    "name",
    ["AsClass", "as_instance", "as_method", "as_instance.method", "as_lambda", "as_partial", "factory()"],
)
def test_x10_whatever_can_be_called_is_an_application(name: str) -> None:
    with ServerProcess(f"pep3333:{name}") as server:
        assert ask(server, "/").body == b"called"


@pytest.mark.slow
def test_x12_a_hundred_thousand_requests_leave_nothing_behind(server: ServerProcess) -> None:
    def resident_pages() -> int:
        return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])

    def many() -> None:
        with server.client() as client:
            for _ in range(500):
                client.send(request_bytes("/") * 100)
                assert [client.response().status for _ in range(100)] == [200] * 100

    many()
    before = resident_pages()
    many()
    assert resident_pages() - before < 500, "more than 2 MiB stayed behind"


def test_x14_a_call_to_oneself_with_one_thread_locks_nothing_up(single: ServerProcess) -> None:
    with single.client() as client:
        assert client.request("/x14").body == b"timed out"
        assert client.expect_open().body == b"plain"


def test_x14_a_call_to_oneself_with_several_threads_works(server: ServerProcess) -> None:
    assert ask(server, "/x14").body == b"plain"


def test_the_servers_answers_satisfy_the_client_of_the_standard_library(server: ServerProcess) -> None:
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    bodies_seen = []
    for path in ("/", "/b10?id=std", "/s10", "/"):
        connection.request("GET", path)
        bodies_seen.append(connection.getresponse().read())
    connection.close()
    assert bodies_seen == [b"plain", b"ab", b"lazy", b"plain"]
