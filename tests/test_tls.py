"""HTTPS over real sockets, asked by Python's ssl, curl and openssl.

`support/certificates.py` makes the certificates. Who waits for the end of a stream also sees whether TLS was
ended in order, since `Client` takes an end without a goodbye for an error.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import logging
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from secured import blob as numbered
from support.certificates import Authority, Pair, openssl
from support.client import DEADLINE_SECONDS, BrokenResponse, Client, client_hello, get, request_bytes
from support.inside import eventually, settled, view
from support.records import ALERT, HANDSHAKE, KEY_UPDATE, KEY_UPDATE_WANTED, Forger
from support.server import ServerProcess, clean_environment, kirsch

APP = "secured:app"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.pair("localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def server(pair: Pair) -> Iterator[ServerProcess]:
    with ServerProcess(APP, *pair.flags) as server:
        yield server


@pytest.fixture
def context(authority: Authority) -> ssl.SSLContext:
    return authority.context()


def environ(response: Any) -> dict[str, str]:
    """What the application was told."""
    assert response.status == 200, response
    return json.loads(response.body)


# Serving.


def test_curl_is_served(server: ServerProcess, authority: Authority) -> None:
    host, port = server.address
    url = f"https://localhost:{port}/environ"
    words = [
        "curl",
        "-sS",
        "--cacert",
        str(authority.certificate),
        "--resolve",
        f"localhost:{port}:{host}",
        url,
    ]
    done = subprocess.run(words, capture_output=True, check=True, timeout=DEADLINE_SECONDS)
    told = json.loads(done.stdout)
    assert (told["wsgi.url_scheme"], told["HTTPS"], told["SERVER_PORT"]) == ("https", "on", str(port))
    assert told["SSL_TLS_SNI"] == "localhost"


def test_the_start_up_line_says_https(server: ServerProcess) -> None:
    assert re.search(r" on https://127\.0\.0\.1:\d+ with 4 threads; Ctrl-C", server.log), server.log


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(server: ServerProcess, authority: Authority, version: ssl.TLSVersion) -> None:
    context = authority.context(minimum_version=version, maximum_version=version)
    told = environ(get(server.secure(context), "/environ"))
    assert told["SSL_PROTOCOL"] == version.name.replace("_", ".")
    assert told["SSL_CIPHER_USEKEYSIZE"] in ("128", "256")


def test_what_is_too_old_is_refused_and_the_lowest_can_be_raised(
    server: ServerProcess, authority: Authority, pair: Pair
) -> None:
    # Python's ssl warns of what is so old.
    words = ["openssl", "s_client", "-connect", "{}:{}".format(*server.address), "-tls1_1"]
    words += ["-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert "alert" in done.stderr, done
    with ServerProcess(APP, *pair.flags, "--tls-min-version", "1.3") as modern:
        with pytest.raises(ssl.SSLError, match="alert protocol version"):
            get(modern.secure(authority.context(maximum_version=ssl.TLSVersion.TLSv1_2)))
        assert get(modern.secure(authority.context())).body == b"ok"


def test_suites_can_be_chosen_by_name(authority: Authority, pair: Pair) -> None:
    flags = ("--tls-ciphers", "TLS_CHACHA20_POLY1305_SHA256")
    with ServerProcess(APP, *pair.flags, *flags) as server:
        told = environ(get(server.secure(authority.context()), "/environ"))
        assert told["SSL_CIPHER"] == "TLS_CHACHA20_POLY1305_SHA256"


@pytest.mark.parametrize("kind", ["rsa:2048", "ec:P-384", "ed25519"])
def test_kinds_of_keys(authority: Authority, kind: str) -> None:
    with ServerProcess(APP, *authority.pair("localhost", kind=kind).flags) as server:
        assert get(server.secure(authority.context())).body == b"ok"


def test_the_protocol_inside_is_agreed_on(server: ServerProcess, authority: Authority) -> None:
    context = authority.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with Client(server.secure(context)) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.selected_alpn_protocol() == "http/1.1"
        assert client.request().body == b"ok"
    other = authority.context()
    other.set_alpn_protocols(["gopher"])
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        get(server.secure(other))


def test_a_session_is_resumed(server: ServerProcess, context: ssl.SSLContext) -> None:
    with Client(server.secure(context)) as first:
        assert environ(first.request("/environ"))["SSL_SESSION_RESUMED"] == "Initial"
        assert isinstance(first.socket, ssl.SSLSocket)
        session = first.socket.session
    plain = socket.create_connection(server.address, DEADLINE_SECONDS)
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as resumed:
        assert resumed.session_reused
        resumed.sendall(request_bytes("/environ", fields=("Connection: close",)))
        said = b"".join(iter(partial(resumed.recv, 65536), b""))
    assert b'"SSL_SESSION_RESUMED": "Resumed"' in said


def test_openssl_resumes_again_and_again(server: ServerProcess, authority: Authority) -> None:
    words = ["openssl", "s_client", "-connect", "{}:{}".format(*server.address), "-tls1_2", "-reconnect"]
    words += ["-CAfile", str(authority.certificate)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.stdout.count("Reused, TLSv1.2") == 5, done


def test_a_browser_is_served(server: ServerProcess, pair: Pair, tmp_path: Path) -> None:
    """Browsers have stores of their own, so it is told which key to trust."""
    public = subprocess.run(
        "openssl x509 -pubkey -noout | openssl pkey -pubin -outform DER | openssl sha256 -binary",
        shell=True,
        input=pair.certificate.read_bytes(),
        capture_output=True,
        check=True,
    ).stdout
    flags = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
    )
    trusted = f"--ignore-certificate-errors-spki-list={base64.b64encode(public).decode()}"
    url = f"https://localhost:{server.address[1]}/environ"
    words = ["chromium", *flags, trusted, f"--user-data-dir={tmp_path}", "--dump-dom", url]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert '"SSL_PROTOCOL": "TLSv1.3"' in html.unescape(done.stdout), done


def test_renegotiation_is_refused(server: ServerProcess, authority: Authority) -> None:
    host, port = server.address
    words = [
        "openssl",
        "s_client",
        "-connect",
        f"{host}:{port}",
        "-tls1_2",
        "-CAfile",
        str(authority.certificate),
    ]
    client = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, _ = client.communicate(b"R\n", timeout=DEADLINE_SECONDS)
    assert b"Verify return code: 0 (ok)" in said, said
    assert b"RENEGOTIATING" in said, said
    assert client.returncode != 0, said
    assert get(server.secure(authority.context())).body == b"ok"


def test_sslyze_finds_it_compliant(server: ServerProcess, authority: Authority) -> None:
    """By Mozilla's intermediate configuration: versions, suites, curves, certificate, known attacks."""
    address = f"localhost:{server.address[1]}"
    words = [sys.executable, "-W", "ignore", "-m", "sslyze", "--certinfo_ca_file", str(authority.certificate)]
    done = subprocess.run([*words, address], capture_output=True, text=True, timeout=120, check=False)
    assert "OK - Compliant" in done.stdout, done
    assert done.returncode == 0, done


# What testssl.sh may find: by its id, with the reason.
TESTSSL_LISTED = {
    "engine_problem": "of the scanner's own OpenSSL, which has no GOST",
    "sessionresumption_ticket": "its client leaves at once, often before the tickets of TLS 1.3 have come",
    "security_headers": "the application's to set: the server does not know what its pages may do",
}


@pytest.mark.slow
def test_testssl_finds_nothing_of_weight(authority: Authority, tmp_path: Path) -> None:
    """All that it looks at by default: versions, suites, certificate, known attacks, what browsers get."""
    pair = authority.pair("localhost", "127.0.0.1", days=90, revoked_at="http://a.test/revoked.crl")
    found = tmp_path / "found.json"
    words = [
        "testssl",
        "--quiet",
        "--color",
        "0",
        "--warnings",
        "off",
        "--ip",
        "127.0.0.1",
        "--nodns",
        "none",
    ]
    words += ["--add-ca", str(authority.certificate), "--jsonfile", str(found)]
    with ServerProcess(APP, *pair.flags) as server:
        done = subprocess.run(
            [*words, f"localhost:{server.address[1]}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    findings = {one["id"]: one for one in json.loads(found.read_text(encoding="utf-8"))}
    # It has come to the end, and has seen what it was to see.
    seen = {name: findings[name]["severity"] for name in ("TLS1_2", "TLS1_3", "ROBOT", "cert_chain_of_trust")}
    assert set(seen.values()) == {"OK"}, done.stdout
    assert "scanTime" in findings, done.stdout
    # WARN and FATAL are what could not be looked at.
    light = {"DEBUG", "INFO", "OK", "LOW"}
    heavy = {name: one for name, one in findings.items() if one["severity"] not in light}
    assert heavy.keys() <= TESTSSL_LISTED.keys(), heavy


# Requests and responses.


def test_a_connection_is_kept_and_requests_may_come_at_once(
    server: ServerProcess, context: ssl.SSLContext
) -> None:
    with Client(server.secure(context)) as client:
        for _ in range(3):
            assert client.request("/").body == b"ok"
        client.send(request_bytes("/blob?10") + request_bytes("/echo", "POST", body=b"x") + request_bytes())
        assert [client.response().body for _ in range(3)] == [numbered(10), b"x", b"ok"]
        client.send(request_bytes(fields=("Connection: close",)))
        assert client.response().body == b"ok"
        client.expect_close()


@pytest.mark.parametrize("count", [0, 1, 16_383, 16_384, 16_385, 65_536, 1_000_000, 20_000_000])
@pytest.mark.parametrize("path", ["blob", "blocks", "file"])
def test_responses_of_every_size_are_whole(
    server: ServerProcess, context: ssl.SSLContext, path: str, count: int
) -> None:
    with Client(server.secure(context), deadline_seconds=60) as client:
        assert client.request(f"/{path}?{count}").body == numbered(count)
        assert client.request().body == b"ok"


@pytest.mark.parametrize("path", ["blob", "blocks", "file"])
def test_a_slow_client_gets_all_and_the_goodbye(
    server: ServerProcess, context: ssl.SSLContext, path: str
) -> None:
    count = 3_000_000
    with Client(server.secure(context), receive_buffer=4096) as slow:
        slow.send(request_bytes(f"/{path}?{count}", fields=("Connection: close",)))
        # The server has had to wait for the client by then.
        eventually(lambda: get(server.secure(context)).status == 200, "another is served")
        assert slow.response().body == numbered(count)
        slow.expect_close()


@pytest.mark.parametrize("count", [1, 16_385, 5_000_000])
def test_bodies_of_every_size_arrive(server: ServerProcess, context: ssl.SSLContext, count: int) -> None:
    body = numbered(count)
    with Client(server.secure(context), deadline_seconds=60) as client:
        assert client.request("/echo", "POST", body=body).body == body
        response = client.request("/echo", "POST", body=body, fields=("Expect: 100-continue",))
        assert response.body == body


def test_a_body_that_is_cut_off_is_noticed(server: ServerProcess, context: ssl.SSLContext) -> None:
    with Client(server.secure(context)) as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nfive.")
        client.finish()
        assert client.response().status == 400


def test_an_idle_connection_is_told_goodbye(pair: Pair, context: ssl.SSLContext) -> None:
    flags = (*pair.flags, "--timeout-keepalive", "100ms")
    with ServerProcess(APP, *flags) as server, Client(server.secure(context)) as client:
        assert client.request().body == b"ok"
        client.expect_close()


def test_a_drain_says_goodbye(pair: Pair, context: ssl.SSLContext) -> None:
    with ServerProcess(APP, *pair.flags) as server, Client(server.secure(context)) as client:
        assert client.request().body == b"ok"
        server.signal(signal.SIGTERM)
        client.expect_close()
        assert server.wait() == 0


# Who does not speak TLS, or does so badly.


def test_plain_http_is_told_what_is_spoken(server: ServerProcess) -> None:
    with server.client() as client:
        response = client.request()
        assert (response.status, response.get("Connection")) == (400, "close")
        assert b"plain HTTP was sent to a port that speaks TLS" in response.body
        client.expect_close()


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x00\x05hello", b"\x16\xff\xff\xff\xff", b"\x16" * 100_000],
    ids=["no", "long", "many"],
)
def test_what_only_begins_like_tls_is_refused(server: ServerProcess, sent: bytes) -> None:
    before = statistics(server)["handshakes_failed"]
    with server.client() as client:
        client.send_what_is_taken(sent)
        with contextlib.suppress(BrokenResponse):
            # An alert, or nothing.
            assert client.rest()[:1] in (b"\x15", b"")
    eventually(partial(has_failed, server, before + 1), "it is counted")


def has_failed(server: ServerProcess, count: int) -> bool:
    """Whether so many handshakes have come to nothing."""
    return bool(statistics(server)["handshakes_failed"] >= count)


def statistics(server: ServerProcess) -> dict[str, Any]:
    # Whoever asks need not know the certificate.
    context = ssl._create_unverified_context()
    return view(server.secure(context))["statistics"]


def test_failures_are_counted_and_told_at_debug_only(pair: Pair, context: ssl.SSLContext) -> None:
    for level in ("info", "debug"):
        with ServerProcess(APP, *pair.flags, "--log-level", level) as server:
            with pytest.raises(ssl.SSLError):
                get(server.secure(ssl.create_default_context()))
            eventually(partial(has_failed, server, 1), "it is counted")
            if level == "debug":
                server.wait_for_log(r"TLS handshake failed peer=127\.0\.0\.1 reason=.*UnknownCA")
            get(server.secure(context))
            server.signal(signal.SIGTERM)
            # How many there were is told whatever the level for reasons.
            server.wait_for_log(r"INFO TLS handshakes since the start done=\d+ failed=1\n")
            assert server.wait() == 0
        assert ("handshake failed" in server.log) == (level == "debug"), server.log


def test_the_silent_and_the_half_handshaken_hold_nobody_up(pair: Pair, context: ssl.SSLContext) -> None:
    with contextlib.ExitStack() as stack, ServerProcess(APP, *pair.flags, threads=2) as server:
        begun = client_hello(context)
        for number in range(400):
            client = stack.enter_context(server.client())
            if number % 2:
                client.send(begun if number % 4 == 1 else begun[: number % len(begun)])
        for _ in range(50):
            assert get(server.secure(context)).body == b"ok"


@pytest.mark.parametrize("threads", [1, 4])
def test_a_flood_of_handshakes_leaves_open_connections_served(
    pair: Pair, context: ssl.SSLContext, threads: int
) -> None:
    begun = client_hello(context)
    with contextlib.ExitStack() as stack, ServerProcess(APP, *pair.flags, threads=threads) as server:
        kept = stack.enter_context(Client(server.secure(context)))
        assert kept.request().body == b"ok"
        done = threading.Event()

        def flood() -> None:
            while not done.is_set():
                with contextlib.ExitStack() as crowd:
                    for _ in range(50):
                        crowd.enter_context(server.client()).send(begun)

        flooders = [threading.Thread(target=flood) for _ in range(3)]
        for flooder in flooders:
            flooder.start()
        try:
            for _ in range(200):
                assert kept.request().body == b"ok"
            assert get(server.secure(context)).body == b"ok"
        finally:
            done.set()
            for flooder in flooders:
                flooder.join()


def test_a_handshake_is_run_by_who_drives(pair: Pair, context: ssl.SSLContext) -> None:
    """A tenth may change hands: the watcher cannot tell a preempted thread from a slow one."""
    with ServerProcess(APP, *pair.flags, threads=10) as server:
        before = statistics(server)
        for _ in range(200):
            assert get(server.secure(context)).body == b"ok"
        after = statistics(server)
    assert after["handshakes"] - before["handshakes"] == 201
    assert after["hand_overs"] - before["hand_overs"] < 20


def test_a_handshake_has_its_time(pair: Pair, context: ssl.SSLContext) -> None:
    with ServerProcess(APP, *pair.flags, "--timeout-handshake", "200ms") as server:
        begun = client_hello(context)
        for sent in (b"", begun[:1], begun[:-1], begun):
            with server.client() as client:
                client.send(sent)
                # Its part of the handshake, perhaps; then the end.
                client.rest()
        assert get(server.secure(context)).body == b"ok"
        assert statistics(server)["handshakes_failed"] == 3, "who says nothing has not begun"


# What the allocator may keep of some hundred connections, each of which would have left 10 KiB.
MOST_LEFT_BYTES = 2 * 1024 * 1024


def test_leaving_at_each_step_leaks_nothing(pair: Pair, context: ssl.SSLContext) -> None:
    environment = {"MALLOC_ARENA_MAX": "1"}
    with ServerProcess(APP, *pair.flags, environment=environment) as server:
        address = server.secure(context)
        begun = client_hello(context)

        def leave(*, rudely: bool) -> None:
            for sent in (b"", begun[:3], begun[:100], begun):
                with server.client() as client:
                    client.send(sent)
                    if sent == begun:
                        client.received(1)
                    if rudely:
                        client.reset()
            for asked in (b"", request_bytes()[:10], request_bytes("/blob?2000000")):
                with Client(address, receive_buffer=4096) as client:
                    client.send(asked)
                    if asked.endswith(b"\r\n\r\n"):
                        client.received(1)
                    if rudely:
                        client.reset()

        def leave_often() -> int:
            """So much memory there is then."""
            for round in range(40):
                leave(rudely=round % 2 == 1)
            settled(address)
            resident = view(address)["resident_bytes"]
            assert isinstance(resident, int)
            return resident

        assert get(address).body == b"ok"
        before = settled(address)
        counted = statistics(server)
        for _ in range(10):
            leave(rudely=False)
        eventually(partial(has_failed, server, counted["handshakes_failed"] + 30), "three of seven fail")
        settled(address)
        after = statistics(server)
        done, failed, accepted = (
            after[name] - counted[name] for name in ("handshakes", "handshakes_failed", "accepted")
        )
        assert failed == 30
        assert accepted == done + failed + 10, "who says nothing has not begun"
        leave_often()
        first = leave_often()
        leave_often()
        assert leave_often() < first + MOST_LEFT_BYTES
        assert settled(address) == before
        assert statistics(server)["panics"] == 0


@pytest.mark.parametrize("how", ["goodbye", "end", "both"])
def test_who_ends_its_side_behind_a_request_is_answered(
    server: ServerProcess, context: ssl.SSLContext, how: str
) -> None:
    with Forger(server.secure(context)) as forger:
        request, goodbye = forger.record(request_bytes()), forger.record(b"\1\0", ALERT)
        forger.send(request + (goodbye if how != "end" else b""))
        if how != "goodbye":
            forger.wire.shutdown(socket.SHUT_WR)
        said = b"".join(iter(partial(forger.secured.recv, 65536), b""))
    assert said.startswith(b"HTTP/1.1 200"), said
    assert said.endswith(b"\r\n\r\nok"), said


def test_what_comes_in_tiny_and_empty_records_is_the_same(
    server: ServerProcess, context: ssl.SSLContext
) -> None:
    body = numbered(2000)
    message = request_bytes("/echo", "POST", body=body, fields=("Connection: close",))
    with Forger(server.secure(context)) as forger:
        for place in range(len(message)):
            # Padded, empty, with new keys, wherever a byte may be.
            forger.send(forger.record(b"", padding=place % 50) + forger.new_keys(KEY_UPDATE))
            forger.send(forger.record(message[place : place + 1], padding=place % 300))
        said = b"".join(iter(partial(forger.secured.recv, 65536), b""))
    assert said.endswith(b"\r\n\r\n" + body), said


@pytest.mark.parametrize(
    ("records", "answer"),
    [
        (lambda forger: forger.record(b"") * 1, b"HTTP/1.1 200"),
        (lambda forger: b"".join(forger.record(b"") for _ in range(40)), b""),
        (lambda forger: b"".join(forger.new_keys() for _ in range(33)), b""),
        (lambda forger: b"".join(forger.new_keys(KEY_UPDATE_WANTED) for _ in range(32)), b"HTTP/1.1 200"),
        (lambda forger: forger.record(b"\1\0", ALERT), b""),
        (lambda forger: forger.record(bytes(16_385)), None),
        (lambda forger: forger.record(b"x")[:-1] + b"x", None),
        (lambda forger: forger.record(b"\1\0\0\4abcd", HANDSHAKE), None),
        (lambda forger: b"GET / HTTP/1.1\r\n", None),
    ],
    ids=["empty", "empties", "keys", "wanted", "goodbye", "long", "bent", "hello", "plain"],
)
def test_records_that_no_client_sends_end_nothing_but_its_connection(
    server: ServerProcess, context: ssl.SSLContext, records: Callable[[Forger], bytes], answer: bytes | None
) -> None:
    address = server.secure(context)
    with Client(address) as kept:
        assert kept.request().body == b"ok"
        with Forger(address) as forger:
            forger.send(records(forger) + forger.record(request_bytes()))
            if answer is None:
                with pytest.raises(ssl.SSLError, match="alert"):
                    forger.secured.recv(12)
            else:
                with contextlib.suppress(ConnectionResetError):
                    assert forger.secured.recv(12) == answer
        assert kept.request().body == b"ok"


# Names.


def test_each_name_has_its_certificate(authority: Authority) -> None:
    pairs = {
        "one.test": authority.pair("one.test"),
        "sub.two.test": authority.pair("two.test", "*.two.test"),
        "deep.sub.two.test": None,
        "other.test": None,
    }
    flags = [flag for pair in pairs.values() if pair for flag in pair.flags]
    for unknown in ("first", "refuse"):
        with ServerProcess(APP, *flags, "--tls-unknown-name", unknown) as server:
            for name, pair in pairs.items():
                context = authority.context(check_hostname=False)
                if pair is None and unknown == "refuse":
                    with pytest.raises(ssl.SSLError):
                        get(server.secure(context, name))
                    continue
                with Client(server.secure(context, name)) as client:
                    assert isinstance(client.socket, ssl.SSLSocket)
                    shown = client.socket.getpeercert()
                    assert shown is not None
                    wanted = {"one.test": "one.test", "sub.two.test": "two.test"}.get(name, "one.test")
                    assert (("commonName", wanted),) in shown["subject"]
                    assert environ(client.request("/environ"))["SSL_TLS_SNI"] == name


def test_tls_and_plain_side_by_side_with_a_redirect_and_hsts(pair: Pair, authority: Authority) -> None:
    flags = ("--bind", "https://127.0.0.1:0", "--tls-redirect", "--tls-hsts", "1h")
    with ServerProcess(APP, *pair.flags, *flags, bind="http://127.0.0.1:0") as server:
        found = re.search(r"on (http://127\.0\.0\.1:(\d+)), (https://127\.0\.0\.1:(\d+))", server.log)
        assert found, server.log
        plain, secure = ("127.0.0.1", int(found[2])), int(found[4])
        response = get(plain, "/a?b", method="POST", body=b"x")
        assert response.status == 308
        assert response.get("Location") == f"https://a.test:{secure}/a?b"
        assert response.all("Strict-Transport-Security") == [], "RFC 6797, 7.2"
        server.address = ("127.0.0.1", secure)
        address = server.secure(authority.context())
        for target, status in (("/", 200), ("/%00", 400)):
            response = get(address, target)
            assert (response.status, response.get("Strict-Transport-Security")) == (status, "max-age=3600")


# Certificates of clients.


def test_clients_with_certificates(authority: Authority, tmp_path: Path) -> None:
    # The host that the raw client asks for, which has to be the one of the handshake.
    pair = authority.pair("a.test")
    own, revoked = authority.client("alice"), authority.client("mallory")
    foreign = Authority(tmp_path).client("eve")
    trusted, withdrawn = str(authority.certificate), str(authority.revocations(revoked))
    trust = ("--tls-client-ca", trusted, "--tls-client-crl", withdrawn)

    def told(server: ServerProcess, shown: Pair | None) -> dict[str, str]:
        context = authority.context()
        if shown:
            context.load_cert_chain(shown.certificate, shown.key)
        return environ(get(server.secure(context, "a.test"), "/environ"))

    for kind in ("optional", "required"):
        with ServerProcess(APP, *pair.flags, *trust, "--tls-client-certs", kind) as server:
            seen = told(server, own)
            assert (seen["SSL_CLIENT_VERIFY"], seen["SSL_CLIENT_S_DN_CN"]) == ("SUCCESS", "alice")
            assert seen["SSL_CLIENT_SAN_Email_0"] == "alice@a.test"
            assert seen["SSL_CLIENT_CERT"] == own.certificate.read_text()
            for other in (revoked, foreign):
                with pytest.raises((ssl.SSLError, BrokenResponse, ConnectionResetError)):
                    told(server, other)
            if kind == "optional":
                assert told(server, None)["SSL_CLIENT_VERIFY"] == "NONE"
            else:
                with pytest.raises((ssl.SSLError, BrokenResponse, ConnectionResetError)):
                    told(server, None)


def test_with_required_certificates_the_host_is_the_one_of_the_handshake(
    authority: Authority, pair: Pair
) -> None:
    flags = ("--tls-client-certs", "required", "--tls-client-ca", str(authority.certificate))
    with ServerProcess(APP, *pair.flags, *flags) as server:
        own = authority.client("alice")
        context = authority.context()
        context.load_cert_chain(own.certificate, own.key)
        for host, status in (("localhost", 200), ("LOCALHOST.:443", 200), ("other.test", 421)):
            with Client(server.secure(context)) as client:
                client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                assert client.response().status == status, host


# Renewal.


def test_new_certificates_are_served_and_bad_ones_are_not(authority: Authority, tmp_path: Path) -> None:
    pair = authority.pair("localhost", into=tmp_path)
    with ServerProcess(APP, *pair.flags) as server:

        def shown() -> str:
            with Client(server.secure(authority.context())) as client:
                assert isinstance(client.socket, ssl.SSLSocket)
                der = client.socket.getpeercert(binary_form=True)
            assert der is not None
            pem = tmp_path / "shown.pem"
            pem.write_text(ssl.DER_cert_to_PEM_cert(der))
            return Pair(pem, pem).fingerprint()

        assert shown() == pair.fingerprint()
        with Client(server.secure(authority.context())) as old:
            old.request()
            authority.pair("localhost").rename_to(pair)
            server.signal(signal.SIGUSR2)
            eventually(lambda: shown() == pair.fingerprint(), "the new certificate")
            assert old.request().body == b"ok", "connections in progress are untouched"
        good, key = pair.fingerprint(), pair.key.read_bytes()
        authority.pair("localhost").key.rename(pair.key)
        server.signal(signal.SIGUSR2)
        server.wait_for_log("the key belongs to another certificate")
        server.signal(signal.SIGUSR2)
        pair.key.write_bytes(key[: len(key) // 2])
        server.signal(signal.SIGUSR2)
        server.wait_for_log("it is not whole PEM")
        assert shown() == good
        assert server.log.count("the key belongs to another certificate") == 1
        pair.key.write_bytes(key)
        server.signal(signal.SIGUSR2)
        assert shown() == good


def test_a_change_is_noticed_without_a_signal(authority: Authority, tmp_path: Path) -> None:
    pair = authority.pair("localhost", into=tmp_path)
    with ServerProcess(APP, *pair.flags) as server:
        authority.pair("localhost").rename_to(pair)
        server.wait_for_log(f"TLS is served with new files certificates={re.escape(pair.fingerprint())}")


@pytest.mark.slow
def test_certificates_change_under_load_without_one_failed_request(
    authority: Authority, tmp_path: Path
) -> None:
    pair = authority.pair("localhost", into=tmp_path)
    new = [authority.pair("localhost") for _ in range(50)]
    with ServerProcess(APP, *pair.flags) as server:
        address, done, failed = server.secure(authority.context()), threading.Event(), []
        served = [0, 0, 0]

        def ask(place: int) -> None:
            try:
                while not done.is_set():
                    with Client(address) as client:
                        for _ in range(place + 1):
                            assert client.request("/blob?30000").body == numbered(30_000)
                            served[place] += 1
            except BaseException as error:
                failed.append(error)
                raise

        def renewed(times: int) -> bool:
            return bool(failed) or server.log.count("TLS is served with new files") >= times

        askers = [threading.Thread(target=ask, args=(place,)) for place in range(len(served))]
        for asker in askers:
            asker.start()
        try:
            for number, other in enumerate(new, 1):
                other.rename_to(pair)
                server.signal(signal.SIGUSR2)
                eventually(partial(renewed, number), f"renewal {number}")
        finally:
            done.set()
            for asker in askers:
                asker.join()
        assert failed == []
        assert min(served) > 0


# Starting.


def test_a_certificate_of_its_own_is_told_by_its_fingerprint() -> None:
    with ServerProcess(APP, "--tls-self-signed") as server:
        line = server.wait_for_log(r"a certificate of its own, SHA-256 ([0-9A-F:]{95}); Ctrl-C")
        context = ssl._create_unverified_context()
        with Client(server.secure(context)) as client:
            assert isinstance(client.socket, ssl.SSLSocket)
            der = client.socket.getpeercert(binary_form=True)
            assert der is not None
            assert client.request().body == b"ok"
    said = openssl_fingerprint(der)
    assert line[1] == said


def openssl_fingerprint(der: bytes) -> str:
    done = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-noout", "-fingerprint", "-sha256"],
        input=der,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip().partition("=")[2]


def refusal(*flags: str, environment: dict[str, str] | None = None) -> str:
    """What the command says that cannot serve."""
    words = [*kirsch(), "check", APP, "--bind", "127.0.0.1:0", *flags]
    variables = {**clean_environment(), **(environment or {})}
    done = subprocess.run(
        words, cwd=Path(__file__).parent / "apps", env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode in (1, 2), done
    assert done.stderr.count("\n") == 1, f"one message: {done.stderr}"
    return done.stderr


def test_what_is_wrong_with_a_certificate_is_said_in_one_line(
    authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    other = authority.pair("other.test")
    cert, key = str(pair.certificate), str(pair.key)
    locked = tmp_path / "locked.pem"
    openssl("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", key, "-out", locked, "-passout", "pass:secret")
    cases = {
        (
            "--tls-cert",
            "/nowhere.pem",
            "--tls-key",
            key,
        ): "flag --tls-cert: cannot serve TLS: /nowhere.pem: there is no such file",
        (
            "--tls-cert",
            cert,
            "--tls-key",
            "/nowhere.pem",
        ): "flag --tls-key: cannot serve TLS: /nowhere.pem: there is no such file",
        ("--tls-cert", cert, "--tls-key", str(other.key)): "the key belongs to another certificate",
        (
            "--tls-cert",
            cert,
            "--tls-key",
            str(locked),
        ): "the key is encrypted; name the file that holds its password as "
        "tls-key-password-file, or set KIRSCH_TLS_KEY_PASSWORD",
        ("--tls-cert", cert): "there is no private key in it; name the file of its key too",
        ("--tls-key", key): "flag --tls-key: there is no certificate; set tls-cert too",
        ("--tls-cert", cert, "--tls-cert", cert, "--tls-key", key): "there are 2 certificates and 1 keys",
        (
            *pair.flags,
            *("--tls-min-version", "1.3", "--tls-ciphers", "ECDHE-RSA-AES128-GCM-SHA256"),
        ): "flag --tls-ciphers: cannot serve TLS: none of the cipher suites belongs to a version",
        ("--tls-ciphers", "RC4-MD5", "--tls-cert", cert): "is no cipher suite that is known here",
        ("--bind", "https://127.0.0.1:0"): "has no certificate; set tls-cert and tls-key",
        ("--tls-client-certs", "required", *pair.flags): "nobody is named who signs certificates of clients",
        ("--tls-redirect", *pair.flags): "leads from an address that speaks http",
    }
    for flags, wanted in cases.items():
        assert wanted in refusal(*flags), flags
    wrong = refusal(
        "--tls-cert", cert, "--tls-key", str(locked), environment={"KIRSCH_TLS_KEY_PASSWORD": "x"}
    )
    assert "the password does not open the key" in wrong
    assert "secret" not in wrong


def test_a_key_may_be_encrypted(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    locked, password = tmp_path / "locked.pem", tmp_path / "password"
    password.write_text("secret\n")
    words = (
        "pkcs8",
        "-topk8",
        "-v2",
        "aes-256-cbc",
        "-in",
        pair.key,
        "-out",
        locked,
        "-passout",
        "pass:secret",
    )
    openssl(*words)
    flags = ("--tls-cert", str(pair.certificate), "--tls-key", str(locked))
    with ServerProcess(APP, *flags, "--tls-key-password-file", str(password)) as server:
        assert get(server.secure(authority.context())).body == b"ok"
    with ServerProcess(APP, *flags, environment={"KIRSCH_TLS_KEY_PASSWORD": "secret"}) as server:
        assert get(server.secure(authority.context())).body == b"ok"


def test_settings_from_a_file(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    settings = tmp_path / "kirsch.toml"
    settings.write_text(f'[tls]\ncert = "{pair.certificate}"\nkey = "{pair.key}"\nmin_version = "1.3"\n')
    with ServerProcess(APP, "--config", str(settings)) as server:
        told = environ(get(server.secure(authority.context()), "/environ"))
        assert told["SSL_PROTOCOL"] == "TLSv1.3"


def test_embedded(authority: Authority, pair: Pair) -> None:
    import kirsch

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        return [environ["wsgi.url_scheme"].encode()]

    with kirsch.Server(app, bind="127.0.0.1:0", tls_cert=pair.certificate, tls_key=[pair.key]) as server:
        (address,) = server.addresses
        assert not isinstance(address, str)
        assert server.urls == [f"https://127.0.0.1:{address[1]}"]
        from support.client import Secure

        assert get(Secure(*address, authority.context())).body == b"https"
        assert server.reload_tls()
        assert server.own_fingerprint is None
        assert server.statistics()["handshakes"] == 1


def test_embedded_the_logger_tells_of_new_files(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import kirsch

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("204 No Content", [])
        return []

    def told() -> list[tuple[str, str, int, str]]:
        return [
            (record.name, record.threadName or "", record.levelno, record.getMessage())
            for record in caplog.records
        ]

    pair = authority.pair("localhost", into=tmp_path)
    pair.key.chmod(0o644)
    caplog.set_level(logging.INFO, logger="kirsch")
    with kirsch.Server(app, bind="127.0.0.1:0", tls_cert=pair.certificate, tls_key=pair.key) as server:
        eventually(lambda: len(told()) == 1, "what is doubtful at the start")
        key = authority.pair("localhost").key
        key.chmod(0o600)
        key.rename(pair.key)
        server.reload_tls()
        eventually(lambda: len(told()) == 2, "what cannot be served")
        server.reload_tls()
        authority.pair("localhost").rename_to(pair)
        server.reload_tls()
        eventually(lambda: len(told()) == 3, "what is served")
        server.reload_tls()
    open_to_all = f"{pair.key}: the private key is open to everybody on this machine (mode 644)"
    mismatch = f"{pair.key}: the key belongs to another certificate than that in {pair.certificate}"
    refused = f"TLS goes on with the files it had; the new ones cannot be served: {mismatch}"
    renewed = f"TLS is served with new files; certificates: SHA-256 {pair.fingerprint()}"
    wanted = ((30, open_to_all), (40, refused), (20, renewed))
    assert len(told()) == 3, told()
    for (name, thread, level, text), (wanted_level, beginning) in zip(told(), wanted, strict=True):
        assert (name, thread, level) == ("kirsch", "kirsch-tls", wanted_level)
        assert text.startswith(beginning), text
