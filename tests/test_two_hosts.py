"""`examples/two-hosts`, asked with curl and wget as its guide shows; and engines with Rust applications.

The Makefile builds the example's engine: the module `two_hosts` and the command `two-hosts`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.server import ServerProcess, clean_environment, kirsch

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "two-hosts"
COMMAND = str(Path(sys.executable).parent / "two-hosts")
SECONDS = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    words = [COMMAND, "--config", str(EXAMPLE / "kirsch.toml"), "--bind", "127.0.0.1:0"]
    environment = {"BLOG_DATA": str(elsewhere / "blog")}
    with ServerProcess("", words=words, folder=elsewhere, environment=environment) as running:
        yield running


def run(*words: str) -> bytes:
    """What a command writes; it must end well."""
    return subprocess.run(words, stdout=subprocess.PIPE, timeout=SECONDS, check=True).stdout


def curl(server: ServerProcess, host: str, target: str, *words: str) -> tuple[int, bytes]:
    """The status and the body that curl gets of a host."""
    port = server.address[1]
    resolve = f"{host}:{port}:{server.address[0]}"
    url = f"http://{host}:{port}{target}"
    output = run("curl", "-sS", "--resolve", resolve, "-w", "\n%{http_code}", *words, url)
    body, _, status = output.rpartition(b"\n")
    return int(status), body


def test_curl_finds_the_blog_and_its_stylesheet(server: ServerProcess) -> None:
    status, page = curl(server, "blog.localhost", "/")
    assert (status, b"<html" in page.lower()) == (200, True)
    assert curl(server, "blog.localhost", "/static/style.css") == (
        200,
        (EXAMPLE.parent / "blog" / "static" / "style.css").read_bytes(),
    )


def test_curl_uses_the_api_below_its_path(server: ServerProcess) -> None:
    field = ("-H", "Content-Type: application/json", "-d", '{"text": "cherries are ripe"}')
    status, body = curl(server, "www.localhost", "/api/notes", *field)
    note = json.loads(body)
    assert (status, note["text"]) == (201, "cherries are ripe")
    assert note["url"].startswith("/api/notes/")
    assert json.loads(curl(server, "www.localhost", note["url"])[1]) == note
    assert note in json.loads(curl(server, "www.localhost", "/api/notes")[1])


def test_wget_fetches_the_page_and_all_it_needs(server: ServerProcess, tmp_path: Path) -> None:
    words = ["wget", "-q", "--header=Host: www.localhost", "-r", "-l1", "-nd", "-P", str(tmp_path)]
    run(*words, f"{server.url}/index.html")
    for name in ("index.html", "style.css", "notes.js"):
        assert (tmp_path / name).read_bytes() == (EXAMPLE / "public" / name).read_bytes(), name


def test_wget_continues_a_file(server: ServerProcess, tmp_path: Path) -> None:
    whole = (EXAMPLE / "public" / "notes.js").read_bytes()
    part = tmp_path / "notes.js"
    part.write_bytes(whole[:100])
    words = ["wget", "-q", "-c", "--header=Host: www.localhost", "-P", str(tmp_path)]
    run(*words, f"{server.url}/notes.js")
    assert part.read_bytes() == whole


@pytest.mark.parametrize(
    ("host", "target", "words", "status"),
    [
        ("localhost", "/a?b=c", (), 302),
        ("mail.localhost", "/", (), 421),
        ("www.localhost", "/api/notes", ("-X", "DELETE"), 405),
        ("www.localhost", "/api/notes", ("-H", "Content-Type: application/json", "-d", "{}"), 400),
        ("www.localhost", "/gone", (), 404),
        ("www.localhost", "/../kirsch.toml", ("--path-as-is",), 404),
        ("blog.localhost", "/api/notes", (), 404),
        ("status.localhost", "/gone", (), 404),
        ("status.localhost", "/services/shop", ("-X", "PUT", "-d", "no JSON"), 415),
        ("status.localhost", "/services/shop", ("-X", "POST", "-d", ""), 405),
    ],
)
def test_what_the_guide_says_is_so(
    server: ServerProcess, host: str, target: str, words: tuple[str, ...], status: int
) -> None:
    assert curl(server, host, target, *words)[0] == status


def test_curl_tells_the_service_in_rust_what_works(server: ServerProcess) -> None:
    said = {"works": False, "note": "we are on it"}
    put = ("-X", "PUT", "-H", "Content-Type: application/json", "-d", json.dumps(said))
    assert curl(server, "status.localhost", "/services/till", *put) == (201, b"")
    assert curl(server, "status.localhost", "/services/till", *put) == (204, b"")
    status, body = curl(server, "status.localhost", "/services/till")
    assert (status, json.loads(body)) == (200, said)
    overviews = [
        json.loads(curl(server, host, target)[1])["till"]
        for host, target in (("status.localhost", "/"), ("www.localhost", "/status"))
    ]
    assert overviews == [[said, "/services/till"], [said, "/status/services/till"]]
    assert json.loads(curl(server, "www.localhost", overviews[1][1])[1]) == said


def test_wget_receives_a_stream_to_its_end(server: ServerProcess) -> None:
    words = ["wget", "-q", "-O", "-", "--header=Host: status.localhost"]
    assert run(*words, f"{server.url}/ticks?count=3") == b"tick 0\ntick 1\ntick 2\n"


def test_check_finds_nothing_wrong_with_the_example() -> None:
    output = run(COMMAND, "check", "--config", str(EXAMPLE / "kirsch.toml"), "--bind", "127.0.0.1:0")
    assert output.endswith(b"by 10 threads\n")


def python(source: str, *words: str) -> tuple[int, str, str]:
    """What a program ends with, writes and complains of."""
    command = [sys.executable, "-c", textwrap.dedent(source), *words]
    environment = clean_environment()
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment)
    return ended.returncode, ended.stdout, ended.stderr


def test_the_ordinary_engine_says_that_it_lacks_the_application(tmp_path: Path) -> None:
    file = tmp_path / "kirsch.toml"
    file.write_text('[apps.status]\nrust = "status"\n[[routes]]\napp = "status"\n')
    lacking = 'this build of Kirsch provides no Rust application called "status"; '
    message = f"kirsch: {file}:2: apps.status.rust: {lacking}"
    for words in (["check"], []):
        ended = subprocess.run(
            [*kirsch(), *words, "--config", str(file)], capture_output=True, text=True, timeout=SECONDS
        )
        assert (ended.returncode, ended.stdout) == (1, ""), words
        assert ended.stderr.startswith(message), ended.stderr
    file.write_text('[apps.status]\nrust = "statsu"\n[[routes]]\napp = "status"\n')
    ended = subprocess.run(
        [COMMAND, "check", "--config", str(file)], capture_output=True, text=True, timeout=SECONDS
    )
    assert ended.returncode == 1
    assert ended.stderr.endswith('called "statsu"; did you mean status?\n'), ended.stderr


def test_a_program_serves_it_beside_its_own_application() -> None:
    source = """
        import two_hosts
        import kirsch, os, sys, time, urllib.request

        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"python ", environ["PATH_INFO"].encode()]

        def get(server, path):
            return urllib.request.urlopen(server.urls[0] + path, timeout=20).read().decode()

        def name(task):
            try:
                return open(f"/proc/self/task/{task}/comm").read()
            except OSError:
                return "gone"

        def runtimes(wanted):
            # One that has just begun gives itself its name.
            deadline = time.monotonic() + 20
            while True:
                count = [name(task) for task in os.listdir("/proc/self/task")].count("kirsch-tokio\\n")
                if count == wanted or time.monotonic() > deadline:
                    return count
                time.sleep(0.01)

        status = kirsch.Rust("status")
        routes = [kirsch.Route(path="/status", app=status), kirsch.Route(path="/again", app=status)]
        assert sys.modules["kirsch._kirsch"].main is two_hosts.main
        with kirsch.Server(app, bind="127.0.0.1:0") as server:
            print(get(server, "/a"), runtimes(0))
        for _ in range(2):
            with kirsch.Server(app, routes=routes, bind="127.0.0.1:0") as server:
                print(get(server, "/a"), get(server, "/status/ticks?count=1"), end="")
                print(get(server, "/again"), runtimes(2))
            print(runtimes(0))
        with kirsch.Server(status, bind="127.0.0.1:0") as server:
            print(get(server, "/"), runtimes(2))
    """
    code, output, errors = python(source)
    served = ["python /a tick 0", "{} 2", "0"]
    assert (code, errors) == (0, "")
    assert output.splitlines() == ["python /a 0", *served, *served, "{} 2"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import kirsch; kirsch.run; import two_hosts",
            "ImportError: two_hosts contains an engine of Kirsch's, "
            "and kirsch._kirsch is this process's already; import two_hosts before kirsch is used",
        ),
        (
            'import kirsch; kirsch.Server(kirsch.Rust("status"))',
            'ValueError: argument app: this build of Kirsch provides no Rust application called "status"; '
            "it provides none; run the command of the engine that was built with it",
        ),
        (
            'import two_hosts, kirsch; kirsch.Server(routes=[kirsch.Route(app=kirsch.Rust("statsu"))])',
            'ValueError: argument app: this build of Kirsch provides no Rust application called "statsu"; '
            "did you mean status?",
        ),
        (
            'import kirsch; kirsch.Application(kirsch.Rust("status"), threads=2)',
            "TypeError: argument app: Rust(name='status') has threads of its own; "
            "give it to kirsch.Route(app=…) itself",
        ),
    ],
)
def test_a_program_that_gets_it_wrong_is_told(source: str, message: str) -> None:
    code, _, errors = python(source)
    assert (code, errors.splitlines()[-1]) == (1, message)


def test_the_package_may_be_imported_first_as_long_as_it_is_not_used() -> None:
    code, output, errors = python(
        "import kirsch, two_hosts; print(kirsch.__version__ == two_hosts.__version__)"
    )
    assert (code, output, errors) == (0, "True\n", "")
