"""Routes: one server, several applications and folders, and which request goes to which.

The applications are web.py and Flask, in folders of their own (`apps/sites`).
What a file may say, and what is said of each mistake in it, is `crates/kirsch-config/tests/routes.rs`.
"""

from __future__ import annotations

import dataclasses
import json
import re
import select
import subprocess
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kirsch
import pytest
from support.client import BrokenResponse, Client, Response
from support.server import APPS, ServerProcess, clean_environment
from support.server import kirsch as command

SITES = APPS / "sites"
SECONDS = 15

FILE = f"""
bind = "127.0.0.1:0"
unknown_host = 404

[apps.blog]
wsgi = "blog:app"
path = "{SITES / "blog"}"

[apps.api]
wsgi = "api:create_app()"
path = "{SITES / "api"}"
threads = 2

[[routes]]
host = ["blog.test", "*.blog.test"]
path = "/static"
files = "public"
cache_control = {{ "*.css" = "max-age=60" }}
set_headers = {{ x-from = "files" }}

[[routes]]
host = ["blog.test", "*.blog.test"]
app = "blog"
set_headers = {{ x-frame-options = "DENY" }}
remove_headers = "x-powered-by"

[[routes]]
host = "api.test"
path = "/api/v1"
method = ["GET", "POST"]
app = "api"

[[routes]]
host = "api.test"
path = "/beta"
header = {{ x-beta = "1" }}
app = "api"
rewrite = "/users"

[[routes]]
host = "api.test"
path = "/small"
app = "blog"
limit_body = 10

[[routes]]
host = "api.test"
path = "/stream"
app = "api"
stream_body = true

[[routes]]
host = "api.test"
path = "/home"
client = ["192.0.2.0/24", "127.0.0.1"]
answer = 200
body = "at home"
set_headers = {{ content-type = "text/x-home" }}

[[routes]]
host = "api.test"
path = "/away"
client = "192.0.2.0/24"
answer = 200

[[routes]]
host = "port.test:81"
answer = 202

[[routes]]
host = "[2001:db8::1]"
answer = 202

[[routes]]
host = "old.test"
scheme = "http"
redirect = "https://new.test{{path}}{{query}}"

[[routes]]
host = "gone.test"
answer = 410
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "kirsch.toml").write_text(FILE)
    (folder / "public").mkdir()
    (folder / "public" / "style.css").write_bytes((SITES / "public" / "style.css").read_bytes())
    # Started elsewhere: paths in the file begin at the file.
    with ServerProcess("", words=[*command(), "-c", str(folder / "kirsch.toml")]) as running:
        yield running


def ask(
    server: ServerProcess | tuple[str, int], host: str, target: str = "/", method: str = "GET", *fields: str
) -> Response:
    """One request for a host, on a connection of its own."""
    address = server.address if isinstance(server, ServerProcess) else server
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields, "", ""]
    with Client(address) as client:
        client.send("\r\n".join(lines).encode("latin-1"))
        return client.response(method)


@pytest.mark.parametrize(
    "host", ["blog.test", "BLOG.test", "blog.test.", "blog.test:8000", "www.blog.test", "a.b.blog.test:80"]
)
def test_a_host_leads_to_its_application(server: ServerProcess, host: str) -> None:
    answer = ask(server, host, "/about")
    assert (answer.status, answer.body.decode()) == (200, f"blog: |/about|{host}")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("notblog.test", 404),
        ("blog.test.example", 404),
        ("127.0.0.1", 404),
        ("port.test:81", 202),
        ("port.test", 404),
        ("port.test:80", 404),
        ("[2001:db8::1]", 202),
        ("[2001:DB8:0::1]:8000", 202),
        ("[2001:db8::2]", 404),
        ("gone.test", 410),
        ("two words", 400),
        ("blog.test, gone.test", 400),
        ("[::1", 400),
        ("blog.test:port", 400),
    ],
)
def test_other_hosts_lead_elsewhere_or_nowhere(server: ServerProcess, host: str, status: int) -> None:
    assert ask(server, host).status == status


@pytest.mark.parametrize("target", ["/users/%C3%BC", "/users/a%2fb", "/users/x?y=/api/v1"])
def test_a_path_is_where_its_application_is_mounted(server: ServerProcess, target: str) -> None:
    answer = ask(server, "api.test", f"/api/v1{target}")
    if "%2f" in target:
        assert answer.status == 404, "an encoded slash is one for WSGI"
        return
    path = target.split("?")[0]
    assert json.loads(answer.body)["url"] == f"/api/v1{path}"


@pytest.mark.parametrize(
    "target", ["/api/v12/users/a", "/api", "/apis", "/Api/v1/users/a", "//api/v1/users/a"]
)
def test_a_path_ends_where_a_segment_does(server: ServerProcess, target: str) -> None:
    assert ask(server, "api.test", target).status == 404


def test_a_method_that_no_route_takes_is_not_found(server: ServerProcess) -> None:
    methods = {
        method: ask(server, "api.test", "/api/v1/users/a", method).status
        for method in ("GET", "HEAD", "DELETE")
    }
    assert methods == {"GET": 200, "HEAD": 200, "DELETE": 404}


def test_a_field_chooses_and_the_path_is_rewritten(server: ServerProcess) -> None:
    assert ask(server, "api.test", "/beta/a").status == 404
    assert ask(server, "api.test", "/beta/a", "GET", "X-Beta: 2").status == 404
    answer = ask(server, "api.test", "/beta/a", "GET", "x-BETA: 1")
    assert json.loads(answer.body)["url"] == "/users/a"


def test_fields_of_responses_are_set_and_removed(server: ServerProcess) -> None:
    answer = ask(server, "blog.test")
    assert (answer.get("X-Frame-Options"), answer.get("X-Powered-By")) == ("DENY", None)
    files = ask(server, "blog.test", "/static/none")
    assert (files.status, files.get("X-From")) == (404, "files")


def test_a_body_has_the_limit_of_its_route(server: ServerProcess) -> None:
    def post(target: str, size: int) -> Response:
        with Client(server.address) as client:
            head = f"POST {target} HTTP/1.1\r\nHost: api.test\r\nContent-Length: {size}\r\n\r\n"
            client.send_what_is_taken(head.encode() + b"x" * size)
            return client.response("POST")

    assert (post("/small/x", 10).status, post("/small/x", 11).status) == (200, 413)


def test_a_body_is_read_while_it_arrives_where_the_route_says_so(server: ServerProcess) -> None:
    with Client(server.address) as client:
        client.send(b"POST /stream/first-byte HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\n\r\na")
        # The other four never come.
        assert json.loads(client.response("POST").body) == {"first": "a"}


def test_a_client_chooses(server: ServerProcess) -> None:
    answer = ask(server, "api.test", "/home")
    assert (answer.status, answer.body, answer.get("Content-Type")) == (200, b"at home\n", "text/x-home")
    assert ask(server, "api.test", "/away").status == 404


@pytest.mark.parametrize("target", ["/", "/a%20b?", "/a?b=c&d=%20"])
def test_a_redirect_keeps_path_and_query(server: ServerProcess, target: str) -> None:
    answer = ask(server, "old.test:8000", target)
    assert (answer.status, answer.get("Location")) == (308, f"https://new.test{target.rstrip('?')}")


def test_files_are_served_below_their_path(server: ServerProcess) -> None:
    answer = ask(server, "www.blog.test", "/static/style.css")
    assert (answer.status, answer.get("Cache-Control")) == (200, "max-age=60")
    assert answer.body == (SITES / "public" / "style.css").read_bytes()
    assert ask(server, "blog.test", "/static/../kirsch.toml").status == 404
    assert ask(server, "api.test", "/static/style.css").status == 404


def test_one_connection_serves_every_host(server: ServerProcess) -> None:
    with Client(server.address) as client:
        for host, status in (
            ("blog.test", 200),
            ("gone.test", 410),
            ("nobody.test", 404),
            ("blog.test", 200),
        ):
            client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert client.response().status == status


def test_the_start_names_the_routes(server: ServerProcess) -> None:
    assert re.search(
        r"serves blog\.test,…/static=\S+public, blog\.test,…=blog, .* and 6 more routes on", server.log
    )


# The command line.


def test_applications_and_folders_are_named_on_the_command_line() -> None:
    words = ["blog.test=blog/blog.py:app", "/v1=api/api.py:create_app()", "--static", "/static=public"]
    with ServerProcess("", folder=SITES, words=[*command(), *words, "-b", "127.0.0.1:0"]) as server:
        assert ask(server, "blog.test", "/x").body == b"blog: |/x|blog.test"
        assert json.loads(ask(server, "any.test", "/v1/users/a").body)["url"] == "/v1/users/a"
        assert ask(server, "any.test", "/static/style.css").status == 200
        assert ask(server, "any.test", "/").status == 404
        assert "/static=" in server.log
        assert "blog.test=blog/blog.py:app, /v1=api/api.py:create_app() on http" in server.log


def test_an_application_without_a_host_takes_what_no_route_takes() -> None:
    words = ["api/api.py:create_app()", "blog.test=blog/blog.py:app", "--static=/static=public"]
    with ServerProcess("", folder=SITES, words=[*command(), *words, "-b", "127.0.0.1:0"]) as server:
        assert ask(server, "blog.test", "/users/a").body == b"blog: |/users/a|blog.test"
        assert ask(server, "any.test", "/users/a").status == 200


def test_routes_lie_below_the_script_name() -> None:
    words = ["/v1=api/api.py:create_app()", "blog/blog.py:app", "--script-name", "/base"]
    with ServerProcess("", folder=SITES, words=[*command(), *words, "-b", "127.0.0.1:0"]) as server:
        assert json.loads(ask(server, "a.test", "/base/v1/users/a").body)["url"] == "/base/v1/users/a"
        assert ask(server, "a.test", "/base/x").body == b"blog: /base|/x|a.test"
        assert ask(server, "a.test", "/v1/users/a").status == 404


def test_an_unknown_host_is_misdirected_unless_told_otherwise() -> None:
    words = ["blog.test=blog/blog.py:app", "-b", "127.0.0.1:0"]
    for flags, status in (([], 421), (["--unknown-host", "404"], 404)):
        with ServerProcess("", folder=SITES, words=[*command(), *words, *flags]) as server:
            assert ask(server, "other.test").status == status


# What check and the start refuse.


def run(folder: Path, *words: str) -> tuple[int, str]:
    """The code and the output of `kirsch`, in a folder, run to its end."""
    done = subprocess.run(
        [*command(), *words],
        cwd=folder,
        env={**clean_environment(), "KIRSCH_BIND": "127.0.0.1:0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
    )
    return done.returncode, done.stdout.decode()


def write(folder: Path, **files: str) -> None:
    """Writes files; `__` in a name is a slash, and a Python file without content is an application."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + (".toml" if name == "kirsch" else ".py"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text) or APP)


APP = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [__file__.encode()]
"""

TWO = """
[apps.one]
wsgi = "{one}"
path = "one"
[apps.two]
wsgi = "{two}"
path = "two"
[[routes]]
host = "one.test"
app = "one"
[[routes]]
app = "two"
"""
GOOD = TWO.format(one="one:app", two="two:app")


def test_check_shows_all_that_leads_nowhere_and_the_start_refuses_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        one__one="",
        kirsch=GOOD.replace('app = "two"', 'app = "twoo"')
        + '[[routes]]\nhost = "one.test"\npath = "/x"\nfiles = "public"\n',
    )
    for verb in ("check", "serve"):
        code, output = run(tmp_path, verb)
        assert code == 1, output
        assert output.splitlines() == [
            'kirsch: kirsch.toml:12: routes.app: there is no application "twoo"; did you mean two?',
            f"kirsch: kirsch.toml:16: routes.files: there is no folder {tmp_path}/public; "
            "make it, or write the path of another",
            f"kirsch: kirsch.toml:13: routes: no request reaches one.test/x={tmp_path}/public, because "
            "one.test=one (kirsch.toml:8: routes) takes all of them; "
            "write it before that one, or take it out",
            "kirsch: kirsch.toml:5: apps.two: no route leads to this application; "
            'write a route with app = "two", or take it out',
        ]


def test_what_makes_no_sense_fails_the_check_and_is_served_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, one__one="", two__two="", kirsch=GOOD)
    assert run(tmp_path, "check")[0] == 0
    with (tmp_path / "kirsch.toml").open("a") as file:
        file.write('[[routes]]\nhost = "one.test"\nanswer = 410\n')
    code, output = run(tmp_path, "check")
    assert code == 1
    assert "kirsch.toml:13: routes: no request reaches one.test=answer" in output
    assert "can be served on" in output
    with ServerProcess("", folder=tmp_path, words=[*command(), "-b", "127.0.0.1:0"]) as server:
        assert "no request reaches one.test=answer" in server.log
        assert ask(server, "one.test").status == 200


def test_an_application_that_cannot_be_loaded_is_named_by_its_table(tmp_path: Path) -> None:
    write(tmp_path, one__one="", two__two="number = 5", kirsch=TWO.format(one="one:app", two="two:number"))
    for verb in ("check", "serve"):
        code, output = run(tmp_path, verb)
        assert (code, output.startswith("kirsch: kirsch.toml:5: apps.two: two:number is an int")) == (
            1,
            True,
        ), output


def conflict(folder: Path, one: str = "one:app", two: str = "two:app") -> str:
    """What is said of two applications that cannot share an interpreter."""
    (folder / "kirsch.toml").write_text(TWO.format(one=one, two=two))
    outputs = {run(folder, verb) for verb in ("check", "serve")}
    assert len(outputs) == 1, outputs
    code, output = outputs.pop()
    assert code == 1, output
    assert "give each a process of its own" in output
    assert len(output.splitlines()) == 1, output
    return output


def test_two_applications_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path, one__app="", two__app="")
    for one, two in (("app:app", "app:app"), ("app.py", "app.py"), ("app.py", "app")):
        said = conflict(tmp_path, one, two)
        assert f"one and two both have a module app ({tmp_path}/one/app.py and {tmp_path}/two/app.py)" in said


def test_two_modules_of_one_name_are_refused_where_one_is_imported(tmp_path: Path) -> None:
    write(tmp_path, one__one="import tools\n" + APP, two__two="", one__tools="", two__tools__part="")
    assert "kirsch.toml:2: apps.one: one and two both have a module tools" in conflict(tmp_path)


def test_a_refusal_that_an_application_hides_is_one_all_the_same(tmp_path: Path) -> None:
    hidden = "try:\n    import tools\nexcept Exception:\n    pass\n" + APP
    write(tmp_path, one__one="", two__two=hidden, one__tools="", two__tools="")
    assert "kirsch.toml:5: apps.two: one and two both have a module tools" in conflict(tmp_path)


def test_modules_of_one_name_that_nobody_imports_are_nobodys_business(tmp_path: Path) -> None:
    write(
        tmp_path,
        one__one="",
        two__two="",
        one__tests="",
        two__tests="",
        kirsch=GOOD,
    )
    assert run(tmp_path, "check")[0] == 0


def test_a_module_that_both_share_is_no_conflict(tmp_path: Path) -> None:
    both = "import tools\n" + APP
    write(tmp_path, one__one=both, two__two=both, tools="", kirsch=GOOD)
    for name in ("one", "two"):
        (tmp_path / name / "tools.py").symlink_to(tmp_path / "tools.py")
    assert run(tmp_path, "check")[0] == 0


def test_a_module_of_one_name_is_refused_at_any_later_time_too(tmp_path: Path) -> None:
    late = """
    def app(environ, start_response):
        try:
            import tools
        except ImportError:
            tools = None
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"never"]
    """
    write(
        tmp_path,
        one__one=late,
        two__two="",
        one__tools="",
        two__tools="",
        kirsch=GOOD,
    )
    with ServerProcess("", folder=tmp_path, words=[*command(), "-b", "127.0.0.1:0"]) as server:
        assert (ask(server, "one.test").status, ask(server, "two.test").status) == (500, 200)
        server.wait_for_log("Shared: one and two both have a module tools")


def settings_module(value: str) -> str:
    return f"import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', '{value}')\n" + APP


def test_two_values_of_django_settings_module_are_refused(tmp_path: Path) -> None:
    write(tmp_path, one__one=settings_module("a.settings"), two__two=settings_module("b.settings"))
    said = conflict(tmp_path)
    assert "kirsch.toml:5: apps.two: one has DJANGO_SETTINGS_MODULE=a.settings and two has b.settings" in said


def test_one_value_of_django_settings_module_is_left_to_all(tmp_path: Path) -> None:
    shown = APP.replace("__file__", "os.environ['DJANGO_SETTINGS_MODULE']")
    write(
        tmp_path,
        one__one=settings_module("a.settings"),
        two__two="import os\n" + shown,
        kirsch=GOOD,
    )
    with ServerProcess("", folder=tmp_path, words=[*command(), "-b", "127.0.0.1:0"]) as server:
        assert ask(server, "two.test").body == b"a.settings"


def test_two_applications_of_one_file_load_it_once(tmp_path: Path) -> None:
    write(tmp_path, both="print('loaded')\n" + APP + "\nother = app\n")
    words = [*command(), "a.test=both.py:app", "both.py:other", "-b", "127.0.0.1:0"]
    with ServerProcess("", folder=tmp_path, words=words) as server:
        assert (ask(server, "a.test").status, ask(server, "b.test").status) == (200, 200)
        assert server.log.count("loaded") == 1


# Python.


def named(name: str) -> Callable[..., Any]:
    """An application that answers with its name and where it is mounted."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{name}|{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode()]

    app.__qualname__ = name
    return app


def serving(*routes: kirsch.Route, **settings: Any) -> kirsch.Server:
    return kirsch.Server(routes=routes, bind="127.0.0.1:0", **{"threads": 4, **settings})


def address_of(server: kirsch.Server) -> tuple[str, int]:
    address = server.addresses[0]
    assert not isinstance(address, str)
    return address


def test_a_program_serves_routes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a file")
    one, two = named("one"), named("two")
    with serving(
        kirsch.Route(host="one.test", app=one),
        kirsch.Route(path=["/x", "/y"], app=two, set_headers={"x-by": "two"}),
        kirsch.Route(path="/files", files=tmp_path),
        kirsch.Route(host="old.test", redirect="https://new.test{path}", status=301),
        kirsch.Route(host="full.test", answer=503, body="later"),
        app=one,
    ) as server:
        address = address_of(server)
        assert ask(address, "one.test", "/a").body == b"one||/a"
        answer = ask(address, "two.test", "/y/a")
        assert (answer.body, answer.get("X-By")) == (b"two|/y|/a", "two")
        assert ask(address, "two.test", "/files/a.txt").body == b"a file"
        assert ask(address, "old.test", "/a").get("Location") == "https://new.test/a"
        assert ask(address, "full.test").body == b"later\n"
        assert ask(address, "other.test", "/z").body == b"one||/z"


def test_run_serves_routes_too(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import kirsch

        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [environ["SCRIPT_NAME"].encode()]

        kirsch.run(routes=[kirsch.Route(path="/v1", app=app), kirsch.Route(answer=410)], bind="127.0.0.1:0")
        """)
    (tmp_path / "program.py").write_text(program)
    python = str(Path(command()[0]).parent / "python")
    with ServerProcess("", folder=tmp_path, words=[python, "program.py"]) as server:
        assert "serves /v1=__main__:app, answer on http" in server.log
        assert (ask(server, "a.test", "/v1/x").body, ask(server, "a.test").status) == (b"/v1", 410)


def test_a_route_is_a_value() -> None:
    app = named("one")
    route = kirsch.Route(host="a.test", app=app)
    assert route == kirsch.Route(host="a.test", app=app)
    assert route != kirsch.Route(host="b.test", app=app)
    with pytest.raises(dataclasses.FrozenInstanceError):
        route.host = "b.test"  # type: ignore[misc]


def test_a_route_has_the_arguments_that_the_reference_has() -> None:
    page = (Path(__file__).parent.parent / "docs" / "reference" / "settings.md").read_text()
    keys = re.findall(r"^### `routes\.(\w+)`$", page, re.MULTILINE)
    assert [field.name for field in dataclasses.fields(kirsch.Route)] == keys


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "argument route: does not say what becomes of a request; write app, files, cgi, redirect or"),
        ({"host": "a b", "answer": 404}, 'argument host: "a b" cannot be used: a host must be a name'),
        ({"host": 5, "answer": 404}, "argument host: 5 is not a host or a list of hosts; write"),
        ({"method": "get", "answer": 404}, 'argument method: "get" is in small letters; write GET'),
        ({"header": ["x-beta"], "answer": 404}, "argument header: a list is not fields with their values"),
        ({"header": {"x-beta": 1}, "answer": 404}, "argument header: the value of x-beta is a number"),
        (
            {"client": "10.0.0.1/8", "answer": 404},
            "argument client: 10.0.0.1/8 is an address within a network",
        ),
        ({"answer": 404, "files": "."}, "argument answer: stands beside files, and a route does one thing"),
        ({"redirect": "/{uri}"}, "argument redirect: {uri} is not known"),
        ({"answer": 404, "limit_body": 1}, "argument limit_body: belongs to app, files or cgi; leave it out"),
        ({"files": ".", "precompressed": "rar"}, 'argument precompressed: "rar" is not br, zstd, gzip'),
    ],
)
def test_a_route_that_cannot_be_right_is_refused_where_it_is_made(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        kirsch.Route(**arguments)


def test_what_cannot_be_served_is_refused_before_the_first_request(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="nothing to serve; give an application, or routes"):
        kirsch.Server()
    with pytest.raises(TypeError, match="routes holds str"):
        kirsch.Server(routes=["a.test"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="app is an int and cannot be called"):
        kirsch.Route(app=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="app is an int and cannot be called"):
        kirsch.Route(app=kirsch.Application(5))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"routes is a list; write routes=\[kirsch.Route"):
        kirsch.Server(routes=kirsch.Route(answer=404))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"argument files: there is no folder {tmp_path}/gone"):
        serving(kirsch.Route(files=tmp_path / "gone"))
    with pytest.raises(ValueError, match="argument threads: 0 is not a whole number from 1 on"):
        kirsch.Application(named("one"), threads=0)
    with pytest.raises(ValueError, match="argument index: an index must be the name of a file"):
        serving(kirsch.Route(files=tmp_path, index="a/b")).start()


def test_a_route_that_nobody_reaches_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = named("one")
    serving(kirsch.Route(path="/a", app=app), kirsch.Route(path="/a/b", app=app))
    assert [record.message for record in caplog.records] == [
        f"argument route: no request reaches /a/b={__name__}:one, because /a={__name__}:one (argument route) "
        "takes all of them; write it before that one, or take it out"
    ]


# Threads.


class Gate:
    """An application that stays inside until it is told to leave."""

    def __init__(self) -> None:
        self.inside = threading.Semaphore(0)
        self.leave = threading.Event()
        self.multithread: list[bool] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        self.multithread.append(environ["wsgi.multithread"])
        self.inside.release()
        assert self.leave.wait(SECONDS)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"left"]


def begin(address: tuple[str, int], host: str) -> Client:
    client = Client(address)
    client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return client


def test_an_application_that_is_stuck_starves_no_other() -> None:
    gate = Gate()
    stuck = kirsch.Application(gate, threads=2)
    with serving(
        kirsch.Route(host="stuck.test", app=stuck), kirsch.Route(app=named("other")), threads=3
    ) as server:
        address = address_of(server)
        clients = [begin(address, "stuck.test") for _ in range(5)]
        try:
            assert all(gate.inside.acquire(timeout=SECONDS) for _ in range(2))
            for _ in range(20):
                assert ask(address, "other.test").body == b"other||/"
            assert not gate.inside.acquire(blocking=False), "a third was let in"
            gate.leave.set()
            assert [client.response().body for client in clients] == [b"left"] * 5
        finally:
            gate.leave.set()
            for client in clients:
                client.socket.close()


def test_what_waits_for_a_stuck_application_is_bounded() -> None:
    gate = Gate()
    stuck = kirsch.Application(gate, threads=1)
    with serving(
        kirsch.Route(host="stuck.test", app=stuck), kirsch.Route(app=named("other")), threads=2, limit_queue=1
    ) as server:
        address = address_of(server)
        first = begin(address, "stuck.test")
        assert gate.inside.acquire(timeout=SECONDS)
        waiting = [begin(address, "stuck.test") for _ in range(2)]
        # One waits, and the other is told so: which of them, the network decides.
        ready, _, _ = select.select([client.socket for client in waiting], [], [], SECONDS)
        assert len(ready) == 1
        waiting.sort(key=lambda client: client.socket in ready)
        patient, refused = waiting
        answer = refused.response()
        assert (answer.status, answer.get("Retry-After") is not None) == (503, True)
        assert ask(address, "other.test").status == 200
        gate.leave.set()
        assert (first.response().body, patient.response().body) == (b"left", b"left")
        for client in (first, *waiting):
            client.socket.close()
    assert gate.multithread == [False, False], "it has one thread"


def test_one_application_under_two_routes_has_its_threads_once() -> None:
    gate = Gate()
    stuck = kirsch.Application(gate, threads=1)
    with serving(
        kirsch.Route(host="one.test", app=stuck), kirsch.Route(host="two.test", app=stuck), threads=3
    ) as server:
        address = address_of(server)
        with begin(address, "one.test") as one, begin(address, "two.test") as two:
            assert gate.inside.acquire(timeout=SECONDS)
            assert ask(address, "three.test").status == 421
            assert not gate.inside.acquire(blocking=False)
            gate.leave.set()
            assert {one.response().body, two.response().body} == {b"left"}


def test_each_application_fails_alone(capfd: pytest.CaptureFixture[str]) -> None:
    def failing(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        raise RuntimeError("on purpose")

    with serving(kirsch.Route(host="bad.test", app=failing), kirsch.Route(app=named("good"))) as server:
        address = address_of(server)
        with Client(address) as client:
            for host, status in (("bad.test", 500), ("good.test", 200)):
                client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                try:
                    assert client.response().status == status
                except BrokenResponse:
                    pytest.fail("the connection went with the application")
