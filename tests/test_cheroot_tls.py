"""HTTPS by `BuiltinSSLAdapter`: Kirsch's own TLS while it is untouched, Python's ssl from then on."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import re
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kirsch.cheroot import server, wsgi
from kirsch.cheroot.ssl.builtin import BuiltinSSLAdapter
from support.certificates import Authority, Pair, openssl
from support.client import Client, Secure
from support.ports import free_port
from test_cheroot import SECONDS, Script

OWN, PYTHONS = "rustls", ssl.OPENSSL_VERSION


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.pair("localhost", "a.test", "127.0.0.1")


def told(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answers with what is said of TLS."""
    start_response("200 OK", [("Content-Type", "application/json")])
    found = {name: it for name, it in environ.items() if name.startswith("SSL_")}
    found |= {name: environ.get(name) for name in ("HTTPS", "wsgi.url_scheme")}
    return [json.dumps(found).encode()]


@contextlib.contextmanager
def serving(adapter: Any, app: Any = told, kind: Any = wsgi.Server, **keywords: Any) -> Iterator[Any]:
    made = kind(("127.0.0.1", 0), app, shutdown_timeout=SECONDS, **keywords)
    made.ssl_adapter = adapter
    made.error_log = lambda *words, **more: None
    with made._run_in_thread():
        yield made


def secure(made: Any, authority: Authority, **changes: object) -> Secure:
    return Secure("127.0.0.1", made.bind_addr[1], authority.context(**changes))


def ask(address: Any) -> dict[str, Any]:
    """What the application is told of a connection of its own."""
    with Client(address) as client:
        return ask_again(client)


def ask_again(client: Client) -> dict[str, Any]:
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = client.response()
    assert answer.status == 200, answer.raw
    found: dict[str, Any] = json.loads(answer.body)
    return found


def library(made: Any, authority: Authority, **changes: object) -> str:
    """Who speaks TLS."""
    found: str = ask(secure(made, authority, **changes))["SSL_VERSION_LIBRARY"]
    return found


def adapter(
    pair: Pair, *words: Any, kind: type[BuiltinSSLAdapter] = BuiltinSSLAdapter, **keywords: Any
) -> Any:
    return kind(str(pair.certificate), str(pair.key), *words, **keywords)


def threads(made: Any) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("kirsch-tls-accept")]


# --- Who speaks


def test_an_untouched_adapter_is_served_by_the_engine(authority: Authority, pair: Pair) -> None:
    with serving(adapter(pair)) as made:
        assert [library(made, authority) for _ in range(2)] == [OWN] * 2
        assert made._live.served_natively == 2
        assert threads(made) == []


class OwnWrap(BuiltinSSLAdapter):
    """Has its own handshake."""

    def wrap(self, sock: Any) -> Any:
        return super().wrap(sock)


class OwnEnviron(BuiltinSSLAdapter):
    """Has its own variables."""

    def get_environ(self, sock: Any) -> dict[str, Any]:  # type: ignore[override]  # as its base
        return {**super().get_environ(sock), "SSL_OWN": "yes"}


class OwnConstructor(BuiltinSSLAdapter):
    """Is made with nothing."""

    files: Pair

    def __init__(self) -> None:
        super().__init__(str(self.files.certificate), str(self.files.key))


def patched(made: Any, patch: pytest.MonkeyPatch) -> None:
    before = BuiltinSSLAdapter.wrap
    patch.setattr(BuiltinSSLAdapter, "wrap", lambda self, sock: before(self, sock))


TOUCHES: dict[str, Callable[[Any, pytest.MonkeyPatch], Any]] = {
    "looked at": lambda made, patch: made.context,
    "options": lambda made, patch: setattr(made.context, "minimum_version", ssl.TLSVersion.TLSv1_3),
    "looked at where cheroot has it": lambda made, patch: made._context,
    "replaced where cheroot has it": lambda made, patch: setattr(made, "_context", made._context),
    "replaced": lambda made, patch: setattr(made, "context", made._context),
    "method of the object": lambda made, patch: setattr(made, "wrap", made.wrap),
    "method of the class": patched,
    "attribute": lambda made, patch: setattr(made, "ciphers", "HIGH"),
}


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_a_touched_adapter_is_served_by_python_s_ssl(
    touch: Callable[[Any, pytest.MonkeyPatch], Any],
    authority: Authority,
    pair: Pair,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    touched = adapter(pair)
    touch(touched, monkeypatch)
    with serving(touched) as made:
        assert library(made, authority) == PYTHONS


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_an_adapter_may_be_touched_while_it_serves(
    touch: Callable[[Any, pytest.MonkeyPatch], Any],
    authority: Authority,
    pair: Pair,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    touched = adapter(pair)
    with serving(touched) as made, Client(secure(made, authority)) as before:
        assert ask_again(before)["SSL_VERSION_LIBRARY"] == OWN
        touch(touched, monkeypatch)
        assert library(made, authority) == PYTHONS
        # Whoever is in stays in.
        assert ask_again(before)["SSL_VERSION_LIBRARY"] == OWN


def test_what_a_context_is_told_while_it_serves_counts(authority: Authority, pair: Pair) -> None:
    touched = adapter(pair)
    client = authority.client("ann")
    with serving(touched) as made:
        assert library(made, authority) == OWN
        touched.context.load_verify_locations(str(authority.certificate))
        touched.context.verify_mode = ssl.CERT_REQUIRED
        address = secure(made, authority)
        with pytest.raises((OSError, AssertionError)):
            ask(address)
        address.context.load_cert_chain(str(client.certificate), str(client.key))
        found = ask(address)
        assert (found["SSL_CLIENT_VERIFY"], found["SSL_CLIENT_S_DN_CN"]) == ("SUCCESS", "ann")


@pytest.mark.parametrize(
    ("kind", "who"), [(OwnWrap, PYTHONS), (OwnEnviron, PYTHONS), (BuiltinSSLAdapter, OWN)]
)
def test_a_subclass_with_methods_of_its_own_is_asked(
    kind: type[BuiltinSSLAdapter], who: str, authority: Authority, pair: Pair
) -> None:
    with serving(adapter(pair, kind=kind)) as made:
        found = ask(secure(made, authority))
    assert found["SSL_VERSION_LIBRARY"] == who
    assert ("SSL_OWN" in found) == (kind is OwnEnviron)


def test_a_subclass_that_is_only_made_otherwise_is_served_by_the_engine(
    authority: Authority, pair: Pair
) -> None:
    OwnConstructor.files = pair
    with serving(OwnConstructor()) as made:
        assert library(made, authority) == OWN


def test_the_adapter_of_a_server_may_change(authority: Authority, pair: Pair) -> None:
    first, second = adapter(pair), adapter(authority.pair("localhost"))
    with serving(first) as made:
        assert library(made, authority) == OWN
        made.ssl_adapter = second
        assert library(made, authority) == PYTHONS
        made.ssl_adapter = None
        assert ask(made.bind_addr)["wsgi.url_scheme"] == "http"
        made.ssl_adapter = first
        assert ask(secure(made, authority))["wsgi.url_scheme"] == "https"


def test_a_server_may_begin_without(authority: Authority, pair: Pair) -> None:
    with serving(None) as made:
        assert ask(made.bind_addr)["HTTPS"] is None
        made.ssl_adapter = adapter(pair)
        assert library(made, authority) == PYTHONS


def test_a_class_may_have_the_adapter(
    authority: Authority, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """web.py's recipe."""
    monkeypatch.setattr(server.HTTPServer, "ssl_adapter", adapter(pair))
    made: Any = wsgi.Server(("127.0.0.1", 0), told)
    for _ in range(2):
        with made._run_in_thread():
            assert library(made, authority) == OWN


# --- What it is made with


def test_a_key_may_be_encrypted(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    openssl("pkcs8", "-topk8", "-in", pair.key, "-out", key, "-passout", "pass:word", "-v2", "aes-256-cbc")
    for password in ("word", b"word"):
        locked = BuiltinSSLAdapter(str(pair.certificate), str(key), private_key_password=password)
        with serving(locked) as made:
            assert library(made, authority) == OWN
    with serving(BuiltinSSLAdapter(pair.certificate, key, private_key_password=lambda: "word")) as made:
        assert library(made, authority) == PYTHONS
    with pytest.raises(ssl.SSLError, match=r"^\[SSL\] PEM"):
        BuiltinSSLAdapter(str(pair.certificate), str(key), private_key_password="other")


def test_what_only_openssl_reads_is_served_by_python_s_ssl(
    authority: Authority, pair: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = tmp_path / "key.pem"
    openssl("ec", "-in", pair.key, "-out", key, "-aes128", "-passout", "pass:word")
    assert "Proc-Type: 4,ENCRYPTED" in key.read_text()
    old = BuiltinSSLAdapter(str(pair.certificate), str(key), private_key_password="word")
    with caplog.at_level("DEBUG", "kirsch"), serving(old) as made:
        assert library(made, authority) == PYTHONS
    assert [line for line in caplog.messages if line.startswith("Python's ssl serves ")] != []


def test_ciphers_that_kirsch_has_are_served_by_the_engine(authority: Authority, pair: Pair) -> None:
    ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
    old: dict[str, object] = {"maximum_version": ssl.TLSVersion.TLSv1_2}
    with serving(adapter(pair, None, ciphers)) as made:
        found = ask(secure(made, authority, **old))
        assert found["SSL_VERSION_LIBRARY"] == OWN
        assert (found["SSL_PROTOCOL"], found["SSL_CIPHER"]) == ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")
        assert ask(secure(made, authority))["SSL_PROTOCOL"] == "TLSv1.3", "ciphers are those of TLS 1.2"
        refused = authority.context(**old)
        refused.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
        with pytest.raises(ssl.SSLError):
            ask(Secure("127.0.0.1", made.bind_addr[1], refused))
    with serving(adapter(pair, None, "HIGH")) as made:
        assert library(made, authority) == PYTHONS
    with pytest.raises(ssl.SSLError, match="No cipher can be selected"):
        adapter(pair, None, "NONE-OF-THESE")


def test_issuers_are_taken_from_the_certificate_chain(authority: Authority, tmp_path: Path) -> None:
    """As OpenSSL does it, which looks for them among the authorities that it was told of."""
    middle, leaf = tmp_path / "middle.pem", tmp_path / "leaf.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9"]
    signer: list[str | Path] = ["-CA", authority.certificate, "-CAkey", authority.key]
    usage = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
    openssl(
        *words, "-subj", "/CN=Middle", "-keyout", tmp_path / "middle.key", "-out", middle, *signer, *usage
    )
    signer = ["-CA", middle, "-CAkey", tmp_path / "middle.key"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
    openssl(*words, "-subj", "/CN=localhost", "-keyout", tmp_path / "leaf.key", "-out", leaf, *signer, *names)
    served = Pair(leaf, tmp_path / "leaf.key")
    with serving(adapter(served)) as made, pytest.raises(ssl.SSLError, match="unable to get local issuer"):
        ask(secure(made, authority))
    for touched in (False, True):
        chained = adapter(served, str(middle))
        assert not touched or chained.context
        with serving(chained) as made:
            assert library(made, authority) == (PYTHONS if touched else OWN)


def test_mistakes_are_told_as_cheroot_tells_them(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    other = authority.pair("localhost")
    with pytest.raises(ssl.SSLError, match="key values mismatch"):
        BuiltinSSLAdapter(str(pair.certificate), str(other.key))
    with pytest.raises(FileNotFoundError):
        BuiltinSSLAdapter(str(tmp_path / "nowhere.pem"), str(pair.key))
    (tmp_path / "notes.txt").write_text("buy cherries")
    with pytest.raises(ssl.SSLError, match="PEM"):
        BuiltinSSLAdapter(str(tmp_path / "notes.txt"), str(pair.key))


# --- What the application is told


#: What cheroot has and Kirsch's own TLS has not: it knows no such thing.
NOT_THERE = {"SSL_SESSION_ID"}
#: What is another thing.
ANOTHER = {"SSL_VERSION_LIBRARY", "SSL_VERSION_INTERFACE"}


def test_the_variables_are_cheroot_s(authority: Authority) -> None:
    # Days are whole, and each of the two looks at another moment.
    pair = authority.pair("localhost", "a.test")
    touched = adapter(pair)
    with serving(adapter(pair)) as own, serving(touched) as pythons:
        touched.context.set_alpn_protocols(["http/1.1"])
        mine, theirs = (ask(secure(made, authority)) for made in (own, pythons))
    assert (mine["SSL_VERSION_LIBRARY"], theirs["SSL_VERSION_LIBRARY"]) == (OWN, PYTHONS)
    assert theirs.keys() - mine.keys() == NOT_THERE
    remain = "SSL_SERVER_V_REMAIN"
    assert abs(int(mine.pop(remain)) - int(theirs.pop(remain))) <= 1
    differing = {name for name in mine.keys() & theirs.keys() if mine[name] != theirs[name]}
    assert differing == ANOTHER
    assert mine["SSL_CIPHER_USEKEYSIZE"] == 256
    assert (mine["SSL_SERVER_SAN_DNS_1"], mine["SSL_TLS_SNI"]) == ("a.test", "localhost")


def test_objects_know_of_tls_too(authority: Authority, pair: Pair) -> None:
    class Own(wsgi.Gateway_10):
        def respond(self) -> None:
            request = self.req
            request.status = b"200 OK"
            found = {**request.conn.ssl_env, "scheme": request.scheme.decode(), "https": self.env["HTTPS"]}
            request.ensure_headers_sent()
            request.write(json.dumps(found).encode())

    made = server.HTTPServer(("127.0.0.1", 0), Own)
    made.ssl_adapter = adapter(pair)
    with made._run_in_thread():
        found = ask(secure(made, authority))
    assert (found["scheme"], found["https"], found["SSL_VERSION_LIBRARY"]) == ("https", "on", OWN)


# --- Who speaks something else, or nothing


def test_plain_http_is_answered_in_cheroot_s_words(pair: Pair) -> None:
    with serving(adapter(pair)) as made, Client(made.bind_addr) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.response()
        text = b"The client sent a plain HTTP request, but this server only speaks HTTPS on this port."
        assert (answer.status, answer.body, answer.all("connection")) == (400, text, ["close"])


def test_silent_clients_hold_up_nobody_and_have_the_server_s_timeout(
    authority: Authority, pair: Pair
) -> None:
    with serving(adapter(pair), numthreads=2, timeout=1) as made, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(Client(made.bind_addr)) for _ in range(20)]
        assert library(made, authority) == OWN
        assert [client.rest() for client in silent] == [b""] * 20


def test_a_stopped_server_speaks_tls_again(authority: Authority, pair: Pair) -> None:
    made: Any = wsgi.Server(("127.0.0.1", 0), told)
    made.ssl_adapter = adapter(pair)
    for touched in (False, False, True, True):
        assert not touched or made.ssl_adapter.context
        with made._run_in_thread():
            assert library(made, authority) == (PYTHONS if touched else OWN)


def test_a_unix_socket_is_python_s(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    made: Any = wsgi.Server(str(tmp_path / "socket"), told)
    made.ssl_adapter = adapter(pair)
    with made._run_in_thread(), socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(SECONDS)
        raw.connect(str(tmp_path / "socket"))
        with authority.context().wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            received = b"".join(iter(lambda: client.recv(65536), b""))
    assert PYTHONS.encode() in received


class Numbered(BuiltinSSLAdapter):
    """Tells connections apart, as certificates of clients do."""

    _numbers = itertools.count(1)

    def get_environ(self, sock: Any) -> dict[str, Any]:  # type: ignore[override]  # as its base
        return {"SSL_NUMBER": next(self._numbers), **super().get_environ(sock)}


def test_clients_of_a_unix_socket_are_told_apart(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    """They have no address."""
    path = str(tmp_path / "socket")
    made: Any = wsgi.Server(path, told)
    made.ssl_adapter = adapter(pair, kind=Numbered)
    with made._run_in_thread(), contextlib.ExitStack() as stack:
        clients = []
        for _ in range(2):
            raw = stack.enter_context(socket.socket(socket.AF_UNIX))
            raw.settimeout(SECONDS)
            raw.connect(path)
            client = authority.context().wrap_socket(raw, server_hostname="localhost")
            clients.append(stack.enter_context(client))

        def number(client: ssl.SSLSocket) -> int:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            received = b""
            while not received.endswith((b"}", b"0\r\n\r\n")):
                received += client.recv(65536)
            found = re.search(rb'"SSL_NUMBER": (\d+)', received)
            assert found is not None, received
            return int(found[1])

        numbers = [number(client) for client in clients]
        assert sorted(numbers) == [1, 2]
        assert [number(client) for client in clients] == numbers


def test_renewed_files_are_served(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    served = Pair(tmp_path / "crt.pem", tmp_path / "key.pem")
    renewed = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: renewed.set()  # type: ignore[method-assign]
    logger = logging.getLogger("kirsch")

    def lay(what: Pair) -> None:
        served.certificate.write_bytes(what.certificate.read_bytes())
        served.key.write_bytes(what.key.read_bytes())

    def certificate(made: Any) -> str:
        found: str = ask(secure(made, authority))["SSL_SERVER_CERT"]
        return found

    lay(pair)
    with serving(adapter(served)) as made:
        first = certificate(made)
        lay(authority.pair("localhost"))
        logger.addHandler(handler)
        level = logger.level
        logger.setLevel(logging.INFO)
        try:
            made._engine.reload_tls()
            assert renewed.wait(SECONDS)
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
        assert certificate(made) != first


def test_cherrypy_s_builtin_module_is_served_by_the_engine(
    authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(
        "import sys, cherrypy\n"
        "class Root:\n"
        "    @cherrypy.expose\n"
        "    def index(self):\n"
        "        environ = cherrypy.request.wsgi_environ\n"
        "        return cherrypy.request.scheme + ' ' + environ['SSL_VERSION_LIBRARY']\n"
        "cherrypy.config.update({\n"
        "    'server.socket_host': '127.0.0.1', 'server.socket_port': int(sys.argv[1]),\n"
        "    'server.ssl_module': 'builtin', 'engine.autoreload.on': False,\n"
        "    'server.ssl_certificate': sys.argv[2], 'server.ssl_private_key': sys.argv[3],\n"
        "})\n"
        "cherrypy.quickstart(Root())\n"
    )
    port = free_port()
    with Script(tmp_path, ["script.py", str(port), str(pair.certificate), str(pair.key)], port):
        url = f"https://127.0.0.1:{port}/"
        with urllib.request.urlopen(url, timeout=SECONDS, context=authority.context()) as answer:
            assert answer.read() == b"https rustls"
