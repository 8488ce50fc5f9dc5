"""Where the server listens, where its settings come from, and what it writes of each request."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.client import Client, get
from support.ports import free_port
from support.server import APPS, ServerProcess, clean_environment, kirsch

PORT_OF_LOG = r"http://(?:\[[0-9a-f:]+\]|[0-9.]+):(\d+)"
COMMAND_SECONDS = 30.0


def environ_at(address: Any, target: str = "/environ", *fields: str) -> dict[str, Any]:
    """The strings of the environ that a request makes."""
    with Client(address) as client:
        seen = json.loads(client.request(target, fields=fields).body)
    return {key: value for key, (_, value) in seen.items()}


def served(server: ServerProcess) -> list[str]:
    """The URLs of the start-up line."""
    return server.wait_for_log(r" on (.*) with \d+ thread")[1].split(", ")


def serving(*words: str, **options: Any) -> ServerProcess:
    """A server whose command line says nothing but what is given."""
    return ServerProcess("", words=[*kirsch(), *words], **options)


def refused(*words: str, folder: Path, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """The exit code and words of a command that must not serve."""
    done = subprocess.run(
        [*kirsch(), *words],
        cwd=folder,
        env={**clean_environment(), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stdout
    return done.returncode, done.stdout


# Unix sockets


def unix(path: Path, *flags: str) -> ServerProcess:
    return ServerProcess("pep3333:app", *flags, bind=f"unix:{path}", address=("", 0))


def test_a_unix_socket_has_its_mode_and_is_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with unix(path, "--unix-socket-mode", "0o640") as server:
        assert served(server) == [f"unix:{path}"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert environ_at(str(path))["wsgi.url_scheme"] == "http"
    assert list(tmp_path.iterdir()) == []


def test_by_default_everybody_who_reaches_a_unix_socket_may_connect(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with unix(path) as server:
        served(server)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with unix(path) as killed:
        served(killed)
        killed.signal(signal.SIGKILL)
        killed.wait()
    assert path.is_socket()
    with unix(path) as server:
        served(server)
        assert environ_at(str(path))["REQUEST_METHOD"] == "GET"
    assert not path.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_not_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "precious"
    if kind == "file":
        path.write_text("data")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    code, text = refused("pep3333:app", "--bind", f"unix:{path}", "--chdir", str(APPS), folder=tmp_path)
    assert code == 1
    assert str(path) in text
    assert [entry.name for entry in tmp_path.iterdir()] == ["precious"]
    assert kind != "file" or path.read_text() == "data"


def test_the_socket_of_a_server_that_runs_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with unix(path) as server:
        served(server)
        code, text = refused("pep3333:app", "--bind", f"unix:{path}", "--chdir", str(APPS), folder=tmp_path)
        assert code == 1
        assert re.search(r"process \d+ \(.*\) listens there", text), text
        assert environ_at(str(path))["REQUEST_METHOD"] == "GET"


def test_the_socket_of_a_successor_is_left_to_it(tmp_path: Path) -> None:
    """Whoever renamed a new socket to the path wants it to stay there."""
    path = tmp_path / "socket"
    with unix(path) as server:
        served(server)
        path.unlink()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(path))
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
            assert path.exists()


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120)
    code, text = refused("pep3333:app", "--bind", f"unix:{path}", "--chdir", str(APPS), folder=tmp_path)
    assert code in (1, 2)
    assert "x" * 120 in text


def test_a_name_in_the_abstract_namespace_leaves_no_file(tmp_path: Path) -> None:
    name = f"kirsch-test-{os.getpid()}"
    with ServerProcess("pep3333:app", bind=f"@{name}", address=("", 0)) as server:
        assert served(server) == [f"@{name}"]
        environ = environ_at(f"\0{name}")
        assert environ["SERVER_NAME"] != ""
    with pytest.raises(ConnectionRefusedError):
        Client(f"\0{name}")


# TCP


def test_an_inherited_descriptor_stays_its_parents() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number, address = listener.fileno(), listener.getsockname()
        for _ in range(2):
            with ServerProcess("pep3333:app", bind=f"fd://{number}", pass_fds=(number,)) as server:
                assert server.address == address
                assert get(address).status == 200
        listener.settimeout(5)
        with socket.create_connection(address):
            listener.accept()[0].close()


@pytest.mark.parametrize("number", ["977", "0", "1"])
def test_a_descriptor_that_is_no_listening_socket_is_refused(tmp_path: Path, number: str) -> None:
    code, text = refused("pep3333:app", "--bind", f"fd://{number}", "--chdir", str(APPS), folder=tmp_path)
    assert code in (1, 2)
    assert number in text


def test_the_unspecified_ipv6_address_is_reached_over_both() -> None:
    with ServerProcess("pep3333:app", bind="[::]:0") as server:
        port = server.address[1]
        assert environ_at(("127.0.0.1", port))["REMOTE_ADDR"] == "127.0.0.1"
        assert environ_at(("::1", port))["REMOTE_ADDR"] == "::1"


def test_one_server_listens_on_several_addresses(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with ServerProcess("pep3333:app", "--bind", f"unix:{path}", "--bind", "[::1]:0") as server:
        urls = served(server)
        assert len(urls) == 3
        ports = [int(re.search(PORT_OF_LOG, url)[1]) for url in urls if "http" in url]  # type: ignore[index]
        assert environ_at(("127.0.0.1", ports[0]))["SERVER_PORT"] == str(ports[0])
        assert environ_at(("::1", ports[1]))["SERVER_PORT"] == str(ports[1])
        assert environ_at(str(path))["SERVER_PORT"] != ""


def test_one_address_in_use_leaves_nothing_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        words = ("pep3333:app", "--chdir", str(APPS), "--bind", f"unix:{path}", "--bind", address)
        code, text = refused(*words, folder=tmp_path)
    assert (code, address in text, "in use" in text) == (1, True, True)
    assert not path.exists()


def test_an_address_that_is_given_twice_is_listened_on_once() -> None:
    port = free_port()
    words = ("--bind", f"localhost:{port}", "--bind", f"127.0.0.1:{port}", "--bind", str(port))
    with serving("pep3333:app", *words) as server:
        urls = served(server)
        assert urls.count(f"http://127.0.0.1:{port}") == 1
        assert len(urls) == len(set(urls))


def test_an_address_that_contains_another_is_refused_beside_it(tmp_path: Path) -> None:
    words = ("pep3333:app", "--chdir", str(APPS), "--bind", "127.0.0.1:8000", "--bind", "0.0.0.0:8000")
    code, text = refused(*words, folder=tmp_path)
    assert code == 2
    assert "flag --bind: 0.0.0.0:8000 listens on 127.0.0.1:8000 too" in text
    assert "leave 127.0.0.1:8000 out" in text


def test_a_name_listens_on_each_of_its_addresses() -> None:
    port = free_port()
    known = {info[4][0] for info in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)}
    with ServerProcess("pep3333:app", bind=f"localhost:{port}") as server:
        assert len(served(server)) == len(known)
        for host in known:
            assert get((str(host), port)).status == 200


def test_a_name_that_does_not_resolve_is_named(tmp_path: Path) -> None:
    words = ("pep3333:app", "--chdir", str(APPS), "--bind", "no-such-host.invalid:8000")
    code, text = refused(*words, folder=tmp_path)
    assert code in (1, 2)
    assert "no-such-host.invalid" in text


# Where settings come from


def test_port_listens_on_every_ipv4_address() -> None:
    port = free_port()
    with serving("pep3333:app", environment={"PORT": str(port)}) as server:
        assert served(server) == [f"http://0.0.0.0:{port}"]
        assert get(("127.0.0.1", port)).status == 200
        assert get(("127.0.0.2", port)).status == 200


def test_kirsch_bind_goes_before_port() -> None:
    port = free_port()
    environment = {"PORT": "1", "KIRSCH_BIND": f"127.0.0.1:{port},127.0.0.2:{port}"}
    with serving("pep3333:app", environment=environment) as server:
        assert served(server) == [f"http://127.0.0.1:{port}", f"http://127.0.0.2:{port}"]


def test_a_flag_goes_before_a_variable_before_a_file(tmp_path: Path) -> None:
    (tmp_path / "kirsch.toml").write_text(f"bind = '127.0.0.1:1'\nthreads = 3\nchdir = '{APPS}'\n")
    environment = {"KIRSCH_BIND": "127.0.0.1:2", "KIRSCH_THREADS": "5"}
    words = ("pep3333:app", "--bind", "127.0.0.1:0")
    with serving(*words, environment=environment, folder=tmp_path) as server:
        server.wait_for_log(r"http://127\.0\.0\.1:\d{3,5} with 5 threads")


FILES = {
    "kirsch.toml": "app = 'pep3333:app'\nbind = '127.0.0.1:0'\nthreads = 3\nchdir = '{apps}'\n"
    "server_name = 'of-a-file'\n[limits]\nbody = '10B'\n",
    "pyproject.toml": "[project]\nname = 'blog'\n[tool.kirsch]\napp = 'pep3333:app'\nbind = '127.0.0.1:0'\n"
    "threads = 3\nchdir = '{apps}'\nserver_name = 'of-a-file'\n[tool.kirsch.limits]\nbody = '10B'\n",
}


@pytest.mark.parametrize("name", FILES)
def test_everything_can_stand_in_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FILES[name].replace("{apps}", str(APPS)))
    with serving("serve", folder=tmp_path) as server:
        server.wait_for_log("with 3 threads")
        assert get(server.address).get("Server") == "of-a-file"
        assert get(server.address, method="POST", body=b"x" * 11).status == 413


def test_chdir_is_where_the_application_is_and_starts(tmp_path: Path) -> None:
    (tmp_path / "where.py").write_text(
        "import os\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [os.getcwd().encode()]\n"
    )
    flags = ("--chdir", str(tmp_path))
    with ServerProcess("where:app", *flags, folder=Path("/")) as server:
        assert get(server.address).body.decode() == str(tmp_path)


@pytest.fixture(scope="module")
def below_blog() -> Iterator[ServerProcess]:
    with ServerProcess("prefix:app", "--script-name", "/blog") as server:
        yield server


@pytest.mark.parametrize(
    ("target", "path"),
    [("/blog", ""), ("/blog/", "/"), ("/blog/a?b", "/a"), ("/%62log/%61", "/a"), ("/blog/blog", "/blog")],
)
def test_the_script_name_is_taken_off_the_path(below_blog: ServerProcess, target: str, path: str) -> None:
    assert json.loads(get(below_blog.address, target).body) == ["/blog", path]


@pytest.mark.parametrize("target", ["/", "/environ", "/blogs", "/Blog", "//blog/", "/a/blog", "/blo%67s"])
def test_a_path_outside_the_script_name_is_not_the_applications(
    below_blog: ServerProcess, target: str
) -> None:
    """SCRIPT_NAME and PATH_INFO together are the path (PEP 3333): here they could not be."""
    with below_blog.client() as client:
        for method, body in (("GET", b""), ("POST", b"x" * 100_000)):
            answer = client.request(target, method, body=body)
            assert (answer.status, b"script-name" in answer.body) == (404, True)
        assert client.request("/blog/next").status == 200


# Where bodies are kept


def test_a_spool_folder_in_memory_is_told_of_once() -> None:
    with ServerProcess("pep3333:app", "--spool-dir", "/dev/shm") as server:
        server.wait_for_log("WARN the folder of spool files lies in memory; .*--spool-dir.* folder=/dev/shm ")
        assert get(server.address).status == 200
        assert server.log.count("lies in memory") == 1


# The access log

AGENT = 'evil " \\ \t\x7f\x1b[31m\xff\xe9 "}]'


@pytest.fixture
def hostile() -> bytes:
    """A request whose agent wants to be a line of its own."""
    head = (
        f"GET /environ?marked HTTP/1.1\r\nHost: a.test\r\nUser-Agent: {AGENT}\r\nReferer: http://x/\r\n\r\n"
    )
    return head.replace("\x7f", "").replace("\x1b", "").encode("latin-1")


@pytest.mark.parametrize("where", ["stdout", "file"])
@pytest.mark.parametrize("form", ["combined", "json", '%h "%r" %s %b %{User-Agent}i %L'])
def test_the_access_log_has_a_line_a_request_whatever_the_client_sends(
    tmp_path: Path, hostile: bytes, where: str, form: str
) -> None:
    path = tmp_path / "access.log"
    flags = [f"--access-log={form}", *(["--access-log-file", str(path)] if where == "file" else [])]
    with ServerProcess("pep3333:app", *flags) as server, server.client() as client:
        client.send(hostile)
        response = client.response()
        client.socket.close()
    text = path.read_text("ascii") if where == "file" else server.log
    lines = [line for line in text.splitlines() if "marked" in line]
    assert len(lines) == 1
    line = lines[0]
    assert line.isprintable()
    assert line.isascii()
    if form == "json":
        seen = json.loads(line)
        assert response.status in seen.values()
    elif form == "combined":
        assert re.match(
            r'127\.0\.0\.1 - - \[[^\]]+\] "GET /environ\?marked HTTP/1\.1" \d{3} \d+ "http://x/" "', line
        )
        # Whoever reads the fields finds the end of the agent where it is.
        assert len(re.findall(r'(?<!\\)"', line)) == 6
    else:
        assert line.startswith(f'127.0.0.1 "GET /environ?marked HTTP/1.1" {response.status} ')
        assert line.endswith(response.get("X-Request-ID") or "?")
        assert where == "stdout" or text == line + "\n"


@pytest.mark.parametrize(
    ("sent", "logged"),
    [
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", "GET /" + "x" * 251),
        (b"GET / HTTP/3.0\r\n\r\n", "GET / HTTP/3.0"),
        (b"GET /a\x01b HTTP/1.1\r\n\r\n", r"GET /a\x01b HTTP/1.1"),
        (b"GET /a\nb HTTP/1.1\r\n\r\n", "GET /a"),
        (b"\x16\x03\x01\x02\0\r\n\r\n", r"\x16\x03\x01\x02\x00"),
    ],
    ids=["too long", "version", "control byte", "line feed", "tls"],
)
def test_a_request_line_that_is_refused_stands_in_the_access_log(sent: bytes, logged: str) -> None:
    with ServerProcess("pep3333:app", "--access-log=|%r|") as server, server.client() as client:
        client.send(sent)
        assert client.response().status >= 400
        client.socket.close()
    assert f"|{logged}|\n" in server.log


# Request ids


def test_what_the_server_says_of_a_request_has_its_id() -> None:
    flags = ("--log-level", "debug", "--timeout-request", "500ms")
    with ServerProcess("handlers:app", *flags) as server, server.client() as client:
        late = client.request("/wait/SIGUSR2", fields=("X-Request-ID: the-late-one",))
        assert late.status == 504
        server.wait_for_log(r"request timeout request=the-late-one asks_for=GET /wait/SIGUSR2\n")
        server.signal(signal.SIGUSR2)
        with server.client() as other:
            other.send(b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n")
            number = other.response().get("X-Request-ID")
        assert number
        server.wait_for_log(rf"DEBUG request refused request={number} peer=127.0.0.1 rule=")


def test_a_request_gets_an_id_and_the_application_sees_it() -> None:
    with ServerProcess("pep3333:app") as server, server.client() as client:
        numbers = []
        for _ in range(3):
            response = client.request("/environ")
            environ = {key: value for key, (_, value) in json.loads(response.body).items()}
            number = response.get("X-Request-ID")
            assert number
            assert number in environ.values()
            numbers.append(number)
        assert len(set(numbers)) == 3


def test_the_id_that_a_client_gives_is_kept_and_stands_in_the_error_log() -> None:
    with ServerProcess("faults:app") as server, server.client() as client:
        response = client.request("/raises?Exception", fields=("X-Request-ID: from-a-proxy-17",))
        assert response.get("X-Request-ID") == "from-a-proxy-17"
        server.wait_for_log(r"ERROR .*/raises\?Exception \[from-a-proxy-17\]")


@pytest.mark.parametrize("given", ["x" * 5000, "a b", 'a"b', "<script>", "\xe9", "a\tb", ""])
def test_an_id_that_is_none_is_not_taken(given: str) -> None:
    with ServerProcess("pep3333:app") as server, server.client() as client:
        number = client.request("/", fields=(f"X-Request-ID: {given}",)).get("X-Request-ID")
        assert number
        assert number != given
        assert re.fullmatch(r"[\w.-]{1,200}", number)


def test_without_request_id_there_is_none() -> None:
    with ServerProcess("pep3333:app", "--no-request-id") as server:
        assert get(server.address).get("X-Request-ID") is None


# What is refused


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["-w", "2"], "workers"),
        (["--workers", "auto"], "workers"),
        (["--reload"], "reload"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_what_this_version_cannot_do_is_refused_in_words(
    tmp_path: Path, words: list[str], names: str
) -> None:
    code, text = refused("pep3333:app", "--chdir", str(APPS), *words, folder=tmp_path)
    assert code == 2
    assert names in text
    assert re.search("(is|are) not available in this version", text)
    assert "; " in text


def test_one_worker_is_no_more_than_what_there_is() -> None:
    with ServerProcess("pep3333:app", "-w", "1") as server:
        assert get(server.address).status == 200
