"""The first mistakes at the command line: each ends with one clear message, and none of ours shows through.

`kirsch check` finds all that `kirsch serve` would fail at, without serving: every mistake is made with both.
"""

from __future__ import annotations

import os
import socket
import subprocess
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.server import clean_environment, kirsch

SECONDS = 15


@dataclass(frozen=True)
class Ended:
    """How a command ended, and all it said."""

    code: int
    output: str


def run(
    folder: Path, *words: str, environment: Mapping[str, str] | None = None, under: Sequence[str] = ()
) -> Ended:
    """Run `kirsch` in a folder to its end, `under` a program that starts it."""
    done = subprocess.run(
        [*under, *kirsch(), *words],
        cwd=folder,
        # On a free port, should it serve where it must not.
        env={**clean_environment(), **(environment or {"KIRSCH_BIND": "127.0.0.1:0"})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode())


def refused(ended: Ended, *texts: str, traceback: bool = False) -> None:
    """The command must have ended with code 1 or 2, and a short message with all the texts.

    Args:
        ended: How it ended.
        texts: What the message must contain.
        traceback: Whether a traceback of the application's is due; none of ours ever is.
    """
    assert ended.code in (1, 2), ended
    assert [text for text in texts if text.lower() not in ended.output.lower()] == [], ended.output
    assert "panicked" not in ended.output
    assert ended.output.count("Traceback") == traceback, ended.output
    assert "site-packages/kirsch" not in ended.output, "a frame of ours in the traceback"
    lines = [line for line in ended.output.splitlines() if line.strip()]
    assert traceback or len(lines) <= 5, f"not one clear message:\n{ended.output}"


@pytest.fixture(params=["serve", "check"])
def verb(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with applications, good and bad."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    tmp_path.chmod(0o755)
    return tmp_path


FILES = {
    "hello.py": """
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"hello"]

        number = 42
        """,
    "broken.py": """
        def prepare():
            raise LookupError("the database is away")

        prepare()
        """,
    "unimportable.py": "import a_module_that_nobody_has\n",
    "misspelt.py": "def app(environ, start_response:\n    pass\n",
    "leaving.py": "raise SystemExit('I will not start')\n",
    "asgi.py": """
        async def app(scope, receive, send):
            pass


        class Framework:
            async def __call__(self, scope, receive, send):
                pass


        instance = Framework()
        """,
    "patched.py": """
        from gevent import monkey

        monkey.patch_all()

        from hello import app
        """,
    "mysite.py": """
        from django.core.wsgi import get_wsgi_application

        application = get_wsgi_application()
        """,
    "factories.py": """
        def create_app():
            from hello import app

            return app


        def nothing():
            return None


        def wants(name):
            return name
        """,
    "wrong.py": """
        import functools


        async def plain(environ, start_response):
            return []


        async def pieces(environ, start_response):
            yield b""


        def few(environ):
            return []


        def keyword(environ, start_response, *, database):
            return []


        class Wants:
            def __init__(self, database):
                self.database = database

            def __call__(self, environ, start_response):
                return []


        class Nothing:
            def __call__(self, environ, start_response):
                return []


        def gives_class():
            return Nothing


        def as_request(function):
            @functools.wraps(function)
            def application(*arguments):
                return function(arguments[0])(*arguments)

            return application


        @as_request
        def decorated(request):
            from hello import app

            return app
        """,
    "empty.py": "",
    "lazy.py": """
        def __getattr__(name):
            raise LookupError("the database is away")
        """,
}


def test_check_says_nothing_bad_of_a_good_application_and_does_not_serve(folder: Path) -> None:
    for spec in ("hello:app", "hello.py", "hello", "factories:create_app()"):
        ended = run(folder, "check", spec)
        assert ended.code == 0, ended


def test_a_module_that_does_not_exist_suggests_the_near_miss(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "helo:app"), "helo", "hello")


def test_a_file_that_does_not_exist_suggests_the_near_miss(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "helo.py"), "helo.py", "hello.py")


def test_a_difference_in_capitals_alone_is_a_near_miss(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "hello:APP"), "did you mean hello:app")
    refused(run(folder, verb, "Hello:app"), "did you mean hello")


def test_what_is_there_and_no_file_is_not_suggested_for_itself(folder: Path, verb: str) -> None:
    (folder / "link.py").symlink_to("gone.py")
    (folder / "folder.py").mkdir()
    for name, text in (("link.py", "is a link to gone.py, which"), ("folder.py", "is a folder, not a file")):
        ended = run(folder, verb, name)
        refused(ended, f"the file {name} {text}")
        assert f"mean {name}" not in ended.output


@pytest.mark.parametrize(
    ("name", "whose"),
    [("signal", "Python's own module"), ("types", "Python's own module"), ("kirsch", "the module /")],
)
def test_a_file_that_a_loaded_module_hides_is_named(folder: Path, verb: str, name: str, whose: str) -> None:
    (folder / f"{name}.py").write_text(FILES["hello.py"])
    # The entry point would import kirsch itself from this folder only if that were on its path.
    ended = run(folder, verb, f"{name}:app")
    refused(ended, f"{name} is {whose}", f"not {name}.py of this folder", f"write ./{name}.py, or rename")


def test_a_module_that_hides_nothing_and_one_of_the_environment_are_served(folder: Path) -> None:
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text("from hello import app\n")
    (folder / "linked.py").symlink_to("hello.py")
    for spec in ("package:app", "linked:app"):
        assert run(folder, "check", spec).code == 0


def test_an_attribute_that_does_not_exist_suggests_the_near_miss(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "hello:aap"), "aap", "app")


def test_a_module_without_an_application_says_which_names_were_looked_for(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "empty"), "empty", "application", "app")


def test_an_attribute_that_cannot_be_called_is_named_with_its_type(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "hello:number"), "hello:number", "int")


def test_a_factory_without_its_brackets_suggests_them(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "factories:create_app"), "create_app()")


def test_an_application_with_brackets_is_told_to_leave_them_out(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "hello:app()"), "write hello:app without")


def test_an_attribute_behind_a_dot_is_told_to_write_a_colon(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "hello.app"), "write hello:app")


@pytest.mark.parametrize("spec", ["lazy", "lazy:app"])
def test_an_attribute_that_raises_shows_its_traceback_and_none_of_ours(
    folder: Path, verb: str, spec: str
) -> None:
    ended = run(folder, verb, spec)
    refused(ended, "LookupError: the database is away", traceback=True)
    assert "_load.py" not in ended.output


def test_a_working_directory_that_is_gone_says_so(folder: Path, verb: str) -> None:
    words = f"cd gone && rmdir ../gone && exec {kirsch()[0]} {verb} hello:app"
    (folder / "gone").mkdir()
    refused(run(folder, under=("sh", "-c", words)), "working directory")


@pytest.mark.parametrize("words", [["--help"], ["check", "hello:app"]], ids=" ".join)
@pytest.mark.parametrize("to", [">/dev/full", ">&-"])
def test_output_that_cannot_be_written_says_so(folder: Path, words: list[str], to: str) -> None:
    line = f"{kirsch()[0]} {' '.join(words)} {to}"
    refused(run(folder, under=("sh", "-c", line)), "standard output")


def test_a_factory_that_gives_nothing_says_so(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "factories:nothing()"), "nothing()", "None")


def test_a_factory_that_wants_arguments_says_so(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "factories:wants()"), "wants", "argument", traceback=False)


@pytest.mark.parametrize(
    ("module", "error"),
    [
        ("broken", "LookupError: the database is away"),
        ("unimportable", "No module named 'a_module_that_nobody_has'"),
        ("misspelt", "SyntaxError"),
    ],
)
def test_an_application_that_fails_at_import_shows_its_whole_traceback_and_none_of_ours(
    folder: Path, verb: str, module: str, error: str
) -> None:
    ended = run(folder, verb, f"{module}:app")
    # A SyntaxError is shown with its line; there is no traceback, because nothing was run.
    refused(ended, f"{module}.py", error, traceback=ended.output.count("Traceback") == 1)
    assert module == "misspelt" or ended.output.count("Traceback") == 1
    assert module != "broken" or "in prepare" in ended.output
    assert "importlib" not in ended.output


def test_an_application_that_exits_at_import_is_no_success(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "leaving:app"), "I will not start", traceback=True)


def test_an_application_that_serves_itself_at_import_is_told_where_to_do_that(
    folder: Path, verb: str
) -> None:
    (folder / "itself.py").write_text("import kirsch\nfrom hello import app\nkirsch.run(app, bind=0)\n")
    refused(run(folder, verb, "itself.py"), "itself.py calls kirsch.run()", 'if __name__ == "__main__"')


SELF_SERVING = {
    "bottle": "import bottle\napp = bottle.default_app()\nbottle.run(port=0)\n",
    "gunicorn": """
        from gunicorn.app.base import BaseApplication
        from hello import app

        class Served(BaseApplication):
            def load_config(self):
                self.cfg.set("bind", "127.0.0.1:0")

            def load(self):
                return app

        Served().run()
        """,
    "swallowed": """
        import waitress
        from hello import app

        try:
            waitress.serve(app, port=0)
        except Exception:
            pass
        """,
    "waitress": "import waitress\nfrom hello import app\nwaitress.serve(app, port=0)\n",
    "webpy": "import web\napp = web.application((), {})\napp.run()\n",
    "werkzeug": "from hello import app\nimport werkzeug\nwerkzeug.run_simple('127.0.0.1', 0, app)\n",
    "wsgiref": """
        from wsgiref.simple_server import make_server
        from hello import app

        make_server("127.0.0.1", 0, app).serve_forever()
        """,
}


@pytest.mark.parametrize("name", SELF_SERVING)
def test_an_application_that_starts_another_server_at_import_is_told_where_to_do_that(
    folder: Path, verb: str, name: str
) -> None:
    (folder / "itself.py").write_text(textwrap.dedent(SELF_SERVING[name]))
    ended = run(folder, verb, "itself.py")
    refused(ended, "itself.py starts a server of its own", 'if __name__ == "__main__":')


def test_flasks_own_run_at_import_does_nothing(folder: Path) -> None:
    (folder / "itself.py").write_text("import flask\napp = flask.Flask(__name__)\napp.run(port=0)\n")
    ended = run(folder, "check", "itself.py")
    assert ended.code == 0, ended
    assert "itself.py can be served" in ended.output


def test_a_server_that_an_application_runs_on_a_thread_is_its_own_business(folder: Path) -> None:
    """As exporters of metrics do."""
    (folder / "metrics.py").write_text(
        textwrap.dedent(
            """
            import os, threading, urllib.request
            from wsgiref.simple_server import make_server
            from hello import app

            server = make_server("127.0.0.1", 0, app)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            print(urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}").read())
            """
        )
    )
    ended = run(folder, "check", "metrics:app")
    assert ended.code == 0, ended
    assert "b'hello'" in ended.output


def test_an_application_does_not_see_the_servers_arguments(folder: Path) -> None:
    (folder / "curious.py").write_text("import sys\nfrom hello import app\nprint(len(sys.argv))\n")
    ended = run(folder, "check", "curious:app")
    assert ended.output.startswith("1\n"), ended


@pytest.mark.parametrize(
    ("spec", "code"), [("busy:app", 0), ("busy:nothing", 1), ("busy:app --bind 192.0.2.1:1", 1)]
)
def test_a_thread_of_the_application_does_not_keep_the_command_from_ending(
    folder: Path, spec: str, code: int
) -> None:
    (folder / "busy.py").write_text(
        "import threading\nfrom hello import app\nthreading.Thread(target=threading.Event().wait).start()\n"
    )
    ended = run(folder, "check", *spec.split())
    assert ended.code == code, ended


@pytest.mark.parametrize("attribute", ["app", "instance"])
def test_an_asgi_application_is_told_what_kirsch_serves_and_what_helps(
    folder: Path, verb: str, attribute: str
) -> None:
    refused(run(folder, verb, f"asgi:{attribute}"), "ASGI", "WSGI", "a2wsgi")


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        ("wrong:plain", ["async function", "write it with def"]),
        ("wrong:pieces", ["async function", "write it with def"]),
        ("wrong:plain()", ["wrong:plain takes environ and start_response", "without the brackets"]),
        ("wrong:few", ["takes environ, so it is no WSGI application", "environ and start_response"]),
        ("wrong:keyword", ["takes environ, start_response, database, so"]),
        ("wrong:Wants", ["takes database, so", "name an object of this class"]),
        ("wrong:gives_class()", ["takes no arguments", "return the application itself"]),
    ],
)
def test_what_cannot_be_called_as_wsgi_calls_says_what_it_takes(
    folder: Path, verb: str, spec: str, texts: list[str]
) -> None:
    refused(run(folder, verb, spec), spec.removesuffix("()"), *texts)


def test_an_async_factory_is_no_factory_and_nobody_is_said_to_have_forgotten_it(
    folder: Path, verb: str
) -> None:
    (folder / "late.py").write_text("async def create_app():\n    return None\n")
    ended = run(folder, verb, "late:create_app()")
    refused(ended, "late:create_app() is a coroutine", "def in place of async def")
    assert "never awaited" not in ended.output


def test_a_decorator_that_shows_the_parameters_of_what_it_wraps_is_believed_to_take_its_own(
    folder: Path,
) -> None:
    assert run(folder, "check", "wrong:decorated").code == 0


def test_gevents_monkey_patching_is_refused(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "patched:app"), "gevent", "monkey")


def test_a_missing_django_settings_module_is_named(folder: Path, verb: str) -> None:
    """Django says it at import in its own words; ours say what to set."""
    ended = run(folder, verb, "mysite:application")
    assert ended.code in (1, 2), ended
    assert "DJANGO_SETTINGS_MODULE" in ended.output
    assert "panicked" not in ended.output
    assert ended.output.count("Traceback") <= 1


@pytest.mark.parametrize("how", ["serve", ""])
def test_a_port_in_use_is_named(folder: Path, how: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        words = [how] if how else []
        refused(run(folder, *words, "hello:app", "--bind", address), address, "in use")


def test_check_finds_a_port_in_use(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused(run(folder, "check", "hello:app", "--bind", address), address, "in use")


def test_a_port_below_1024_without_the_right_to_it_says_what_helps(folder: Path, verb: str) -> None:
    floor = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    port = str(floor - 1)
    assert floor > 1, "this machine gives every port to everybody: nothing can be refused"
    # Root without this capability may read everything, as nobody might not, and bind as little as nobody.
    under = ("setpriv", "--bounding-set", "-net_bind_service") if os.geteuid() == 0 else ()
    address = f"127.0.0.1:{port}"
    refused(
        run(folder, verb, "hello:app", "--bind", address, under=under),
        address,
        "CAP_NET_BIND_SERVICE",
        "1024",
    )


def test_an_address_of_another_machine_says_so(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "hello:app", "--bind", "192.0.2.1:8000"), "192.0.2.1:8000")


WITHOUT_ROOTS_RIGHTS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("nowhere/logs/file", ["the folder", "nowhere does not exist", "make it"]),
        ("hello.py/file", ["hello.py is not a folder"]),
        ("closed/file", ["may not write to", "closed"]),
    ],
)
@pytest.mark.parametrize("what", ["log", "socket"])
def test_a_path_where_nothing_can_be_made_says_why_and_which_setting_gave_it(
    folder: Path, verb: str, what: str, path: str, texts: list[str]
) -> None:
    (folder / "closed").mkdir(mode=0o555)
    under = WITHOUT_ROOTS_RIGHTS if os.geteuid() == 0 else ()
    bind = "127.0.0.1:0" if what == "log" else f"unix:{path}"
    words = ["hello:app", "--bind", bind, *(["--access-log-file", path] if what == "log" else [])]
    flag = "flag --access-log-file" if what == "log" else "flag --bind"
    refused(run(folder, verb, *words, under=under), flag, f"{folder}/{path}", *texts)


def test_an_access_log_that_is_a_folder_says_so(folder: Path, verb: str) -> None:
    refused(run(folder, verb, "hello:app", "--access-log-file", "."), "it is a folder", "path of a file")


def test_what_cannot_be_opened_names_the_variable_or_the_line_that_gave_it(folder: Path, verb: str) -> None:
    (folder / "kirsch.toml").write_text("# a comment\nbind = 'unix:nowhere/socket'\n")
    ended = run(folder, verb, "hello:app", environment={"KIRSCH_BIND": ""})
    refused(ended, "kirsch.toml:2: bind", "nowhere does not exist")
    environment = {"KIRSCH_BIND": "127.0.0.1:0", "KIRSCH_ACCESS_LOG_FILE": "nowhere/log"}
    refused(
        run(folder, verb, "hello:app", environment=environment),
        "variable KIRSCH_ACCESS_LOG_FILE",
        "nowhere/log",
    )


@pytest.mark.parametrize("descriptor", ["0", "977"])
def test_a_descriptor_that_is_no_listening_socket_says_where_its_number_comes_from(
    folder: Path, verb: str, descriptor: str
) -> None:
    ended = run(folder, verb, "hello:app", "--bind", f"fd://{descriptor}")
    refused(ended, f"descriptor {descriptor} ", "systemd", "fd://3")


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (["--threads", "many"], ["--threads", "many"]),
        (["--threads", "0"], ["--threads", "0"]),
        (["--timeout-head", "soon"], ["--timeout-head", "soon", "s"]),
        (["--limit-body", "1 potato"], ["--limit-body", "potato", "MiB"]),
        (["--bind", "127.0.0.1:99999"], ["--bind", "99999"]),
        (["--thread", "4"], ["--thread", "--threads"]),
        (["--chdir", "nowhere"], ["--chdir", "nowhere"]),
        (["--spool-dir", "nowhere"], ["--spool-dir", "nowhere"]),
        (["--config", "nowhere.toml"], ["nowhere.toml"]),
    ],
    ids=lambda words: " ".join(words),
)
def test_a_bad_flag_is_named_with_what_to_write(
    folder: Path, verb: str, words: list[str], texts: list[str]
) -> None:
    refused(run(folder, verb, "hello:app", *words), *texts)


@pytest.mark.parametrize(
    ("name", "value", "texts"),
    [
        ("KIRSCH_THREADS", "many", ["KIRSCH_THREADS", "many"]),
        ("KIRSCH_THREAD", "4", ["KIRSCH_THREAD", "KIRSCH_THREADS"]),
        ("PORT", "eighty", ["PORT", "eighty"]),
    ],
)
def test_a_bad_variable_is_named_with_what_to_write(
    folder: Path, verb: str, name: str, value: str, texts: list[str]
) -> None:
    refused(run(folder, verb, "hello:app", environment={name: value}), *texts)


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("# a comment\nthreads = 'many'\n", ["kirsch.toml:2", "threads"]),
        ("threads = 4\nchdir = 'nowhere'\n", ["kirsch.toml:2", "chdir"]),
        ("threads = 4\nthread = 4\n", ["kirsch.toml:2", "thread", "threads"]),
        ("threads = 4\n\nthreads = \n", ["kirsch.toml:3"]),
        ("[timeouts]\nhaed = '5s'\n", ["kirsch.toml:2", "head"]),
    ],
    ids=["value", "folder", "key", "syntax", "key in a table"],
)
def test_a_bad_line_of_a_file_is_named_with_its_number(
    folder: Path, verb: str, text: str, texts: list[str]
) -> None:
    (folder / "kirsch.toml").write_text(text)
    refused(run(folder, verb, "hello:app"), *texts)


def test_no_application_at_all_says_how_to_name_one(folder: Path, verb: str) -> None:
    refused(run(folder, verb), "module:")


def test_a_misspelt_verb_or_module_is_not_taken_for_success(folder: Path) -> None:
    refused(run(folder, "srve", "hello:app"), "srve")


@pytest.mark.parametrize("words", [["--help"], ["serve", "--help"], ["--version"]], ids=" ".join)
def test_help_and_version_are_a_success(folder: Path, words: list[str]) -> None:
    ended = run(folder, *words)
    assert ended.code == 0
    assert "kirsch" in ended.output.lower()
    assert "Traceback" not in ended.output
