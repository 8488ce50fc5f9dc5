"""Programs that were written for cheroot, over Kirsch: unchanged scripts, and `kirsch.cheroot`'s classes."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import urllib.response
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kirsch.cheroot import server, wsgi
from kirsch.cheroot.workers.threadpool import ThreadPool
from support.cheroot import SECONDS, Quiet, ask, environment, get, hello, running, without_cheroot
from support.client import BrokenResponse, Client
from support.ports import free_port
from support.script import Script, run
from support.server import APPS, clean_environment

# --- Scripts


@pytest.fixture(params=["kirsch run", "without cheroot's package"])
def webpy(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Script]:
    """web.py's program, with and without cheroot installed."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "style.css").write_text("body { color: red }\n")
    port = free_port()
    python = environment() if request.param == "kirsch run" else without_cheroot()
    with Script(
        tmp_path, [str(APPS / "webpy_script.py"), f"127.0.0.1:{port}"], port, python=python
    ) as script:
        yield script


def test_a_web_py_program_runs_unchanged(webpy: Script) -> None:
    answer = webpy.ask("/?name=Kirsch")
    assert answer.read() == b"<b>Kirsch</b>\n"
    assert answer.headers["Server"] == "localhost"
    assert webpy.ask_as("HEAD", "/").read() == b""
    assert webpy.ask("/form", b"a=1&b=%C3%A9").read().decode() == "1,é,POST,HTTP/1.1"
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\n'
        + b"z" * 70000
        + b"\r\n--x--\r\n"
    )
    assert webpy.ask("/upload", body, Content_Type="multipart/form-data; boundary=x").read() == b"f.bin 70000"
    assert webpy.ask("/stream").read() == b"0\n1\n2\n3\n4\n"
    first = webpy.ask("/count")
    cookie = first.headers["Set-Cookie"].partition(";")[0]
    assert (first.read(), webpy.ask("/count", Cookie=cookie).read()) == (b"1", b"2")
    sheet = webpy.ask("/static/style.css")
    assert (sheet.read(), sheet.headers["Content-Length"]) == (b"body { color: red }\n", "20")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        webpy.ask("/none")
    with pytest.raises(urllib.error.HTTPError, match="304"):
        webpy.ask("/static/style.css", If_None_Match=sheet.headers["ETag"])
    assert webpy.interrupt() == 0
    assert '"HTTP/1.1 GET /stream" - 200 OK' in webpy.log.read_text(), "web.py's own log"


def test_a_chunked_body_reaches_web_data(webpy: Script) -> None:
    with Client(("127.0.0.1", webpy.port)) as client:
        client.send(
            b"PUT /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
        assert client.response().body == b"5"


def test_app_stop_in_a_handler_delivers_the_answer_and_ends_the_program(webpy: Script) -> None:
    assert webpy.ask("/stop").read() == b"stopped"
    assert webpy.process.wait(SECONDS) == 0


def test_web_py_s_recipe_for_https_is_served(tmp_path: Path) -> None:
    make = "import trustme, sys; c = trustme.CA(); k = c.issue_cert('localhost', '127.0.0.1'); "
    make += "k.private_key_pem.write_to_path('key.pem'); c.cert_pem.write_to_path('ca.pem'); "
    make += "k.cert_chain_pems[0].write_to_path('cert.pem')"
    subprocess.run([str(environment()), "-c", make], cwd=tmp_path, check=True, timeout=SECONDS)
    (tmp_path / "code.py").write_text(
        "import web\n"
        "from cheroot.server import HTTPServer\n"
        "from cheroot.ssl.builtin import BuiltinSSLAdapter\n"
        "HTTPServer.ssl_adapter = BuiltinSSLAdapter(certificate='cert.pem', private_key='key.pem')\n"
        "class Index:\n"
        "    def GET(self):\n"
        "        env = web.ctx.env\n"
        "        own = env['SSL_VERSION_LIBRARY']\n"
        "        told = [web.ctx.protocol, env['HTTPS'], env['SSL_PROTOCOL'], env['REMOTE_ADDR'], own]\n"
        "        return ' '.join(told)\n"
        "app = web.application(('/', 'Index'), globals())\n"
        "if __name__ == '__main__':\n"
        "    app.run()\n"
    )
    port = free_port()
    with Script(tmp_path, ["code.py", f"127.0.0.1:{port}"], port) as script:
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        # A client that says nothing keeps nobody waiting.
        with socket.create_connection(("127.0.0.1", port), SECONDS):
            url = f"https://127.0.0.1:{port}/"
            with urllib.request.urlopen(url, timeout=SECONDS, context=context) as answer:
                assert answer.read() == b"https on TLSv1.3 127.0.0.1 rustls"
        with Client(("127.0.0.1", port)) as plain:
            plain.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            refusal = plain.response()
            assert (refusal.status, refusal.body[:37]) == (400, b"The client sent a plain HTTP request,")
        assert script.interrupt() == 0


def test_runsimple_and_bottle_s_adapter_are_served(tmp_path: Path) -> None:
    (tmp_path / "simple.py").write_text(
        "import sys, web\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [environ['SERVER_SOFTWARE'].encode()]\n"
        "web.httpserver.runsimple(app, ('127.0.0.1', int(sys.argv[1])))\n"
    )
    (tmp_path / "bottled.py").write_text(
        "import sys, bottle\n"
        "@bottle.route('/')\n"
        "def index():\n"
        "    return bottle.request.environ['SERVER_SOFTWARE']\n"
        "bottle.run(server='cheroot', host='127.0.0.1', port=int(sys.argv[1]), quiet=True)\n"
    )
    for name in ("simple.py", "bottled.py"):
        port = free_port()
        with Script(tmp_path, [name, str(port)], port) as script:
            assert script.ask("/").read() == b"Cheroot/11.1.2 Server"


def test_a_cherrypy_program_runs_unchanged(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("static\n")
    port = free_port()
    with Script(tmp_path, [str(APPS / "cherrypy_script.py"), str(port)], port) as script:
        assert script.ask("/?name=Kirsch").read() == b"Hello, Kirsch"
        first = script.ask("/count")
        cookie = first.headers["Set-Cookie"].partition(";")[0]
        assert (first.read(), script.ask("/count", Cookie=cookie).read()) == (b"1", b"2")
        doubled = script.ask("/double", b'{"number": 21}', Content_Type="application/json")
        assert json.loads(doubled.read()) == {"double": 42}
        part = script.ask("/static/file.txt", Range="bytes=2-4")
        assert (part.status, part.read()) == (206, b"ati")
        packed = script.ask("/long", Accept_Encoding="gzip")
        assert packed.headers["Content-Encoding"] == "gzip"
        # CherryPy takes a signal amiss that comes while it starts, though its server may be ready.
        script.wait_for_log("Bus STARTED")
        assert script.interrupt(signal.SIGTERM) == 0


def test_wsgidav_s_command_serves_a_folder(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    port = free_port()
    words = ["-m", "wsgidav.server.server_cli", "--host=127.0.0.1", f"--port={port}"]
    words += [f"--root={tmp_path / 'files'}", "--auth=anonymous", "--server=cheroot"]
    with Script(tmp_path, words, port) as script:
        assert script.ask_as("PUT", "/a.txt", b"one").status == 201
        assert script.ask("/a.txt").read() == b"one"
        assert script.ask("/a.txt", Range="bytes=1-").read() == b"ne"
        assert script.ask_as("MKCOL", "/sub").status == 201
        moved = script.ask_as("MOVE", "/a.txt", Destination=f"http://127.0.0.1:{port}/sub/b.txt")
        assert (moved.status, (tmp_path / "files/sub/b.txt").read_text()) == (201, "one")
        wish = b'<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>'
        wish += b"<D:locktype><D:write/></D:locktype></D:lockinfo>"
        lock = script.ask_as("LOCK", "/sub/b.txt", wish, Content_Type="text/xml")
        token = lock.headers["Lock-Token"]
        with pytest.raises(urllib.error.HTTPError, match="423"):
            script.ask_as("PUT", "/sub/b.txt", b"two")
        assert script.ask_as("PUT", "/sub/b.txt", b"two", If=f"({token})").status == 204
        assert script.ask_as("UNLOCK", "/sub/b.txt", Lock_Token=token).status == 204
        found = script.ask_as("PROPFIND", "/sub/", Depth="1")
        assert (found.status, b"b.txt" in found.read()) == (207, True)
        assert script.ask_as("DELETE", "/sub/b.txt").status == 204


def test_ws4py_s_plugin_takes_over_the_socket_of_a_cherrypy_program(tmp_path: Path) -> None:
    """As in ws4py's documentation: a WebSocket that echoes, over the connection of its request."""
    port = free_port()
    with Script(tmp_path, [str(APPS / "ws4py_script.py"), str(port)], port) as script:
        assert script.ask("/").read() == b"plain"
        with Client(("127.0.0.1", port)) as client:
            client.send(
                b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            head = client.until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
            assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head, "RFC 6455 section 1.3"
            # Frames of a client are masked, here with nought.
            client.send(b"\x81\x85\0\0\0\0hello")
            assert client.until(b"hello") == b"\x81\x05hello"
            assert script.ask("/").read() == b"plain"
            client.send(b"\x88\x82\0\0\0\0\x03\xe8")
            assert client.rest() == b"\x88\x02\x03\xe8"
        script.wait_for_log("Bus STARTED")
        assert script.interrupt(signal.SIGTERM) == 0


def said_by(program: str) -> str:
    """What a program writes that runs where cheroot is installed too."""
    done = subprocess.run(
        [str(environment()), "-c", program],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
        env=clean_environment(),
    )
    return done.stdout


def test_processes_that_a_program_starts_find_kirsch_too() -> None:
    child = "import cheroot.server, cheroot.wsgi, sys; print(cheroot.server.__name__, cheroot.__name__)"
    text = "import kirsch; kirsch.install_as_cheroot(); import subprocess, sys; "
    text += f"print(subprocess.run([sys.executable, '-c', {child!r}], capture_output=True, text=True))"
    said = said_by(text)
    assert "kirsch.cheroot.server kirsch.cheroot" in said, said


def test_cheroot_that_was_imported_before_is_not_replaced_unasked() -> None:
    text = "import cheroot.wsgi, kirsch\ntry:\n    kirsch.install_as_cheroot()\n"
    text += "except RuntimeError as error:\n    print(error)\n"
    text += "kirsch.install_as_cheroot(force=True)\nimport cheroot.wsgi\nprint(cheroot.wsgi.__name__)\n"
    said = said_by(text)
    assert said.splitlines()[0].startswith("cheroot was imported already; call"), said
    assert said.splitlines()[1] == "kirsch.cheroot.wsgi"


def test_web_py_s_own_hook(tmp_path: Path) -> None:
    text = (
        (APPS / "webpy_script.py").read_text().replace("import web\n", "import kirsch.webpy\nimport web\n", 1)
    )
    (tmp_path / "code.py").write_text(text)
    port = free_port()
    with Script(tmp_path, ["code.py", f"127.0.0.1:{port}"], port, ()) as script:
        assert script.ask("/").read() == b"<b>World</b>\n"
        assert script.interrupt() == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "needs a script"),
        (["none.py"], 2, "there is no file none.py"),
        (["--help"], 0, "kirsch run FILE"),
    ],
)
def test_what_is_typed_wrong_is_said(words: list[str], code: int, said: str, tmp_path: Path) -> None:
    done = run(tmp_path, *words, python=Path(sys.executable))
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stderr


def test_a_script_has_its_arguments_its_folder_and_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("NAME = 'beside'\n")
    (tmp_path / "code.py").write_text(
        "import sys, beside\nprint(__name__, sys.argv, beside.NAME)\nsys.exit(7)\n"
    )
    done = run(tmp_path, "code.py", "a", "--b", python=Path(sys.executable))
    assert (done.returncode, done.stdout) == (7, "__main__ ['code.py', 'a', '--b'] beside\n"), done.stderr


# --- Classes


def test_nothing_is_opened_or_started_before_prepare() -> None:
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    made = wsgi.Server(("127.0.0.1", 0), hello)
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before
    assert (made.ready, made.requests._threads, made.socket) == (False, [], None)
    made.stop()


def test_threads_are_real_and_have_cheroot_s_names() -> None:
    def name(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        thread = threading.current_thread()
        start_response("200 OK", [])
        return [f"{thread.name} {thread.daemon}".encode()]

    with running(name, numthreads=3) as made:
        assert [thread.ready for thread in made.requests._threads] == [True] * 3
        assert ask(made, get()).body.startswith(b"CP Server Thread-")
        assert ask(made, get()).body.endswith(b" False")
        assert made.requests.idle == 3
    assert made.requests._threads == []


def test_a_server_starts_again_where_it_was() -> None:
    made = Quiet(("127.0.0.1", 0), hello)
    ports = []
    for _ in range(3):
        with made._run_in_thread():
            ports.append(made.bind_addr[1])
            assert ask(made, get("/x")).body == b"/x"
        made.stop()
    assert len(set(ports)) == 1


def test_attributes_count_from_the_next_request_on() -> None:
    with running() as made:
        assert ask(made, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody").status == 200
        made.max_request_body_size = 3
        assert ask(made, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody").status == 413
        made.max_request_header_size = 30
        assert ask(made, get("/" + "x" * 40)).status == 413
        made.max_request_header_size = 0
        made.wsgi_app = lambda environ, start_response: (start_response("202 Accepted", []), [b""])[1]
        assert ask(made, get()).status == 202
        made.protocol = "HTTP/1.0"
        with Client(made.bind_addr) as client:
            client.send(get())
            assert client.rest().startswith(b"HTTP/1.0 202 Accepted\r\n")
        made.server_name = "other"
        made.wsgi_app = lambda environ, start_response: (
            start_response("200 OK", []),
            [environ["SERVER_NAME"].encode()],
        )[1]
        assert ask(made, get()).body == b"other"


def test_attributes_of_a_class_count_for_its_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as made:
        monkeypatch.setattr(server.HTTPServer, "max_request_body_size", 3)
        assert ask(made, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody").status == 413


def test_idle_connections_are_kept_up_to_the_limit() -> None:
    with running() as made, Client(made.bind_addr) as one, Client(made.bind_addr) as other:
        made.keep_alive_conn_limit = 1
        one.send(get())
        assert one.response().all("connection") == []
        deadline = time.monotonic() + SECONDS
        while made._connections._num_connections != 1:
            assert time.monotonic() < deadline
        other.send(get())
        assert other.response().all("connection") == ["close"]


def test_an_old_client_is_told_how_long_it_may_stay() -> None:
    with running() as made, Client(made.bind_addr) as client:
        made.timeout = 7
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        kept = client.response()
        assert (kept.all("connection"), kept.all("keep-alive")) == (["Keep-Alive"], ["timeout=7"])
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.response().all("connection") == []


def test_a_silent_client_is_told_and_an_idle_one_is_not() -> None:
    with running(timeout=1) as made, Client(made.bind_addr) as silent, Client(made.bind_addr) as idle:
        idle.send(get())
        assert idle.response().status == 200
        assert silent.response().status == 408
        assert idle.rest() == b""


def test_a_gateway_of_a_program_s_own_answers() -> None:
    class Own(server.Gateway):
        def respond(self) -> None:
            request = self.req
            facts = [
                request.method,
                request.uri,
                request.path,
                request.qs,
                request.scheme,
                request.request_protocol,
            ]
            request.status = b"200 OK"
            request.outheaders.append((b"X-Own", request.inheaders[b"X-Field"]))
            request.ensure_headers_sent()
            request.write(b" ".join(facts) + b" " + request.rfile.read())
            assert request.conn.remote_addr == "127.0.0.1"
            assert request.conn.remote_port == request.conn.socket.getpeername()[1]

    made = server.HTTPServer(("127.0.0.1", 0), Own)
    with made._run_in_thread():
        answer = ask(
            made, b"POST /a%2Fb%20c?q HTTP/1.1\r\nHost: a\r\nX-Field: v\r\nContent-Length: 4\r\n\r\nbody"
        )
        assert answer.body == b"POST /a%2Fb%20c?q /a%2Fb c q http HTTP/1.1 body"
        assert answer.all("x-own") == ["v"]


def test_a_request_class_of_a_program_s_own_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Proxy(server.HTTPRequest):
        def __init__(self, of: Any, conn: Any) -> None:
            super().__init__(of, conn, proxy_mode=True)

    class Reader(server.HeaderReader):
        def _transform_key(self, key_name: bytes) -> bytes:
            return b"Own-" + super()._transform_key(key_name)

    def seen(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [json.dumps(sorted(key for key in environ if key.startswith("HTTP_"))).encode()]

    absolute = b"GET http://a/x HTTP/1.1\r\nHost: b\r\n\r\n"
    with running() as made:
        assert ask(made, absolute).body == b"Absolute URI not allowed if server is not a proxy."
        # As CherryPy does it: for every server of the process.
        monkeypatch.setattr(made.ConnectionClass, "RequestHandlerClass", Proxy)
        assert ask(made, get()).status == 200
        assert ask(made, absolute).body == b"/x"
        made.wsgi_app = seen
        monkeypatch.setattr(Proxy, "header_reader", Reader())
        assert json.loads(ask(made, get()).body) == ["HTTP_OWN_HOST"]


def test_a_method_that_is_replaced_while_the_server_runs_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def environ_of(self: Any) -> dict[str, Any]:
        return {**before(self), "PATH_INFO": "/replaced"}

    before = wsgi.Gateway_10.get_environ
    with running() as made:
        assert ask(made, get("/x")).body == b"/x"
        monkeypatch.setattr(wsgi.Gateway_10, "get_environ", environ_of)
        assert ask(made, get("/x")).body == b"/replaced"
        monkeypatch.undo()
        assert ask(made, get("/x")).body == b"/x"


def test_start_response_leads_to_the_request() -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        request = start_response.__self__.req  # type: ignore[attr-defined]
        start_response("200 OK", [])
        return [request.method, b" ", request.path]

    with running(app) as made:
        assert ask(made, get("/p")).body == b"GET /p"


def test_wsgi_of_the_experimental_kind() -> None:
    class Unicode(Quiet):
        wsgi_version = ("u", 0)  # type: ignore[assignment]

    made = Unicode(("127.0.0.1", 0), lambda e, s: (s("200 OK", []), [e["PATH_INFO"].encode("utf-16")])[1])
    with made._run_in_thread():
        assert ask(made, get("/%C3%A9")).body.decode("utf-16") == "/é"


def test_what_goes_wrong_goes_through_error_log() -> None:
    def fail(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        raise RuntimeError("boom")

    with running(fail) as made:
        assert ask(made, get()).status == 500
        assert made.said == [(logging.ERROR, "RuntimeError('boom')")]


def test_an_interrupt_in_a_handler_ends_the_server_without_an_answer() -> None:
    def leave(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        raise SystemExit("enough")

    made = Quiet(("127.0.0.1", 0), leave)
    made.prepare()
    with Client(made.bind_addr) as client:
        client.send(get())
        with pytest.raises(SystemExit, match="enough"):
            made.serve()
        with pytest.raises(BrokenResponse):
            client.response()
    assert [text for _, text in made.said][-1] == "SystemExit raised: shutting down"


def test_a_stop_in_a_handler_delivers_its_answer() -> None:
    def stop(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        made.stop()
        start_response("200 OK", [])
        return [b"stopped"]

    made = Quiet(("127.0.0.1", 0), stop)
    made.prepare()
    with Client(made.bind_addr) as client:
        client.send(get())
        made.serve()
        assert client.response().body == b"stopped"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(made.bind_addr, SECONDS)


def test_what_does_not_fit_into_the_queue_is_told_so() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        begun.set()
        go_on.wait(SECONDS)
        start_response("200 OK", [])
        return [b"late"]

    made = Quiet(("127.0.0.1", 0), wait)
    made.requests = ThreadPool(made, min=1, max=1, accepted_queue_size=1)
    with made._run_in_thread(), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(made.bind_addr)) for _ in range(3)]
        clients[0].send(get())
        assert begun.wait(SECONDS)
        clients[1].send(get())
        deadline = time.monotonic() + SECONDS
        while made.requests.qsize != 1:
            assert time.monotonic() < deadline
        clients[2].send(get())
        assert clients[2].response().status == 503
        go_on.set()
        assert [client.response().body for client in clients[:2]] == [b"late", b"late"]


def test_no_file_is_lost_to_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear")
    made = Quiet(str(path), hello)
    with pytest.raises(OSError, match="no socket; it is left alone"):
        made.prepare()
    assert path.read_text() == "dear"
    path.write_text("")
    with made._run_in_thread():
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert ask_unix(path) == b"/"
    assert not path.exists(), "it is removed with the server"


def ask_unix(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS)
        client.connect(str(path))
        client.sendall(get("/", "Connection: close\r\n"))
        received = b"".join(iter(lambda: client.recv(65536), b""))
    return received.partition(b"\r\n\r\n")[2]


def test_a_silent_client_delays_nobody() -> None:
    """Each of cheroot's threads would wait for one of them."""
    with running(numthreads=2) as made, contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(Client(made.bind_addr))
        assert ask(made, get()).status == 200


# --- What the dialect must not let through


@pytest.mark.parametrize(
    ("fields", "body", "status"),
    [
        ("Content-Length: 3\r\nContent-Length: 4\r\n", b"abc", 400),
        ("Content-Length: +3\r\n", b"abc", 400),
        ("Content-Length: 0_3\r\n", b"abc", 400),
        ("Content-Length : 3\r\n", b"abc", 400),
        (": v\r\n", b"", 400),
        ("X-A: a\r\n folded\r\n", b"", 400),
        ("X-A: a\0b\r\n", b"", 400),
        ("X-A: a\rb\r\n", b"", 400),
        ("Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n", 501),
        ("Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n", 501),
        ("Transfer-Encoding: chunked\r\n", b"-3\r\nabc\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", b"0x3\r\nabc\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", b"3\nabc\n0\n\n", 400),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(fields: str, body: bytes, status: int) -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    with running() as made, Client(made.bind_addr) as client:
        client.send(f"POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode() + body + smuggled)
        received = client.rest()
    assert received.startswith(f"HTTP/1.1 {status} ".encode()), received
    assert b"/smuggled" not in received


def test_nothing_is_read_behind_a_request_with_two_lengths() -> None:
    with running(
        lambda e, s: (s("200 OK", []), [e["PATH_INFO"].encode() + e["wsgi.input"].read()])[1]
    ) as made:
        for length in (3, 100):
            with Client(made.bind_addr) as client:
                head = f"POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n"
                head += "Transfer-Encoding: chunked\r\n\r\n"
                client.send(head.encode() + b"3\r\nabc\r\n0\r\n\r\n" + get("/smuggled"))
                answer = client.response()
                assert (answer.body, answer.all("connection")) == (b"/firstabc", ["close"])
                assert client.rest() == b""
