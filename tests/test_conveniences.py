"""Kirsch where frameworks and test runners have their own places: Django's commands, pytest's fixtures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

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


def manage(project: Path, *words: str) -> subprocess.Popen[str]:
    """A command of the project's."""
    environment = {**clean_environment(), "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(project)}
    return subprocess.Popen(
        [sys.executable, "-m", "django", *words],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_django_s_command_serves_the_project_and_its_static_files(project: Path) -> None:
    with manage(project, "runkirsch", "0", "--threads", "2") as process:
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


def test_django_s_command_says_what_is_wrong(project: Path) -> None:
    with manage(project, "runkirsch", "nowhere:x") as process:
        said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "CommandError: " in said
    assert "Traceback" not in said


def test_the_fixture_serves_until_the_test_ends(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["kirsch.pytest_plugin"]\n')
    (tmp_path / "test_live.py").write_text(
        "import threading, urllib.request\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [environ['PATH_INFO'].encode()]\n"
        "def test_live(kirsch_server):\n"
        "    for server in kirsch_server(app), kirsch_server(app, threads=1):\n"
        "        assert urllib.request.urlopen(server.urls[0] + '/x').read() == b'/x'\n"
        "def test_it_has_ended():\n"
        "    assert not [it.name for it in threading.enumerate() if it.name.startswith('kirsch-')]\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout
