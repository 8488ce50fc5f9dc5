"""Puts Kirsch where Werkzeug's tests start their own server: the `conftest.py` beside `test_serving.py`.

Werkzeug's own starts `live_apps/run.py`; this one serves the applications of `live_apps` with the `kirsch`
command. What became of each test is written as JSON to the file that the variable `SUITE_OUTCOMES` names.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.server import ServerProcess

APPLICATIONS = Path(__file__).resolve().parent / "live_apps"
DEADLINE_SECONDS = 30.0

outcomes: dict[str, str] = {}


class UnixConnection(http.client.HTTPConnection):
    """A connection to a unix socket."""

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.host)


class Client:
    """What Werkzeug's tests ask of a server that was started for them."""

    def __init__(self, server: ServerProcess, addr: str) -> None:
        self.server = server
        self.addr = addr
        self.url = f"http://{addr}"

    def connect(self, **options: Any) -> http.client.HTTPConnection:
        """A connection of its own."""
        kind = UnixConnection if self.addr.startswith("/") else http.client.HTTPConnection
        return kind(self.addr, timeout=DEADLINE_SECONDS, **options)

    def request(self, path: str = "", **options: Any) -> Any:
        """The answer to one request, with its body as `data` and, if it is JSON, as `json`."""
        connection = self.connect()
        if self.addr.startswith("/"):
            # A path is no host, which http.client does not know.
            options["headers"] = {"Host": "localhost", **options.get("headers", {})}
        connection.request(**{"method": "GET", "url": path, **options})
        response: Any = connection.getresponse()
        with response:
            response.data = response.read()
        connection.close()
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        response.json = json.loads(response.data) if is_json else None
        return response

    def read_log(self) -> str:
        """What the server has written so far."""
        return self.server.log


@pytest.fixture
def dev_server() -> Iterator[Callable[..., Client]]:
    """Starts servers; they end with the test."""
    with ExitStack() as stack:

        def start(
            name: str = "standard", hostname: str = "", threaded: bool = True, **options: Any
        ) -> Client:
            # Whether the development server has threads; Kirsch always has.
            del threaded
            if options:
                raise NotImplementedError(f"Kirsch has no {', '.join(options)}")
            app, path = f"{name}_app:app", hostname.removeprefix("unix://")
            if not path:
                server = stack.enter_context(ServerProcess(app, folder=APPLICATIONS))
                return Client(server, "{}:{}".format(*server.address))
            unix = ServerProcess(app, folder=APPLICATIONS, bind=f"unix:{path}", address=("unix", 0))
            stack.enter_context(unix)
            unix.wait_for_log("serves")
            return Client(unix, path)

        yield start


@pytest.fixture
def standard_app(dev_server: Callable[..., Client]) -> Client:
    """The application most tests use."""
    return dev_server()


def pytest_configure(config: pytest.Config) -> None:
    """Werkzeug's mark for tests that start a server."""
    config.addinivalue_line("markers", "dev_server: starts a server")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what became of a test: nothing if it passed, otherwise the last line of what was wrong."""
    name = report.nodeid.partition("::")[2]
    if report.passed:
        outcomes.setdefault(name, "")
    else:
        outcomes[name] = report.longreprtext.strip().splitlines()[-1]


def pytest_sessionfinish() -> None:
    """Tell."""
    Path(os.environ["SUITE_OUTCOMES"]).write_text(json.dumps(outcomes), "utf-8")
