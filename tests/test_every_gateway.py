"""Whoever answers, requests and responses end where they end: redirects, fixed answers, files, Rust, Python.

Most gateways answer before the body of a request has come, and none of them reads it: nowhere else is it as
easy to lose the place where the next request begins. So every payload of `conformance/smuggling.json`, and
mutants of all cases, are sent to a server of each kind. The witness is the access log, which has a line for
each request whoever answers it: its lines must be the requests that the parser reads, in their order, and the
responses on the wire as many.

The same through proxies is in `test_smuggling.py`; what each gateway answers, in the tests of each.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from support import answers
from support.client import Client, Response, chunked, parse_head, request_bytes
from support.mutations import mutants
from support.opinions import CLOSED, IDLE, Kirsch, Opinion
from support.payloads import payloads, seeds
from support.server import APPS, ServerProcess, kirsch

SEED = 1
MUTANTS = 1500
PLAYERS = 4
LAST = b"GET /last HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|([\"\\]))")
ORIGIN = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
# What the file and the fixed answer consist of: one is sent from memory, the other is too long for one call.
SMALL = b"small " * 20
LONG = "long " * 5000

ENGINE = [str(Path(sys.executable).parent / "two-hosts")]
FILES = {"files": 'files = "{folder}"\nfallback = "index.html"'}
ROUTES = {
    "redirect": 'redirect = "http://to.test{path}{query}"',
    "answer": f'answer = 403\nbody = "{LONG}"',
    "answer without content": "answer = 204",
    **FILES,
    "named file": 'app = "naming"',
    "Rust": 'app = "status"',
    "nothing": 'path = "/nowhere"\nanswer = 200',
}
NAMING = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Sendfile", {path!r})])
    return []
"""


@dataclass(frozen=True)
class Stream:
    """What a client sends, where it comes from, and what the parser reads in it."""

    name: str
    data: bytes
    source: str
    opinion: Opinion


@pytest.fixture(scope="module")
def streams() -> list[Stream]:
    """Payloads and mutants, a request behind each, and an address of its own for each."""
    bent = itertools.islice(mutants(seeds(), SEED), MUTANTS)
    named = [(payload.id, payload.request) for payload in payloads()]
    named += [(f"mutant {mutant.number} of seed {SEED} {mutant.operators}", mutant.data) for mutant in bent]
    with Kirsch() as read:
        return [
            Stream(name, data + LAST, f"127.1.{number // 250}.{number % 250 + 1}", read(data + LAST))
            for number, (name, data) in enumerate(named)
        ]


def server_of(kind: str, folder: Path, *more: str) -> ServerProcess:
    """A server that answers everything in one way, and logs it."""
    (folder / "files").mkdir()
    (folder / "files" / "index.html").write_bytes(SMALL)
    (folder / "naming.py").write_text(NAMING.format(path=str(folder / "files" / "index.html")))
    route = ROUTES[kind].replace("{folder}", str(folder / "files"))
    tables = {
        "named file": f'[apps.naming]\nwsgi = "naming:app"\npath = "{folder}"\n',
        "Rust": '[apps.status]\nrust = "status"\n',
    }
    lines = [
        'bind = "127.0.0.1:0"\nunknown_host = 404',
        f'access_log = "%a %s %m %U%q"\naccess_log_file = "{folder}/log"\nx_sendfile = ["{folder}/files"]',
        *more,
        tables.get(kind, ""),
        f'[[routes]]\n{route}\nset_headers = {{ x-route = "taken" }}\nremove_headers = ["server"]',
    ]
    (folder / "kirsch.toml").write_text("\n".join(lines))
    words = ENGINE if kind == "Rust" else kirsch()
    return ServerProcess("", words=[*words, "--config", str(folder / "kirsch.toml")], threads=4)


@dataclass(frozen=True)
class Logged:
    """A line of the access log: whose request, its answer, and what was asked for, or dashes."""

    source: str
    status: int
    asked: tuple[str, str]


def logged(folder: Path) -> list[Logged]:
    """The lines of the access log, in their order."""
    lines = []
    for line in (folder / "log").read_text("ascii").splitlines():
        source, status, method, target = line.split(" ")
        lines.append(Logged(source, int(status), (without_escapes(method), without_escapes(target))))
    return lines


def without_escapes(text: str) -> str:
    """What a client sent, of how the log writes it."""
    return ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else match[2], text)


def asked(method: bytes, target: bytes) -> tuple[str, str]:
    """What the log must say of a request that the parser has read."""
    path, _, query = ORIGIN.sub("", target.decode("latin-1"), count=1).partition("?")
    return method.decode(), f"{path or '/'}{'?' * bool(query)}{query}"


def responses(raw: bytes, methods: list[str]) -> list[Response]:
    """The final responses in all that came; the last must end where that ends."""
    found: list[Response] = []
    while raw:
        at = raw.index(b"\r\n\r\n") + 4
        version, status, reason, fields = parse_head(raw[:at])
        if status < 200:
            raw = raw[at:]
            continue
        lengths = [value for name, value in fields if name.lower() == "content-length"]
        assert not any(name.lower() == "transfer-encoding" for name, _ in fields), raw
        method = methods[len(found)] if len(found) < len(methods) else ""
        empty = method == "HEAD" or status in (204, 304)
        assert empty or len(lengths) == 1, raw
        end = at if empty else at + int(lengths[0])
        assert len(raw) >= end, raw
        found.append(Response(version, status, reason, fields, raw[at:end], "length", raw[:end]))
        answers.saw(method, found[-1])
        raw = raw[end:]
    return found


def exchange(server: ServerProcess, stream: Stream) -> bytes:
    """All that comes for a stream."""
    with Client(server.address, source=stream.source) as client:
        client.send_what_is_taken(stream.data)
        with contextlib.suppress(OSError):
            client.finish()
        return client.rest()


def complaints(stream: Stream, raw: bytes, entries: list[Logged]) -> Iterator[str]:
    """What is wrong with the answers to a stream."""
    lines = [entry.asked for entry in entries]
    reads = [asked(one.method, one.target) for one in stream.opinion.requests]
    common = min(len(lines), len(reads))
    if lines[:common] != reads[:common]:
        yield f"answered {lines}, read {reads}"
    refused = stream.opinion.ending not in (IDLE, CLOSED)
    # Of a request whose body is broken or not whole the head is known, and may have been answered.
    if len(lines) > len(reads) + refused:
        yield f"answered {lines}, of which the parser reads {reads} and then {stream.opinion.ending}"
    came = responses(raw, [method for method, _ in lines])
    statuses = [entry.status for entry in entries]
    if [response.status for response in came] != statuses:
        yield f"{[response.status for response in came]} on the wire, {statuses} in the log"
    fates = [response.all("Connection") for response in came]
    if ["close"] in fates[:-1]:
        yield f"something follows the last response: {fates}"
    if len(lines) < len(reads) and fates[-1:] != [["close"]]:
        yield f"{reads[len(lines)]} was not answered, and the connection not closed: {fates}"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ROUTES)
def test_who_answers_early_answers_what_the_parser_reads(
    kind: str, streams: list[Stream], tmp_path: Path
) -> None:
    with server_of(kind, tmp_path) as server, ThreadPoolExecutor(PLAYERS) as players:
        came = list(players.map(partial(exchange, server), streams))
    entries: dict[str, list[Logged]] = {stream.source: [] for stream in streams}
    for entry in logged(tmp_path):
        entries[entry.source].append(entry)
    wrong = [
        f"{stream.name}: {complaint} in {stream.data!r}"
        for stream, raw in zip(streams, came, strict=True)
        for complaint in complaints(stream, raw, entries[stream.source])
    ]
    assert wrong[:5] == []
    read = sum(len(stream.opinion.requests) for stream in streams)
    assert sum(map(len, entries.values())) > read / 2, "what was closed early proves little"


# Bodies that nobody wants


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
EARLY = ("redirect", "answer", "answer without content")
# Beyond every counter that is signed, and the largest that is not.
HUGE = (2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)


@pytest.mark.parametrize("kind", EARLY)
def test_a_body_of_any_length_costs_a_route_that_answers_nothing(kind: str, tmp_path: Path) -> None:
    """These take a body of any length, since they read none: no arithmetic on it may go wrong."""
    status = {"redirect": 308, "answer": 403, "answer without content": 204}[kind]
    bodies = [b"Content-Length: %d\r\n\r\n" % length for length in HUGE]
    bodies += [CHUNKED + b"%x\r\n" % length for length in HUGE]
    with server_of(kind, tmp_path) as server:
        for body in bodies:
            for behind in (b"", b"x" * 100_000):
                with server.client() as client:
                    client.send_what_is_taken(b"POST /x HTTP/1.1\r\nHost: a.test\r\n" + body + behind)
                    client.finish()
                    answer = client.response()
                    assert (answer.status, answer.get("Connection")) == (status, "close"), body
                    client.expect_close()
        with server.client() as client:
            assert client.request("/next").status == status
    assert len(logged(tmp_path)) == 2 * len(bodies) + 1


@pytest.mark.parametrize("kind", [*EARLY, "files", "Rust"])
def test_a_body_that_was_never_asked_for_is_not_taken_for_a_request(kind: str, tmp_path: Path) -> None:
    """The client was not told to go on, so what follows may be its body or a request: nobody can tell."""
    smuggled = request_bytes("/smuggled")
    fields = ("Expect: 100-continue", f"Content-Length: {len(smuggled)}")
    with server_of(kind, tmp_path) as server:
        for method in ("POST", "PUT", "DELETE"):
            with server.client() as client:
                client.send(request_bytes("/x", method, fields=fields))
                answer = client.response()
                assert (answer.interim, answer.get("Connection")) == ([], "close")
                client.send_what_is_taken(smuggled)
                client.expect_close()
    assert [entry.asked[1] for entry in logged(tmp_path)] == ["/x"] * 3


@pytest.mark.parametrize("kind", [*EARLY, "files", "Rust"])
def test_a_short_body_that_nobody_wants_is_dropped_and_the_connection_kept(kind: str, tmp_path: Path) -> None:
    """Also where it looks like a request."""
    smuggled = request_bytes("/smuggled")
    # A folder refuses every other method, and closes.
    method = "GET" if kind == "files" else "POST"
    with server_of(kind, tmp_path) as server, server.client() as client:
        for _ in range(20):
            client.send(request_bytes("/x", method, body=smuggled) + request_bytes("/y"))
            assert client.response(method).get("Connection") is None
            client.response()
    assert [entry.asked[1] for entry in logged(tmp_path)] == ["/x", "/y"] * 20


# What a route changes in responses


def test_the_fields_of_a_route_are_in_its_own_responses_and_in_no_others(tmp_path: Path) -> None:
    """Not in those that go on behind them on the connection, nor in an interim one."""
    routes = f"""
[apps.probe]
wsgi = "probe:app"
path = "{APPS}"

[[routes]]
path = "/__log"
app = "probe"

[[routes]]
path = "/plain"
answer = 200

[[routes]]
app = "probe"
set_headers = {{ x-route = "taken", server = "other" }}
remove_headers = ["x-request-id", "content-type"]
"""
    (tmp_path / "kirsch.toml").write_text(f'bind = "127.0.0.1:0"\nlimits = {{ body = 1000 }}\n{routes}')
    taken, other = ("taken", "other"), (None, "kirsch")
    with ServerProcess("", words=[*kirsch(), "-c", str(tmp_path / "kirsch.toml")]) as server:
        sent = [
            (request_bytes("/noread"), 200, taken),
            (request_bytes("/plain"), 200, other),
            (request_bytes("/echo", "POST", body=b"abc"), 200, taken),
            (request_bytes("/plain", "POST", body=b"abc"), 200, other),
            (request_bytes("/gen"), 200, taken),
            (b"\r\n" + request_bytes("/plain"), 200, other),
            (request_bytes("/raise"), 500, taken),
        ]
        ends = [
            # Before any route was chosen, and behind one that was.
            (b"GET /noread HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, other),
            (b"nonsense\r\n\r\n", 400, other),
            (b"GET /noread HTTP/9.1\r\n\r\n", 505, other),
            (request_bytes("/x" * 20_000), 414, other),
            (request_bytes("/echo", "POST", fields=("Content-Length: 2000",)), 413, taken),
            (request_bytes("/echo", "POST", fields=("Transfer-Encoding: chunked",)) + b"x\r\n", 400, taken),
        ]
        for last, status, fields in ends:
            with server.client() as client:
                client.send_what_is_taken(b"".join(request for request, *_ in sent) + last)
                for _, wanted, route in [*sent, (last, status, fields)]:
                    answer = client.response()
                    seen = answer.status, (answer.get("X-Route"), answer.get("Server"))
                    assert seen == (wanted, route), (last[:50], answer.raw)
                    if route is taken:
                        assert answer.all("X-Request-ID") == answer.all("Content-Type") == []
                client.expect_close()
        with server.client() as client:
            client.send(request_bytes("/echo", "POST", fields=("Expect: 100-continue", "Content-Length: 3")))
            interim = client.one_response()
            assert (interim.status, interim.fields) == (100, [])
            client.send(b"abc")
            assert client.response().get("X-Route") == "taken"


# Where a redirect leads


@pytest.mark.parametrize(("bind", "host"), [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]")])
def test_a_redirect_of_who_names_no_host_leads_to_an_address_that_is_one(
    bind: str, host: str, tmp_path: Path
) -> None:
    file = f'bind = "{bind}"\n[[routes]]\nredirect = "https://{{host}}{{path}}{{query}}"\n'
    (tmp_path / "kirsch.toml").write_text(file)
    with ServerProcess("", words=[*kirsch(), "-c", str(tmp_path / "kirsch.toml")]) as server:
        with server.client() as client:
            client.send(b"GET /a?b HTTP/1.0\r\n\r\n")
            answer = client.response()
        assert (answer.status, answer.get("Location")) == (308, f"https://{host}/a?b")


# Nothing that is no host: what a browser would take for the end of one, or for another one.
ODD_HOSTS = (
    *("a.test/", "a.test/x", "a.test?x", "a.test#x", "u@a.test", "a.test@b.test", "a.test\\b.test"),
    *("a.test, b.test", "a.test b.test", "a.test:80:80", "a.test:x", "[::1", "::1", "[::1]x", "a.test\xff"),
    *("http://a.test", "//a.test", "a.test\tb", 'a"b', "a<b>", "a.test:99999", "[v1.x]y", ""),
)


def test_a_redirect_names_no_host_that_is_not_one(tmp_path: Path) -> None:
    """Refused, or a host and nothing else; and no byte that ends a line."""
    file = 'bind = "127.0.0.1:0"\n[[routes]]\nredirect = "https://{host}{path}{query}"\n'
    (tmp_path / "kirsch.toml").write_text(file)
    paths = [
        "/",
        "//b.test",
        "/\\b.test",
        "/%0d%0aX:1",
        "/?%0a",
        "/\xff\xfe",
        '/"<>',
        "/..//b.test",
        "/@b.test",
    ]
    with ServerProcess("", words=[*kirsch(), "-c", str(tmp_path / "kirsch.toml")]) as server:
        for host in ODD_HOSTS:
            with server.client() as client:
                client.send(f"GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))
                answer = client.response()
                assert (answer.status, answer.get("Location")) == (400, None), host
        with server.client() as client:
            for path in paths:
                client.send(f"GET {path} HTTP/1.1\r\nHost: a.test:81\r\n\r\n".encode("latin-1"))
                answer = client.response()
                location = answer.get("Location") or ""
                assert answer.status == 308, path
                assert re.fullmatch(r"https://a\.test/[!#-;=?-\[\]_a-z~%]*", location), (path, location)
                assert "X" not in {name for name, _ in answer.fields}


# Paths that would lead out of a folder


CLIMBS = (
    *("/../secret", "/..%2fsecret", "/%2e%2e/secret", "/%2e%2e%2fsecret", "/..%5csecret", "/..\\secret"),
    *("/.%2e/secret", "/x/../../secret", "/./../secret", "//../secret", "/..;/secret", "/..%00/secret"),
    *(
        "/%c0%ae%c0%ae/secret",
        "/..%c0%afsecret",
        "/%252e%252e/secret",
        "/..%252fsecret",
        "/%u002e%u002e/secret",
    ),
    *(
        "%2f..%2fsecret",
        "%2fsecret",
        "/link",
        "/link/",
        "/folder/secret",
        "/folder/../../secret",
        "/hard/../../secret",
    ),
    *(
        "/" + "../" * 2000 + "secret",
        "/" + "a/" * 2000 + "../" * 2001 + "secret",
        "/" + "a" * 300,
        "/" + "a" * 9000,
    ),
    *(
        "/proc/self/environ",
        "//etc/passwd",
        "/secret/..",
        "/index.html/../../secret",
        "/.secret",
        "/sub/.secret",
    ),
)


@pytest.mark.parametrize("route", ['path = "/files"', 'path = "/files"\nrewrite = "/sub"', ""])
def test_no_path_leads_out_of_a_folder(route: str, tmp_path: Path) -> None:
    folder = tmp_path / "public"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_text("SECRET")
    for place in (folder, folder / "sub"):
        (place / ".secret").write_text("SECRET")
        (place / "index.html").write_text("public")
        (place / "link").symlink_to("../" * (1 if place == folder else 2) + "secret")
        (place / "folder").symlink_to(tmp_path)
    prefix = "/files" if "path" in route else ""
    file = f'bind = "127.0.0.1:0"\n[[routes]]\n{route}\nfiles = "{folder}"\nlisting = true\n'
    (tmp_path / "kirsch.toml").write_text(file)
    with ServerProcess("", words=[*kirsch(), "-c", str(tmp_path / "kirsch.toml")]) as server:
        with server.client() as client:
            assert client.request(f"{prefix}/index.html").body == b"public"
        for climb in CLIMBS:
            for target in (prefix + climb, f"http://a.test{prefix}{climb}", f"{prefix}{climb}?/index.html"):
                with server.client() as client:
                    answer = client.request(target)
                    assert answer.status in (400, 404, 414), (target[:100], answer.status)
                    assert b"SECRET" not in answer.body


def test_a_chunked_body_to_a_file_is_no_request(tmp_path: Path) -> None:
    """A GET may have one (RFC 9110 section 9.3.1); it is dropped, or the connection closes."""
    body = chunked(request_bytes("/smuggled"), request_bytes("/smuggled"))
    fields = ("Transfer-Encoding: chunked",)
    with server_of("files", tmp_path) as server, server.client() as client:
        client.send(request_bytes("/index.html", fields=fields) + body + request_bytes("/y"))
        client.finish()
        assert client.response().body == SMALL
        client.rest()
    assert [entry.asked[1] for entry in logged(tmp_path)] in (["/index.html"], ["/index.html", "/y"])


# Who decides where a request goes


def test_nobody_says_of_himself_where_he_comes_from(tmp_path: Path) -> None:
    """Routes look at who asks and how; without a trusted proxy that is not the client's to say."""
    file = """
bind = "127.0.0.1:0"
unknown_host = 404

[[routes]]
client = "192.0.2.0/24"
answer = 200

[[routes]]
scheme = "https"
answer = 201

[[routes]]
host = "inside.test"
answer = 202

[[routes]]
host = "a.test"
path = "/prefix"
answer = 203

[[routes]]
host = "a.test"
answer = 204
"""
    (tmp_path / "kirsch.toml").write_text(file)
    fields = (
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: inside.test",
        "X-Forwarded-Prefix: /prefix",
        "X-Forwarded-Server: inside.test",
        "X-Real-IP: 192.0.2.1",
        "X-Original-URL: /prefix",
        "X-Rewrite-URL: /prefix",
        "X-Host: inside.test",
        "Forwarded: for=192.0.2.1;proto=https;host=inside.test",
        "True-Client-IP: 192.0.2.1",
        "Front-End-Https: on",
    )
    with ServerProcess("", words=[*kirsch(), "-c", str(tmp_path / "kirsch.toml")]) as server:
        for one in [*((field,) for field in fields), fields]:
            with server.client() as client:
                assert client.request("/", fields=one).status == 204, one


# Sizes that no route bounds


def test_a_route_without_a_bound_takes_what_fits_and_refuses_the_rest(tmp_path: Path) -> None:
    """Buffered or streamed, what a client announces is not what the server sets aside."""
    file = f"""
bind = "127.0.0.1:0"

[apps.probe]
wsgi = "probe:app"
path = "{APPS}"

[[routes]]
path = "/stream"
app = "probe"
limit_body = {2**63 - 1}
stream_body = true

[[routes]]
app = "probe"
limit_body = {2**63 - 1}
"""
    (tmp_path / "kirsch.toml").write_text(file)
    with ServerProcess("", words=[*kirsch(), "-c", str(tmp_path / "kirsch.toml")]) as server:
        for target in ("/stream", "/echo"):
            for length in HUGE:
                for body in (b"Content-Length: %d\r\n\r\n" % length, CHUNKED + b"%x\r\n" % length):
                    with server.client() as client:
                        client.send_what_is_taken(
                            f"POST {target} HTTP/1.1\r\nHost: a.test\r\n".encode() + body + b"x" * 1000
                        )
                        client.finish()
                        answer = client.response()
                        # The application that reads learns that the rest never came; the other is not called.
                        assert answer.status in (413, 500 if target == "/stream" else 400)
                        assert answer.get("Connection") == "close"
                        client.expect_close()
        with server.client() as client:
            assert client.request("/echo", "POST", body=b"abc").body == b"ok"
