"""Programs as people write them for cheroot, step by step: web.py's tutorial, WebDAV, and the command itself.

What each asks of the server is asked over a socket. `test_cheroot.py` has the classes that they stand on.
"""

from __future__ import annotations

import http.cookiejar
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cheroot import environment, without_cheroot
from support.client import Client
from support.ports import free_port
from support.script import SECONDS, Script, run
from support.server import APPS, clean_environment

PYTHONS = {"beside cheroot": environment, "without cheroot": without_cheroot}


# --- web.py's tutorial


HELLO = """
import web

urls = ("/(.*)", "Hello")
app = web.application(urls, globals())


class Hello:
    def GET(self, name):
        return "Hello, " + (name or "World") + "!"

    def POST(self, name):
        return "posted " + name


if __name__ == "__main__":
    app.run()
"""


def hello(folder: Path, **more: object) -> Script:
    """The first program of the tutorial."""
    (folder / "code.py").write_text(HELLO)
    port = free_port()
    # As it is typed: a port alone.
    return Script(folder, ["code.py", str(port)], port, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("which", PYTHONS)
def test_the_first_program_says_where_it_serves_answers_and_ends_by_ctrl_c(
    tmp_path: Path, which: str
) -> None:
    with hello(tmp_path, python=PYTHONS[which]()) as script:
        assert script.ask("/").read() == b"Hello, World!"
        assert script.ask("/you").read() == b"Hello, you!"
        assert script.ask("/you", b"").read() == b"posted you"
        with Client(("127.0.0.1", script.port)) as client:
            refused = client.request("/you", "PUT")
        assert (refused.status, refused.get("Allow")) == (405, "GET, POST")
        assert script.interrupt() == 0
    said = script.log.read_text()
    assert said.startswith(f"http://0.0.0.0:{script.port}/\n")
    assert "Traceback" not in said


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_page_ends_where_it_ends(tmp_path: Path, method: str) -> None:
    with hello(tmp_path) as script, Client(("127.0.0.1", script.port)) as client:
        for _ in range(3):
            assert client.request("/", method).body == (b"Hello, World!" if method == "GET" else b"")
        client.expect_open()


def test_ctrl_c_while_a_page_is_made_lets_it_end(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        "import web, pathlib, time\n"
        "class Slow:\n"
        "    def GET(self):\n"
        "        pathlib.Path('begun').touch()\n"
        "        while not pathlib.Path('go').exists():\n"
        "            time.sleep(0.01)\n"
        "        return 'slow'\n"
        "web.application(('/', 'Slow'), globals()).run()\n"
    )
    port = free_port()
    with Script(tmp_path, ["code.py", str(port)], port) as script, Client(("127.0.0.1", port)) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until((tmp_path / "begun").exists, script)
        script.process.send_signal(signal.SIGINT)
        # Nobody is let in any more.
        wait_until(lambda: not listens(port), script)
        (tmp_path / "go").touch()
        assert client.response().body == b"slow"
        assert script.process.wait(SECONDS) == 0


def listens(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        with Client(("127.0.0.1", port)):
            return True
    except ConnectionRefusedError:
        return False


def wait_until(fulfilled: object, script: Script) -> None:
    """Returns once something of another process is so, which nothing tells."""
    assert callable(fulfilled)
    deadline = time.monotonic() + SECONDS
    while not fulfilled():
        assert time.monotonic() < deadline, script.log.read_text()
        time.sleep(0.01)


class Browser:
    """A client that keeps its cookies and follows redirects."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def __call__(self, path: str, data: bytes | None = None) -> str:
        """A page, or its status if that tells of an error."""
        try:
            with self._opener.open(self.url + path, data, timeout=SECONDS) as answer:
                text: bytes = answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return str(refusal.code)
        return text.decode()


@pytest.fixture
def todo(tmp_path: Path) -> Iterator[Script]:
    """The program at the tutorial's end, in a folder of its own."""
    folder = tmp_path / "todo"
    shutil.copytree(APPS / "todo", folder, ignore=shutil.ignore_patterns("__pycache__"))
    port = free_port()
    with Script(folder, ["code.py", str(port)], port) as script:
        yield script


def test_a_template_shows_what_the_database_has(todo: Script) -> None:
    page = Browser(todo.port)
    assert "<li " not in page("/")
    # The answer to POST is a redirect, and behind it the list.
    assert '<li id="t1">bread &amp; bütter</li>' in page("/add", b"title=bread+%26+b%C3%BCtter")
    assert page("/add", b"title=milk").count("<li ") == 2
    assert page("/done/1", b"").count("<li ") == 1
    assert page("/done/x", b"") == "404"


def test_a_form_says_what_is_wrong_and_adds_nothing(todo: Script) -> None:
    page = Browser(todo.port)
    assert "Required" in page("/add", b"title=")
    assert "too long" in page("/add", b"title=" + b"x" * 200)
    assert "<li " not in page("/")


def test_a_session_keeps_an_object_of_the_script_s(todo: Script) -> None:
    page, other = Browser(todo.port), Browser(todo.port)
    assert page("/private") == "401"
    assert page("/login", b"name=Ada") == "for Ada"
    assert page("/private") == "for Ada"
    assert other("/private") == "401"
    assert page("/private", b"") == "forgotten"
    assert page("/private") == "401"


def test_a_cookie_comes_back(todo: Script) -> None:
    page = Browser(todo.port)
    assert [page(f"/cookie?flavour={name}") for name in ("plum", "cherry", "x")] == ["none", "plum", "cherry"]


def test_what_web_py_makes_of_an_address(todo: Script) -> None:
    page = Browser(todo.port)
    said = page("/where/caf%C3%A9/a%20b?many=2&many=1")
    assert said == f"café/a b /where/café/a b ?many=2&many=1 http://127.0.0.1:{todo.port} 1 2"


def test_other_answers_than_200(todo: Script) -> None:
    with Client(("127.0.0.1", todo.port)) as client:
        assert client.request("/gone").status == 410
        nothing = client.request("/gone", "DELETE")
        assert (nothing.status, nothing.body, nothing.all("transfer-encoding")) == (204, b"", [])
        sheet = client.request("/static/style.css")
        assert (sheet.body, sheet.get("Content-Type")) == (b"ul { color: green }\n", "text/css")
        assert client.request("/static/none.css").status == 404


def test_debug_mode_shows_where_the_mistake_is(todo: Script) -> None:
    with Client(("127.0.0.1", todo.port)) as client:
        answer = client.request("/broken")
    assert answer.status == 500
    assert b"ZeroDivisionError" in answer.body
    assert b"seldom_seen" in answer.body, "web.py's page has the source and the variables"


def test_debug_mode_takes_a_changed_file_at_the_next_request(todo: Script) -> None:
    page = Browser(todo.port)
    assert page("/login", b"name=Ada") == "for Ada"
    code = todo.folder / "code.py"
    code.write_text(code.read_text().replace('"for {', '"now for {'))
    # Whatever the clock of the file system tells apart.
    os.utime(code, (time.time() + 10, time.time() + 10))
    assert page("/private") == "now for Ada"
    index = todo.folder / "templates" / "index.html"
    index.write_text(index.read_text() + "<p>changed</p>\n")
    assert "<p>changed</p>" in page("/")


def test_a_mistake_in_a_changed_file_is_shown_and_mended(todo: Script) -> None:
    page = Browser(todo.port)
    code = todo.folder / "code.py"
    right = code.read_text()
    assert page("/cookie?flavour=x") == "none"
    code.write_text(right.replace("class Cookie:", "class Cookie("))
    os.utime(code, (time.time() + 10, time.time() + 10))
    with Client(("127.0.0.1", todo.port)) as client:
        broken = client.request("/cookie?flavour=x")
    code.write_text(right)
    os.utime(code, (time.time() + 20, time.time() + 20))
    assert page("/cookie?flavour=y") == "x"
    assert broken.status == 500


# --- Whoever starts a server of cheroot's


STARTERS = {
    "web.httpserver.runsimple": (
        "import sys, web\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [type(environ['wsgi.errors']).__module__.encode()]\n"
        "web.httpserver.runsimple(app, ('127.0.0.1', int(sys.argv[1])))\n"
    ),
    "bottle.run": (
        "import sys, bottle\n"
        "@bottle.route('/')\n"
        "def index():\n"
        "    return type(bottle.request.environ['wsgi.errors']).__module__\n"
        "bottle.run(server='cheroot', host='127.0.0.1', port=int(sys.argv[1]), quiet=True)\n"
    ),
    "cherrypy.quickstart": (
        "import sys, cherrypy\n"
        "class Root:\n"
        "    @cherrypy.expose\n"
        "    def index(self):\n"
        "        return type(cherrypy.request.wsgi_environ['wsgi.errors']).__module__\n"
        "cherrypy.config.update({'server.socket_port': int(sys.argv[1]), 'engine.autoreload.on': False})\n"
        "cherrypy.quickstart(Root())\n"
    ),
    "cherrypy.engine.start": (
        "import sys, cherrypy\n"
        "class Root:\n"
        "    @cherrypy.expose\n"
        "    def index(self):\n"
        "        return type(cherrypy.request.wsgi_environ['wsgi.errors']).__module__\n"
        "if __name__ == '__main__':\n"
        "    cherrypy.config.update({'server.socket_port': int(sys.argv[1])})\n"
        "    cherrypy.config.update({'engine.autoreload.on': False})\n"
        "    cherrypy.tree.mount(Root(), '/')\n"
        "    cherrypy.engine.signals.subscribe()\n"
        "    cherrypy.engine.start()\n"
        "    cherrypy.engine.block()\n"
    ),
    "cheroot.wsgi.Server": (
        "import sys\n"
        "from cheroot import wsgi\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [type(environ['wsgi.errors']).__module__.encode()]\n"
        "server = wsgi.Server(('127.0.0.1', int(sys.argv[1])), app)\n"
        "try:\n"
        "    server.start()\n"
        "except KeyboardInterrupt:\n"
        "    server.stop()\n"
    ),
}


@pytest.mark.parametrize("which", PYTHONS)
@pytest.mark.parametrize("starter", STARTERS)
def test_a_program_starts_kirsch_and_ends_by_ctrl_c(tmp_path: Path, starter: str, which: str) -> None:
    (tmp_path / "code.py").write_text(STARTERS[starter])
    port = free_port()
    with Script(tmp_path, ["code.py", str(port)], port, python=PYTHONS[which]()) as script:
        assert script.ask("/").read() == b"kirsch._errors"
        if starter.startswith("cherrypy"):
            # CherryPy takes a signal amiss that comes while it starts, though its server may be ready.
            script.wait_for_log("Bus STARTED")
        assert script.interrupt() == 0
    assert "Traceback" not in script.log.read_text()


@pytest.mark.parametrize("which", PYTHONS)
def test_web_py_s_hook_serves_and_refuses_to_lose_tls(tmp_path: Path, which: str) -> None:
    """With the hook alone, cheroot's own classes are still cheroot's."""
    recipe = (
        "from cheroot.server import HTTPServer\n"
        "from cheroot.ssl.builtin import BuiltinSSLAdapter\n"
        "HTTPServer.ssl_adapter = BuiltinSSLAdapter.__new__(BuiltinSSLAdapter)\n"
    )
    python = PYTHONS[which]()
    (tmp_path / "code.py").write_text("import kirsch.webpy\n" + HELLO)
    port = free_port()
    with Script(tmp_path, ["code.py", str(port)], port, (), python) as script:
        assert script.ask("/").read() == b"Hello, World!"
        assert script.interrupt() == 0
    (tmp_path / "tls.py").write_text("import kirsch.webpy\n" + recipe + HELLO)
    done = run(tmp_path, "tls.py", str(free_port()), way=(), python=python)
    assert done.returncode == 1
    expected = (
        "write `from kirsch.webpy import HTTPServer`" if which == "beside cheroot" else "ModuleNotFound"
    )
    assert expected in done.stderr


# --- The command


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder of small scripts, a package among them."""
    for name, text in {
        "raises.py": "def fail():\n    return 1 / 0\n\nfail()\n",
        "wrong.py": "def f(:\n",
        "leaves.py": "raise SystemExit('no configuration')\n",
        "hook.py": "import sys\nsys.excepthook = lambda *it: print('hook', it[0].__name__)\nraise KeyError\n",
        "package/__init__.py": "",
        "package/__main__.py": "import sys\nprint(__name__, __package__, sys.argv)\n",
        "package/fails.py": "import missing\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["none.py"], 2, "kirsch: there is no file none.py (looked in {folder})\n"),
        (["raises"], 2, "kirsch: there is no file raises; kirsch run raises.py runs the one that is there\n"),
        (
            ["code:app"],
            2,
            "kirsch: there is no file code:app (looked in {folder}); `kirsch code:app` serves an "
            "application, `kirsch run` runs a script\n",
        ),
        (["."], 2, "kirsch: there is no __main__.py in .\n"),
        (["-m", "none"], 2, "kirsch: there is no module none (looked in {folder} and among packages)\n"),
        (
            ["-m", "package.none"],
            2,
            "kirsch: there is no module package.none (looked in {folder} and among packages)\n",
        ),
        (["-m", ".x"], 2, "kirsch: a module's whole name is needed, not .x\n"),
        (["-m", "sys"], 2, "kirsch: sys is no module of Python's that can be run\n"),
        (["leaves.py"], 1, "no configuration\n"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(scripts: Path, words: list[str], code: int, said: str) -> None:
    done = run(scripts, *words)
    assert (done.returncode, done.stderr) == (code, said.format(folder=scripts))


@pytest.mark.parametrize("name", ["raises.py", "wrong.py", "-m package.fails"])
def test_what_a_script_raises_is_told_as_python_tells_it(scripts: Path, name: str) -> None:
    python = subprocess.run(
        [str(environment()), *name.split()],
        cwd=scripts,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    # Of a module Python's own has two lines of `runpy` more.
    expected = re.sub(r'  File "<frozen runpy>".*\n', "", python.stderr)
    done = run(scripts, *name.split())
    assert (done.returncode, done.stderr) == (python.returncode, expected)
    assert done.stderr.endswith(("division by zero\n", "invalid syntax\n", "No module named 'missing'\n"))


def test_a_hook_of_the_script_s_hears_what_it_raises(scripts: Path) -> None:
    done = run(scripts, "hook.py")
    assert (done.returncode, done.stdout, done.stderr) == (1, "hook KeyError\n", "")


def test_a_package_runs_by_its_main(scripts: Path) -> None:
    main = scripts / "package" / "__main__.py"
    assert run(scripts, "-m", "package", "a").stdout == f"__main__ package ['{main}', 'a']\n"
    assert run(scripts, "package", "a").stdout == "__main__  ['package', 'a']\n"


def test_a_script_stays_main_for_what_it_leaves_to_threads(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        "import pickle, sys, threading\n"
        "class Kept: pass\n"
        "def later():\n"
        "    threading.main_thread().join()\n"
        "    print(type(pickle.loads(pickle.dumps(Kept()))), __file__ == sys.modules['__main__'].__file__)\n"
        "threading.Thread(target=later).start()\n"
    )
    assert run(tmp_path, "code.py").stdout == "<class '__main__.Kept'> True\n"


@pytest.mark.parametrize("which", PYTHONS)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_find_kirsch(tmp_path: Path, which: str, method: str) -> None:
    (tmp_path / "code.py").write_text(
        "import multiprocessing, sys\n"
        "def found(_):\n"
        "    import cheroot.wsgi\n"
        "    return cheroot.wsgi.__name__\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:\n"
        "        print(pool.map(found, [0]))\n"
    )
    done = run(tmp_path, "code.py", method, python=PYTHONS[which]())
    assert done.stdout == "['kirsch.cheroot.wsgi']\n", done.stderr


@pytest.mark.parametrize("which", PYTHONS)
def test_cheroot_s_own_command_is_kirsch(tmp_path: Path, which: str) -> None:
    (tmp_path / "app.py").write_text(
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [environ['wsgi.errors'].__class__.__module__.encode()]\n"
    )
    port = free_port()
    words = ["-m", "cheroot", "app", "--bind", f"127.0.0.1:{port}"]
    with Script(tmp_path, words, port, python=PYTHONS[which]()) as script:
        assert script.ask("/").read() == b"kirsch._errors"
        assert script.interrupt() == 130


def test_ctrl_c_in_a_script_that_serves_nothing_ends_it_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("import time\nprint('go', flush=True)\ntime.sleep(60)\n")
    with subprocess.Popen(
        [str(environment()), "-m", "kirsch", "run", "code.py"],
        cwd=tmp_path,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        process.send_signal(signal.SIGINT)
        assert (process.communicate(timeout=SECONDS)[0], process.returncode) == ("", 130)


@pytest.mark.parametrize("which", PYTHONS)
def test_a_test_session_finds_kirsch(tmp_path: Path, which: str) -> None:
    """`install_as_cheroot` at the top of a conftest, and again in a test of the session."""
    (tmp_path / "conftest.py").write_text("import kirsch\n\nkirsch.install_as_cheroot()\n")
    (tmp_path / "test_live.py").write_text(
        "import urllib.request\n"
        "import kirsch\n"
        "from cheroot import wsgi\n"
        "from cheroot.test import webtest\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [b'live']\n"
        "def test_live():\n"
        "    kirsch.install_as_cheroot()\n"
        "    server = wsgi.Server(('127.0.0.1', 0), app)\n"
        "    with server._run_in_thread():\n"
        "        url = 'http://%s:%s/' % server.bind_addr\n"
        "        assert urllib.request.urlopen(url).read() == b'live'\n"
        "    assert wsgi.Server.__module__ == 'kirsch.cheroot.wsgi'\n"
    )
    words = [str(PYTHONS[which]()), "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [*words, str(tmp_path)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout


# --- WebDAV


def litmus(folder: Path, way: tuple[str, ...], tests: str) -> str:
    """What litmus says of WsgiDAV's server over a folder, without what differs from run to run."""
    (folder / "root").mkdir(parents=True)
    (folder / "dav.yaml").write_text(
        "server: cheroot\n"
        "property_manager: true\n"
        "lock_storage: true\n"
        "http_authenticator: {domain_controller: null}\n"
        "simple_dc: {user_mapping: {'*': true}}\n"
        "provider_mapping: {'/': root}\n"
    )
    port = free_port()
    words = ["-m", "wsgidav.server.server_cli", "--host=127.0.0.1", f"--port={port}", "--config=dav.yaml"]
    with Script(folder, words, port, way) as script:
        done = subprocess.run(
            ["litmus", "-k", f"http://127.0.0.1:{port}/"],
            cwd=folder,
            env={**os.environ, "TESTS": tests},
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        assert script.interrupt(signal.SIGTERM) in (0, -signal.SIGTERM)
    said = re.sub(rb"^.*\r", b"", done.stdout, flags=re.MULTILINE).decode("ascii", "replace")
    return said.replace(str(port), "PORT")


@pytest.mark.parametrize(("tests", "passed"), [("basic", 16), ("copymove", 13), ("props", 30), ("http", 4)])
def test_litmus_passes(tmp_path: Path, tests: str, passed: int) -> None:
    said = litmus(tmp_path, ("-m", "kirsch", "run"), tests)
    assert f"of {passed} tests run: {passed} passed, 0 failed" in said, said


def test_litmus_finds_locks_as_over_cheroot(tmp_path: Path) -> None:
    """Litmus does not understand WsgiDAV's locks; what it then says must be the same of both servers."""
    verdicts = [
        re.findall(r"^ *\d+\. (\w+)\.* (\w+)", litmus(tmp_path / name, way, "locks"), re.MULTILINE)
        for name, way in (("cheroot", ()), ("kirsch", ("-m", "kirsch", "run")))
    ]
    assert verdicts[0] == verdicts[1]
    assert [verdict for _, verdict in verdicts[1]].count("pass") == 9
