"""Kirsch where frameworks and test runners have their own places: Django's commands, pytest's fixtures."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.server import ADDRESS_IN_LOG, clean_environment

SECONDS = 30.0

SETTINGS = """
DEBUG = True
SECRET_KEY = "x"
ROOT_URLCONF = "urls"
STATIC_URL = "/static/"
STATICFILES_DIRS = ["assets"]
INSTALLED_APPS = ["django.contrib.staticfiles", "kirsch.django"]
"""

URLS = """
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("index"))]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of Django's with a static file."""
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "urls.py").write_text(URLS)
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "style.css").write_text("body {}\n")
    return tmp_path


def manage(project: Path, *words: str, **options: Any) -> subprocess.Popen[str]:
    """A command of the project's."""
    environment = {**clean_environment(), "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(project)}
    return subprocess.Popen(
        [sys.executable, "-m", "django", *words],
        cwd=project,
        env=environment,
        stderr=subprocess.STDOUT,
        text=True,
        **{"stdout": subprocess.PIPE, **options},
    )


def test_django_s_command_serves_the_project_and_its_static_files(project: Path) -> None:
    with manage(project, "runkirsch", "--noreload", "0", "--threads", "2") as process:
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if "serves" in line)
            assert "with 2 threads" in line
            found = ADDRESS_IN_LOG.search(line)
            assert found is not None
            for path, content in (("/", b"index"), ("/static/style.css", b"body {}\n")):
                with urllib.request.urlopen(found[0] + path, timeout=SECONDS) as answer:
                    assert answer.read() == content
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("words", "settings", "status"),
    [
        ([], "DEBUG = True", 200),
        (["--nostatic"], "DEBUG = True", 404),
        ([], "DEBUG = False; ALLOWED_HOSTS = ['*']", 404),
        (["--insecure"], "DEBUG = False; ALLOWED_HOSTS = ['*']", 200),
        ([], "INSTALLED_APPS.remove('django.contrib.staticfiles')", 404),
    ],
)
def test_django_s_static_files_are_served_when_runserver_would(
    project: Path, words: list[str], settings: str, status: int
) -> None:
    (project / "settings.py").write_text(SETTINGS + settings)
    with served(project, *words, "127.0.0.1:0") as url:
        try:
            with urllib.request.urlopen(f"{url}/static/style.css", timeout=SECONDS) as answer:
                found = answer.status
        except urllib.error.HTTPError as refusal:
            with refusal:
                found = refusal.code
    assert found == status


@pytest.mark.parametrize("bind", ["0", "127.0.0.1:0", "localhost:0", "0:0", "0.0.0.0:0", "[::1]:0", "[::]:0"])
def test_django_s_command_takes_addresses_as_runserver_does(project: Path, bind: str) -> None:
    with served(project, bind) as url:
        place = url.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
        with urllib.request.urlopen(f"{place}/", timeout=SECONDS) as answer:
            assert answer.read() == b"index"


def test_django_s_command_shows_each_request_unless_told_to_be_quiet(project: Path) -> None:
    for words, shown in (["0"], True), (["-v", "0", "0"], False):
        said: list[str] = []
        with served(project, *words, said=said) as url:
            urllib.request.urlopen(f"{url}/", timeout=SECONDS).close()
        assert ('"GET / HTTP/1.1" 200' in "".join(said)) == shown


def test_django_s_command_starts_anew_when_a_file_has_changed(project: Path) -> None:
    log = project / "log.txt"
    with (
        log.open("w") as output,
        manage(project, "runkirsch", "0", stdout=output, start_new_session=True) as it,
    ):
        try:
            wait_until_served(log, b"index")
            urls = project / "urls.py"
            urls.write_text(URLS.replace('"index"', '"changed"'))
            # Until Django has looked at the files once, it does not see that one changes.
            wait_until_served(
                log, b"changed", lambda number: os.utime(urls, (time.time() + 60 * number,) * 2)
            )
            # As a terminal does it.
            os.killpg(it.pid, signal.SIGINT)
            assert it.wait(SECONDS) == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(it.pid, signal.SIGKILL)


def wait_until_served(
    log: Path, content: bytes, again: Callable[[int], object] = lambda number: None
) -> None:
    """Returns once the server that has told of itself last answers this; now and then it is tried again."""
    deadline = time.monotonic() + 4 * SECONDS
    for number in itertools.count():
        assert time.monotonic() < deadline, log.read_text()
        if number % 250 == 0:
            again(number)
        with contextlib.suppress(IndexError, OSError):
            address = [found[0] for found in ADDRESS_IN_LOG.finditer(log.read_text())][-1]
            with urllib.request.urlopen(address, timeout=SECONDS) as answer:
                if answer.read() == content:
                    return
        time.sleep(0.02)


@contextlib.contextmanager
def served(project: Path, *words: str, said: list[str] | None = None) -> Iterator[str]:
    """The URL of what is served, until it is ended by Ctrl-C, and then what it has said."""
    with manage(project, "runkirsch", "--noreload", *words) as process:
        try:
            assert process.stdout is not None
            line = next((line for line in process.stdout if "serves" in line), "")
            found = ADDRESS_IN_LOG.search(line)
            assert found is not None, line
            yield found[0]
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            assert process.wait(SECONDS) == 0
            if said is not None:
                said += [line, rest]
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere:x"], '"x" in "nowhere:x" is not a port'),
        (["127.0.0.1"], '"127.0.0.1" has no port; write 127.0.0.1:8000'),
        (["80000"], '"80000" in "127.0.0.1:80000" is not a port'),
        (["::1:8000"], "write an IPv6 address in brackets"),
        (["--threads", "0", "0"], "argument threads: 0 is not a whole number from 1 to 4096"),
    ],
)
def test_django_s_command_says_what_is_wrong(project: Path, words: list[str], said: str) -> None:
    with manage(project, "runkirsch", "--noreload", *words) as process:
        told, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert told.startswith("CommandError: ")
    assert said in told
    assert "Traceback" not in told


def test_django_s_command_names_who_has_its_port(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        # Nor does it wait there for a file to change.
        with manage(project, "runkirsch", str(port)) as process:
            told, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: the port is in use by process {os.getpid()}" in told
    assert told.endswith("stop it or choose another\n"), "there is no --bind here"


def told_of_tests(folder: Path, text: str) -> str:
    """What pytest says of a file of tests that use the fixtures."""
    (folder / "conftest.py").write_text('pytest_plugins = ["kirsch.pytest_plugin"]\n')
    (folder / "test_live.py").write_text(
        "import ssl, threading, urllib.error, urllib.request\n"
        "import kirsch, pytest\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [environ['wsgi.url_scheme'].encode(), environ['PATH_INFO'].encode()]\n"
        "def get(server, path, **more):\n"
        "    with urllib.request.urlopen(server.urls[0] + path, **more) as answer:\n"
        "        return answer.read()\n" + text
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(folder), str(folder)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.stdout


def test_the_fixture_serves_until_the_test_ends(tmp_path: Path) -> None:
    said = told_of_tests(
        tmp_path,
        "def test_live(kirsch_server):\n"
        "    for server in kirsch_server(app), kirsch_server(app, threads=1):\n"
        "        assert get(server, '/x') == b'http/x'\n"
        "def test_it_has_ended():\n"
        "    assert not [it.name for it in threading.enumerate() if it.name.startswith('kirsch-')]\n",
    )
    assert "2 passed" in said, said


def test_the_fixture_serves_https_and_several_applications(tmp_path: Path) -> None:
    said = told_of_tests(
        tmp_path,
        "def other(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [b'other']\n"
        "def test_https(kirsch_server):\n"
        "    server = kirsch_server(app, tls_self_signed=True)\n"
        "    assert get(server, '/x', context=ssl._create_unverified_context()) == b'https/x'\n"
        "def test_routes(kirsch_server):\n"
        "    server = kirsch_server(app, routes=[kirsch.Route(path='/other', app=other)])\n"
        "    assert (get(server, '/'), get(server, '/other')) == (b'http/', b'other')\n",
    )
    assert "2 passed" in said, said


def test_the_factory_serves_a_whole_module(tmp_path: Path) -> None:
    said = told_of_tests(
        tmp_path,
        "@pytest.fixture(scope='module')\n"
        "def live(kirsch_server_factory):\n"
        "    return kirsch_server_factory(app)\n"
        "seen = set()\n"
        "@pytest.mark.parametrize('path', ['/a', '/b'])\n"
        "def test_live(live, path):\n"
        "    seen.add(live.urls[0])\n"
        "    assert get(live, path) == b'http' + path.encode()\n"
        "    assert len(seen) == 1\n",
    )
    assert "2 passed" in said, said


def test_what_an_application_raises_is_among_what_a_failed_test_shows(tmp_path: Path) -> None:
    said = told_of_tests(
        tmp_path,
        "def broken(environ, start_response):\n"
        "    raise LookupError('in the application')\n"
        "def test_it(kirsch_server):\n"
        "    with pytest.raises(urllib.error.HTTPError) as refused:\n"
        "        get(kirsch_server(broken), '/')\n"
        "    refused.value.close()\n"
        "    assert refused.value.code == 200\n",
    )
    assert "1 failed" in said, said
    assert "LookupError: in the application" in said.partition("Captured log call")[2], said
