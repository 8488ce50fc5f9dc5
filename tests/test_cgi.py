"""CGI scripts behind routes: what a script gets, what it must not hold up, and what ends it.

The rules of RFC 3875 one by one are tested beside the gateway, in `crates/kirsch-cgi/tests/scripts.rs`; here
stands what an operator writes and a client sees. Scripts tell the test where they are by named pipes.
"""

from __future__ import annotations

import gzip
import os
import select
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import kirsch
import pytest
from support.client import Client, Response
from support.server import ServerProcess, clean_environment
from support.server import kirsch as command

SECONDS = 15

ENVIRONMENT = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; env | sort\n"
SCRIPTS = {
    "env": ENVIRONMENT,
    "in/env": ENVIRONMENT,
    "echo": """\
        #!/usr/bin/env python3
        import os

        os.write(1, b"Content-Type: text/plain\\n\\n" + os.environ["CONTENT_LENGTH"].encode() + b" ")
        while piece := os.read(0, 65536):
            os.write(1, piece)
        """,
    # Says that it begins and ends, and waits in between.
    "gate": """\
        #!/bin/sh
        echo begun > "$GATE/begun"
        # A letter and its line's end in one read: several scripts may wait at this pipe, and a shell's own
        # read, byte by byte, would take some of a line from another.
        word=$(dd bs=2 count=1 < "$GATE/go" 2> /dev/null)
        printf 'Content-Type: text/plain\\n\\n%s' "$word"
        """,
    "endless": "#!/bin/sh\necho $$ > pid\nexec sleep 1000\n",
    "local": "#!/bin/sh\nprintf 'Location: %s?b=2\\n\\n' \"${SCRIPT_NAME%/*}/env/way\"\n",
    "away": "#!/bin/sh\nprintf 'Location: /page?b=2\\n\\n'\n",
    "page": "#!/usr/bin/env python3\nprint('Content-Type: text/html\\n')\nprint('cherry ' * 1000)\n",
    "silent": "#!/bin/sh\necho 'it is broken' >&2\n",
}

FILE = """
bind = "127.0.0.1:0"
threads = 4
compress = ["gzip"]

[apps.page]
wsgi = "page:app"
path = "."

[[routes]]
path = "/cgi-bin"
cgi = "cgi-bin"
pass_environment = "GATE"
limit_body = 100

[[routes]]
path = "/one"
cgi = "cgi-bin/gate"
limit_processes = 1
pass_environment = ["GATE", "NOBODY_HAS_THIS"]

[[routes]]
path = "/env"
cgi = "cgi-bin/env"
pass_environment = "GIVEN"
pass_authorization = true
set_headers = { x-by = "a script" }

[[routes]]
path = "/late"
cgi = "cgi-bin"
timeout_script = 0.3

[[routes]]
path = "/streaming"
cgi = "cgi-bin"
stream_body = true

[[routes]]
path = "/page"
app = "page"
"""

APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["QUERY_STRING"].encode()]
"""


class Pipe:
    """A named pipe, open for both, so that nobody who opens it has to wait."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def is_told(self, seconds: float = SECONDS) -> bool:
        """Whether somebody writes a line in time. It is taken out."""
        ready, _, _ = select.select([self._fd], [], [], seconds)
        return bool(ready) and self._line()

    def tell(self, line: str) -> None:
        os.write(self._fd, f"{line}\n".encode())

    def _line(self) -> bool:
        while os.read(self._fd, 1) != b"\n":
            pass
        return True


class Site:
    """A server with scripts, and the pipes that they know."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_scripts(folder / "cgi-bin")
        (folder / "page.py").write_text(APP)
        (folder / "kirsch.toml").write_text(FILE)
        self.begun, self.go = Pipe(folder / "begun"), Pipe(folder / "go")
        self.environment = {"GATE": str(folder), "GIVEN": "yes", "SECRET": "of the server"}

    def serve(self, *flags: str) -> ServerProcess:
        words = [*command(), "-c", str(self.folder / "kirsch.toml"), *flags]
        return ServerProcess("", words=words, environment=self.environment)


def write_scripts(folder: Path) -> None:
    for name, text in SCRIPTS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        path.chmod(0o755)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def server(site: Site) -> Iterator[ServerProcess]:
    with site.serve() as running:
        yield running


def ask(
    server: ServerProcess | tuple[str, int], target: str, *fields: str, method: str = "GET", body: bytes = b""
) -> Response:
    client = begin(server, target, *fields, method=method, body=body)
    with client:
        return client.response(method)


def begin(
    server: ServerProcess | tuple[str, int], target: str, *fields: str, method: str = "GET", body: bytes = b""
) -> Client:
    address = server.address if isinstance(server, ServerProcess) else server
    client = Client(address)
    lines = [f"{method} {target} HTTP/1.1", "Host: a.test", *fields, "", ""]
    client.send("\r\n".join(lines).encode() + body)
    return client


def variables(response: Response) -> dict[str, str]:
    assert response.status == 200, response
    return dict(line.split("=", 1) for line in response.body.decode().splitlines())


def test_a_script_is_told_where_it_is_mounted_and_nothing_of_the_server(server: ServerProcess) -> None:
    seen = variables(ask(server, "/cgi-bin/in/env/more%20path?a=1", "Authorization: Basic c2VjcmV0"))
    given = {name: seen[name] for name in ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR")}
    assert given == {
        "SCRIPT_NAME": "/cgi-bin/in/env",
        "PATH_INFO": "/more path",
        "QUERY_STRING": "a=1",
        "REMOTE_ADDR": "127.0.0.1",
    }
    assert [name for name in ("SECRET", "GIVEN", "HTTP_AUTHORIZATION") if name in seen] == []


def test_one_script_answers_for_its_route_with_what_the_route_passes_on(server: ServerProcess) -> None:
    answer = ask(server, "/env/a/b", "Authorization: x y")
    seen = variables(answer)
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/env", "/a/b")
    assert (seen["GIVEN"], seen["HTTP_AUTHORIZATION"], answer.get("X-By")) == ("yes", "x y", "a script")
    assert "SECRET" not in seen


def test_a_script_behind_a_proxy_is_told_what_the_proxy_says(site: Site) -> None:
    said = [
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: site.test",
        "X-Forwarded-Prefix: /site",
    ]
    with site.serve("--trust-proxy", "127.0.0.1") as server:
        for target in ("/cgi-bin/env/way?b=2", "/cgi-bin/local"):
            seen = variables(ask(server, target, *said))
            names = ("REMOTE_ADDR", "HTTPS", "SERVER_NAME", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")
            told = [seen[name] for name in names]
            assert told == ["192.0.2.1", "on", "site.test", "/site/cgi-bin/env", "/way", "b=2"], target


def test_a_body_reaches_its_script_and_comes_back_while_it_arrives(server: ServerProcess) -> None:
    with begin(server, "/streaming/echo", "Content-Length: 4", method="POST", body=b"ab") as client:
        assert client.until(b"ab\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        client.send(b"cd")
        assert client.rest_of_chunks() == b"cd"


@pytest.mark.parametrize("target", ["/cgi-bin/echo", "/streaming/echo"])
def test_a_chunked_body_has_its_length_for_the_script(server: ServerProcess, target: str) -> None:
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    answer = ask(server, target, "Transfer-Encoding: chunked", method="POST", body=chunks)
    assert answer.body == b"5 abcde"


def test_a_body_has_the_limit_of_the_route(server: ServerProcess) -> None:
    answer = ask(server, "/cgi-bin/echo", "Content-Length: 101", method="POST", body=b"x" * 101)
    assert answer.status == 413


def test_a_redirect_stays_among_the_scripts_or_is_the_clients(server: ServerProcess) -> None:
    seen = variables(ask(server, "/cgi-bin/local", "Content-Length: 3", method="POST", body=b"abc"))
    told = [seen.get(name) for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_LENGTH")]
    assert told == ["GET", "/way", "b=2", None]
    answer = ask(server, "/cgi-bin/away")
    assert (answer.status, answer.get("Location")) == (302, "/page?b=2")
    assert ask(server, "/page?b=2").body == b"b=2"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/cgi-bin", 404),
        ("/cgi-bin/", 404),
        ("/cgi-bin/in", 404),
        ("/cgi-bin/missing", 404),
        ("/cgi-bin/..%2fpage.py", 404),
        ("/cgi-bin/../page.py", 404),
        ("/cgi-binx/env", 404),
        ("/cgi-bin/silent", 502),
    ],
)
def test_what_is_no_script_or_has_no_answer_is_said_to_be_so(
    server: ServerProcess, target: str, status: int
) -> None:
    answer = ask(server, target)
    assert (answer.status, b"it is broken" in answer.body) == (status, False)
    if status == 502:
        server.wait_for_log("it is broken")


def test_a_script_that_takes_too_long_is_ended(server: ServerProcess, site: Site) -> None:
    assert ask(server, "/late/endless").status == 504
    pid = (site.folder / "cgi-bin" / "pid").read_text().strip()
    assert not Path("/proc", pid).exists()


def test_scripts_wait_for_a_place_and_hold_nobody_else_up(server: ServerProcess, site: Site) -> None:
    clients = [begin(server, "/one") for _ in range(3)]
    try:
        for word in "abc":
            assert site.begun.is_told(), "the next has a place when one has ended"
            # Who is let in too many says so before these have their answers.
            assert ask(server, "/page?x").body == b"x"
            assert variables(ask(server, "/env"))["SCRIPT_NAME"] == "/env"
            assert not site.begun.is_told(seconds=0)
            site.go.tell(word)
        answers = sorted(client.response().body for client in clients)
        assert answers == [b"a", b"b", b"c"]
    finally:
        for client in clients:
            client.socket.close()


def test_scripts_without_a_limit_leave_a_thread_to_others(server: ServerProcess, site: Site) -> None:
    clients = [begin(server, "/cgi-bin/gate") for _ in range(6)]
    try:
        assert all(site.begun.is_told() for _ in range(3))
        for _ in range(5):
            assert ask(server, "/page?x").body == b"x"
        assert not site.begun.is_told(seconds=0), "a fourth runs, on the last thread"
        for word in range(6):
            site.go.tell(str(word))
        answers = sorted(client.response().body for client in clients)
        assert answers == [b"0", b"1", b"2", b"3", b"4", b"5"]
    finally:
        for client in clients:
            client.socket.close()


def test_what_a_script_writes_is_compressed_as_an_applications_page(server: ServerProcess) -> None:
    answer = ask(server, "/cgi-bin/page", "Accept-Encoding: gzip")
    assert answer.get("Content-Encoding") == "gzip"
    assert gzip.decompress(answer.body) == b"cherry " * 1000 + b"\n"
    assert ask(server, "/cgi-bin/page").body == b"cherry " * 1000 + b"\n"


def test_what_is_no_folder_and_no_script_is_refused_before_the_first_request(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no script")
    routes = "".join(f'[[routes]]\npath = "/{name}"\ncgi = "{name}"\n' for name in ("gone", "text"))
    (tmp_path / "kirsch.toml").write_text(routes)
    for verb in ("check", "serve"):
        done = subprocess.run(
            [*command(), verb],
            cwd=tmp_path,
            env={**clean_environment(), "KIRSCH_BIND": "127.0.0.1:0"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert (done.returncode, (done.stdout + done.stderr).splitlines()) == (
            1,
            [
                f"kirsch: kirsch.toml:3: routes.cgi: there is no folder and no script {tmp_path}/gone; "
                "make it, or write the path of another",
                f"kirsch: kirsch.toml:6: routes.cgi: {tmp_path}/text is not executable; "
                f"run chmod +x {tmp_path}/text, or write the path of a folder",
            ],
        )


def test_a_program_serves_scripts(tmp_path: Path) -> None:
    write_scripts(tmp_path)
    route = kirsch.Route(path="/cgi-bin", cgi=tmp_path, timeout_script="5s", limit_processes=2)
    with kirsch.Server(routes=[route], bind="127.0.0.1:0", threads=2) as server:
        address = server.addresses[0]
        assert not isinstance(address, str)
        assert variables(ask(address, "/cgi-bin/env/a"))["PATH_INFO"] == "/a"
    with pytest.raises(ValueError, match="argument cgi: there is no folder and no script"):
        kirsch.Server(routes=[kirsch.Route(cgi=tmp_path / "gone")], bind="127.0.0.1:0")
