"""Whom the server believes: what trusted proxies say of their clients, and what anybody says of himself.

What each field may look like is tested beside the code, in `forwarded.rs`. Here are real proxies, and what
reaches an application and the access log.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import origin
import pytest
from support.client import Address, Client, Response
from support.fronts import Front, HAProxy, Nginx
from support.server import APPS, ServerProcess, clean_environment, in_process, kirsch

# Starts a server that trusts proxies to write one family of fields, and says where it is.
Upstream = Callable[[str], AbstractContextManager[Address]]

# What a client invents who wants to be somebody else.
LIES = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Prefix": "/evil",
    "X-Real-IP": "6.6.6.6",
}
FORWARDED = 'for=6.6.6.6;proto=https;host="evil.test"'


# Of this machine, and not the address that proxies and tests usually have.
CLIENT = "127.0.0.2"


def ask(address: Address, fields: dict[str, str], host: str = "a.test", source: str = "") -> Response:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    with Client(address, source=source) as client:
        client.send(f"GET /page?x HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n".encode())
        return client.response()


def environ(
    address: Address, fields: dict[str, str], host: str = "a.test", source: str = ""
) -> dict[str, Any]:
    answer = ask(address, fields, host, source)
    assert answer.status == 200, answer.body
    seen: dict[str, Any] = json.loads(answer.body)
    return seen


@contextmanager
def trusting(*flags: str) -> Iterator[ServerProcess]:
    with ServerProcess("origin:app", *flags) as server:
        yield server


def test_without_trust_the_fields_change_nothing_and_reach_the_application() -> None:
    with trusting() as server:
        seen = environ(server.address, {**LIES, "Forwarded": FORWARDED})
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert seen["wsgi.url_scheme"] == "http"
    assert seen["HTTP_HOST"] == "a.test"
    assert seen["SCRIPT_NAME"] == ""
    assert seen["HTTP_X_FORWARDED_FOR"] == "6.6.6.6"
    assert seen["HTTP_X_FORWARDED_PREFIX"] == "/evil"
    assert seen["HTTP_FORWARDED"] == FORWARDED


def test_who_is_not_trusted_loses_the_fields() -> None:
    with trusting("--trust-proxy", "192.0.2.0/24") as server:
        seen = environ(server.address, {**LIES, "Forwarded": FORWARDED})
    assert (seen["REMOTE_ADDR"], seen["HTTP_HOST"]) == ("127.0.0.1", "a.test")
    assert [name for name in seen if "FORWARDED" in name or "REAL" in name] == []


def test_a_name_with_an_underscore_passes_for_no_field_of_a_proxy() -> None:
    lies = {name.replace("-", "_"): value for name, value in LIES.items()}
    for trust in ("192.0.2.0/24", "127.0.0.1"):
        with trusting("--trust-proxy", trust) as server:
            seen = environ(server.address, lies)
        assert (seen["REMOTE_ADDR"], seen["HTTP_HOST"], seen["SCRIPT_NAME"]) == ("127.0.0.1", "a.test", "")
        assert [name for name in seen if "FORWARDED" in name or "REAL" in name] == []


def test_a_proxys_prefix_stands_in_front_of_the_servers_own() -> None:
    with trusting("--trust-proxy", "127.0.0.1", "--script-name", "/page") as server:
        seen = environ(server.address, {"X-Forwarded-Prefix": "/a%20b/"})
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/a b/page", "")
    assert seen["url"] == "http://a.test/a%20b/page?x"


def test_a_request_without_host_gets_the_one_that_the_proxy_names() -> None:
    with trusting("--trust-proxy", "127.0.0.1") as server, server.client() as client:
        client.send(b"GET / HTTP/1.0\r\nX-Forwarded-Host: a.test:81\r\n\r\n")
        seen = json.loads(client.response().body)
    assert (seen["HTTP_HOST"], seen["SERVER_PORT"]) == ("a.test:81", "81")


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with trusting("--trust-proxy", "127.0.0.0/8", "--trust-proxy", "::1", "--access-log=%a %v %r") as server:
        yield server


def test_everything_that_a_trusted_proxy_says_is_taken(server: ServerProcess) -> None:
    seen = environ(server.address, LIES)
    assert seen["REMOTE_ADDR"] == "6.6.6.6"
    assert "REMOTE_PORT" not in seen, "that is the proxy's"
    assert (seen["wsgi.url_scheme"], seen["HTTPS"]) == ("https", "on")
    assert (seen["HTTP_HOST"], seen["SERVER_PORT"]) == ("evil.test", "666")
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/evil", "/page")
    assert seen["url"] == "https://evil.test/evil/page?x"


def test_the_nearest_untrusted_address_is_the_client(server: ServerProcess) -> None:
    chain = {"X-Forwarded-For": "6.6.6.6, 1.2.3.4:5678, 127.0.0.9"}
    seen = environ(server.address, chain)
    assert (seen["REMOTE_ADDR"], seen["REMOTE_PORT"]) == ("1.2.3.4", "5678")


def test_the_newer_field_says_the_same(server: ServerProcess) -> None:
    seen = environ(
        server.address, {"Forwarded": 'for=9.9.9.9, for="[2001:db8::7]:77";proto=https;host=b.test'}
    )
    assert (seen["REMOTE_ADDR"], seen["REMOTE_PORT"]) == ("2001:db8::7", "77")
    assert (seen["HTTP_HOST"], seen["SERVER_PORT"], seen["wsgi.url_scheme"]) == ("b.test", "443", "https")


def test_the_next_request_of_a_connection_is_its_own(server: ServerProcess) -> None:
    with server.client() as client:
        first = json.loads(client.request("/", fields=("X-Forwarded-For: 1.2.3.4",)).body)
        second = json.loads(client.request("/").body)
    assert (first["REMOTE_ADDR"], second["REMOTE_ADDR"]) == ("1.2.3.4", "127.0.0.1")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"X-Forwarded-Host": "a b"}, b"malformed"),
        ({"X-Forwarded-Prefix": "//evil.test"}, b"malformed"),
        ({"Forwarded": 'for="1.2.3.4'}, b"malformed"),
        ({"X-Forwarded-Proto": "ftp"}, b"malformed"),
        ({"Forwarded": "for=1.1.1.1", "X-Forwarded-For": "2.2.2.2"}, b"do not say the same"),
        ({"Forwarded": "for=1.1.1.1;host=evil.test", "X-Forwarded-For": "1.1.1.1"}, b"do not say the same"),
    ],
    ids=["host", "prefix", "quotes", "scheme", "two clients", "a host in one"],
)
def test_what_cannot_be_believed_is_refused(
    server: ServerProcess, fields: dict[str, str], text: bytes
) -> None:
    answer = ask(server.address, fields)
    assert (answer.status, text in answer.body) == (400, True)


def test_one_family_can_be_chosen() -> None:
    both = {"Forwarded": "for=1.1.1.1", "X-Forwarded-For": "2.2.2.2"}
    trust = ("--trust-proxy", "127.0.0.1", "--proxy-fields")
    with trusting(*trust, "x-forwarded") as server:
        seen = environ(server.address, both)
        assert (seen["REMOTE_ADDR"], "HTTP_FORWARDED" in seen) == ("2.2.2.2", False)
    with trusting(*trust, "forwarded") as server:
        seen = environ(server.address, both)
        assert (seen["REMOTE_ADDR"], "HTTP_X_FORWARDED_FOR" in seen) == ("1.1.1.1", False)


def test_the_access_log_names_the_client(tmp_path: Path) -> None:
    log = tmp_path / "log"
    said = {"X-Forwarded-For": "203.0.113.77:9", "X-Forwarded-Host": "b.test", "X-Forwarded-Proto": "https"}
    with trusting("--trust-proxy", "127.0.0.1", "--access-log=json", "--access-log-file", str(log)) as server:
        environ(server.address, said)
        ask(server.address, {**said, "X-Forwarded-Proto": "ftp"})
    served, refused = map(json.loads, log.read_text().splitlines())
    assert (served["client.address"], served["client.port"]) == ("203.0.113.77", 9)
    assert (served["http.request.header.host"], served["server.port"]) == ("b.test", 443)
    assert (refused["client.address"], refused["http.response.status_code"]) == ("127.0.0.1", 400)


def test_trust_is_set_in_every_place(tmp_path: Path) -> None:
    said = {"X-Forwarded-For": "1.2.3.4"}
    config = tmp_path / "kirsch.toml"
    config.write_text('trust_proxy = ["10.0.0.0/8", "127.0.0.1"]\n')
    with trusting("--config", str(config)) as server:
        assert environ(server.address, said)["REMOTE_ADDR"] == "1.2.3.4"
    variables = {"KIRSCH_TRUST_PROXY": "10.0.0.0/8, 127.0.0.0/8"}
    with ServerProcess("origin:app", environment=variables) as server:
        assert environ(server.address, said)["REMOTE_ADDR"] == "1.2.3.4"
    with in_process(origin.app, threads=1, trust_proxy="127.0.0.1") as address:
        assert environ(address, said)["REMOTE_ADDR"] == "1.2.3.4"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("*", "0.0.0.0/0 and ::/0"),
        ("10.0.0.1/8", "write 10.0.0.0/8 for the network, or 10.0.0.1 for the address"),
        ("localhost", "an address, a network such as 10.0.0.0/8, or unix"),
    ],
)
def test_who_is_trusted_is_said_as_a_network(value: str, text: str) -> None:
    done = subprocess.run(
        [*kirsch(), "check", "origin:app", "--trust-proxy", value],
        cwd=APPS,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "flag --trust-proxy" in done.stderr
    assert text in done.stderr


# Real proxies

TELLS_NGINX = """
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto https;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Forwarded-Port $server_port;
    proxy_set_header X-Forwarded-Prefix /app;
"""
# The usual way to add to a list that may be empty.
TELLS_NGINX_NEWER = """
    proxy_set_header Forwarded '$http_forwarded, for=$remote_addr;proto=https;host="$http_host"';
"""
TELLS_HAPROXY = """
    option forwardfor
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
"""
# HAProxy 2.6 has no option for it; a second field is a longer list.
TELLS_HAPROXY_NEWER = """
    http-request add-header Forwarded for=%[src];proto=https;host="%[req.hdr(host)]"
"""
FRONTS: dict[str, tuple[type[Front], str, str]] = {
    "nginx": (Nginx, TELLS_NGINX, "x-forwarded"),
    "nginx, RFC 7239": (Nginx, TELLS_NGINX_NEWER, "forwarded"),
    "haproxy": (HAProxy, TELLS_HAPROXY, "x-forwarded"),
    "haproxy, RFC 7239": (HAProxy, TELLS_HAPROXY_NEWER, "forwarded"),
}


@pytest.fixture(scope="module", params=["tcp", "unix"])
def upstream(request: pytest.FixtureRequest) -> Iterator[Upstream]:
    """Starts servers that trust one kind of peer: this machine's usual address, or who has a unix socket."""
    with tempfile.TemporaryDirectory(prefix="kirsch-") as folder:
        # nginx gives up its rights if it has any, and connects as nobody.
        Path(folder).chmod(0o711)

        @contextmanager
        def start(fields: str) -> Iterator[Address]:
            flags = ["--proxy-fields", fields]
            if request.param == "tcp":
                with trusting("--trust-proxy", "127.0.0.1", *flags) as server:
                    yield server.address
            else:
                path = f"{folder}/{fields}"
                with trusting("--trust-proxy", "unix", *flags, "--bind", f"unix:{path}"):
                    yield path

        yield start


@pytest.mark.parametrize("name", FRONTS)
def test_behind_a_proxy_the_client_is_who_asked_it(upstream: Upstream, name: str) -> None:
    kind, tells, fields = FRONTS[name]
    with upstream(fields) as server, kind(server, 1, tcp=True, tells=tells) as front:
        # One connection to the server for all of them.
        for source in (CLIENT, "127.0.0.3", CLIENT):
            seen = environ(front.lanes[0], {**LIES, "Forwarded": FORWARDED}, "a.test:81", source)
            assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == (source, "https")
            assert "REMOTE_PORT" not in seen
            assert seen["HTTP_HOST"] == "a.test:81"
            if name == "nginx":
                assert (seen["SERVER_PORT"], seen["SCRIPT_NAME"]) == (str(front.lanes[0][1]), "/app")
            if fields == "forwarded":
                assert (seen["SERVER_PORT"], seen["SCRIPT_NAME"]) == ("81", "")


def test_behind_two_proxies_the_client_is_who_asked_the_first() -> None:
    with (
        trusting("--trust-proxy", "127.0.0.1", "--proxy-fields", "x-forwarded") as server,
        Nginx(server.address, 1, tcp=True, tells=TELLS_NGINX) as second,
        HAProxy(second.lanes[0], 1, tcp=True, tells=TELLS_HAPROXY) as first,
    ):
        seen = environ(first.lanes[0], LIES, source=CLIENT)
        assert seen["REMOTE_ADDR"] == CLIENT
        assert seen["HTTP_X_FORWARDED_FOR"] == f"6.6.6.6, {CLIENT}, 127.0.0.1"
        # Past the first: the second speaks for a stranger, and past both nobody does.
        assert environ(second.lanes[0], LIES, source=CLIENT)["REMOTE_ADDR"] == CLIENT
        stranger = environ(server.address, LIES, source=CLIENT)
        assert (stranger["REMOTE_ADDR"], stranger["HTTP_HOST"]) == (CLIENT, "a.test")


def test_a_client_without_an_address_has_the_proxys() -> None:
    """Who reaches nginx on a unix socket is `unix:`; what stands before that is the client's word."""
    with (
        trusting("--trust-proxy", "127.0.0.1", "--proxy-fields", "x-forwarded") as server,
        Nginx(server.address, 1, tells=TELLS_NGINX) as front,
    ):
        seen = environ(front.lanes[0], {"X-Forwarded-For": "6.6.6.6"})
        assert seen["HTTP_X_FORWARDED_FOR"] == "6.6.6.6, unix:"
        assert seen["REMOTE_ADDR"] == "127.0.0.1"


def test_a_proxy_that_adds_one_family_passes_the_other_on_and_is_refused() -> None:
    with (
        trusting("--trust-proxy", "127.0.0.1") as server,
        Nginx(server.address, 1, tcp=True, tells=TELLS_NGINX) as front,
    ):
        assert environ(front.lanes[0], {}, source=CLIENT)["REMOTE_ADDR"] == CLIENT
        lie = {"Forwarded": f"for={CLIENT};host=evil.test"}
        assert ask(front.lanes[0], lie, source=CLIENT).status == 400
