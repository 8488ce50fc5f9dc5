"""Whom the server believes: what trusted proxies say of their clients, and what everybody else says of himself.

What each field may look like is tested beside the code, in `forwarded.rs`. Here are real proxies, and what
reaches an application and the access log.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.client import Address, Client, Response
from support.proxies import haproxy, nginx
from support.server import ServerProcess

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


def ask(address: Address, fields: dict[str, str], host: str = "a.test") -> Response:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    with Client(address) as client:
        client.send(f"GET /page?x HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n".encode())
        return client.response()


def environ(address: Address, fields: dict[str, str], host: str = "a.test") -> dict[str, Any]:
    answer = ask(address, fields, host)
    assert answer.status == 200, answer.body
    seen: dict[str, Any] = json.loads(answer.body)
    return seen


@contextmanager
def trusting(*flags: str) -> Iterator[ServerProcess]:
    with ServerProcess("client:app", *flags) as server:
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
    seen = environ(server.address, {"Forwarded": 'for=9.9.9.9, for="[2001:db8::7]:77";proto=https;host=b.test'})
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
        ({"Forwarded": "for=1.1.1.1", "X-Forwarded-For": "2.2.2.2"}, b"different clients"),
    ],
    ids=["host", "prefix", "quotes", "two clients"],
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


def test_the_access_log_names_the_client(server: ServerProcess) -> None:
    environ(server.address, {"X-Forwarded-For": "203.0.113.77"})
    server.wait_for_log(r"203\.0\.113\.77")


# Real proxies

TELL_NGINX = """
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Port $server_port;
      proxy_set_header X-Forwarded-Prefix "";
      proxy_set_header Forwarded "";
"""
TELL_HAPROXY = "  option forwardfor\n  http-request set-header X-Forwarded-Proto http\n"
# HAProxy 2.6 does not write `Forwarded` by itself.
TELL_HAPROXY_NEWER = (
    '  http-request set-header Forwarded "for=%[src];proto=http;host=%[req.hdr(host)]"\n'
    "  http-request del-header X-Forwarded-For\n"
)


@pytest.mark.parametrize("socket", ["tcp", "unix"])
def test_behind_nginx(socket: str, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    trust = "127.0.0.1" if socket == "tcp" else "unix"
    with trusting("--trust-proxy", trust, "--bind", f"unix:{path}") as server:
        upstream: Address = server.address if socket == "tcp" else path
        with nginx(upstream, TELL_NGINX, tmp_path) as front:
            for _ in range(3):
                seen = environ(front, LIES, host=f"a.test:{front[1]}")
                # Where this machine's address is trusted, so is the client's word: it is on this machine.
                assert seen["REMOTE_ADDR"] == ("6.6.6.6" if socket == "tcp" else "127.0.0.1")
                assert seen["wsgi.url_scheme"] == "http"
                assert seen["HTTP_HOST"] == f"a.test:{front[1]}"
                assert (seen["SERVER_PORT"], seen["SCRIPT_NAME"]) == (str(front[1]), "")


@pytest.mark.parametrize("settings", [TELL_HAPROXY, TELL_HAPROXY_NEWER], ids=["x-forwarded", "forwarded"])
def test_behind_haproxy(settings: str, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with (
        trusting("--trust-proxy", "unix", "--bind", f"unix:{path}"),
        haproxy(path, settings, tmp_path) as front,
    ):
        for _ in range(3):
            seen = environ(front, {"X-Forwarded-For": "6.6.6.6"})
            assert seen["REMOTE_ADDR"] == "127.0.0.1"
            assert (seen["wsgi.url_scheme"], seen["HTTP_HOST"]) == ("http", "a.test")
