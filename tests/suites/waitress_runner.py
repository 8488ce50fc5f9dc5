"""Runs waitress's functional tests with Kirsch as the server: `python waitress_runner.py`, in their folder.

Standard input is a JSON list of the tests that are expected to fail; standard output becomes a JSON object:
of every test whether it `passed`, `why` not, and which adaptations it `needed` (`waitress.json` says what
these are, and why). It is a program of its own because the suite forks a process for every server.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing.queues
import re
import signal
import socket
import sys
import tempfile
import threading
import unittest
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import kirsch

# Nothing in the suite waits with a deadline. What is expected to fail may do so by waiting for ever.
DEADLINE_SECONDS = 30.0
FAILING_SECONDS = 1.0

#: What the adaptations of the running test were.
needed: set[str] = set()


class KirschTcp:
    """Stands where the suite's server stood: takes an application and settings, and tells its address."""

    family = socket.AF_INET
    everybody = "0.0.0.0/0"

    def __init__(self, application: Callable[..., Any], queue: Any, **adjustments: Any) -> None:
        self.queue = queue
        # The suite looks for waitress's name, and for no fields that it does not know.
        self.server = kirsch.Server(
            application,
            bind=self.bind(),
            threads=4,
            server_name="waitress",
            request_id=False,
            **settings(adjustments),
            # The suite says for many of its tests that it trusts everybody.
            trust_proxy=self.everybody if "trusted_proxy" in adjustments else (),
        )

    def bind(self) -> str:
        """Where to listen."""
        return "127.0.0.1:0"

    def run(self) -> None:
        """Serve until the suite ends this process."""
        self.server.start()
        self.queue.put(self.server.addresses[0])
        signal.pause()


class KirschUnix(KirschTcp):
    """The same on a unix socket, which the suite removes."""

    family = socket.AF_UNIX
    everybody = "unix"

    def bind(self) -> str:
        """Where to listen."""
        return f"unix:{tempfile.mkdtemp(prefix='kirsch-')}/socket"


class AdaptedSocket(socket.socket):
    """Adds the Host that HTTP/1.1 demands where there is none, and leaves out a port nobody shall believe."""

    def send(self, data: Any, flags: int = 0) -> int:
        """Send a request, and say that the suite's own bytes were sent."""
        whole = re.sub(rb" HTTP/1\.1\r\n(?![Hh]ost:)", b" HTTP/1.1\r\nHost: a.test\r\n", bytes(data))
        if whole != data:
            needed.add("host")
        if b"\r\nX-Forwarded-Port:" in whole:
            whole = re.sub(rb"\r\nX-Forwarded-Port:[^\r]*", b"", whole)
            needed.add("forwarded_port")
        self.sendall(whole, flags)
        return len(data)


def settings(adjustments: dict[str, Any]) -> dict[str, Any]:
    """Kirsch's settings for waitress's. A test that needs one without an equal fails, and is listed."""
    names = {"max_request_header_size": "limit_head", "max_request_body_size": "limit_body"}
    known = {names[name]: value for name, value in adjustments.items() if name in names}
    if "limit_head" in known:
        # The least that Kirsch takes.
        known["limit_head"] = max(known["limit_head"], 1024)
    return known


def adapt(suite: Any) -> None:
    """Puts Kirsch, and what the suite's requests lack, in place."""
    suite.TcpTests.server = KirschTcp
    suite.UnixTests.server = KirschUnix

    def create_socket(self: Any) -> socket.socket:
        return AdaptedSocket(self.server.family, socket.SOCK_STREAM)

    def assertline(self: Any, line: bytes, status: str, reason: str, version: str) -> None:
        if version == "HTTP/1.0" and line.startswith(b"HTTP/1.1 "):
            needed.add("version")
            version = "HTTP/1.1"
        as_it_was(self, line, status, reason, version)

    as_it_was = suite.SubprocessTests.assertline
    suite.SubprocessTests.create_socket = create_socket
    suite.SubprocessTests.assertline = assertline

    be_patient()
    echo: Any = importlib.import_module("tests.fixtureapps.echo")
    echo_as_it_was = echo.app

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ.setdefault("REMOTE_HOST", environ["REMOTE_ADDR"])
        answer: Iterable[bytes] = echo_as_it_was(environ, start_response)
        return answer

    def start_subprocess(self: Any, target: Any, **adjustments: Any) -> None:
        if target is app:
            needed.add("remote_host")
        start_as_it_was(self, target, **adjustments)

    echo.app = app
    start_as_it_was = suite.SubprocessTests.start_subprocess
    suite.SubprocessTests.start_subprocess = start_subprocess


def be_patient() -> None:
    """Takes the clock out of what the suite expects: a loaded machine is no fault of the server."""
    get_as_it_was = multiprocessing.queues.Queue.get

    def get(self: Any, block: bool = True, timeout: float | None = None) -> Any:
        # The suite gives a server five seconds to start.
        return get_as_it_was(self, block, timeout and DEADLINE_SECONDS)

    multiprocessing.queues.Queue.get = get  # type: ignore[method-assign]

    sleepy: Any = importlib.import_module("tests.fixtureapps.sleepy")
    sleepy_as_it_was = sleepy.app
    other = threading.Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # The two seconds begin when the other request is there, so that its client has them for itself.
        if environ["PATH_INFO"] == "/sleepy":
            other.wait(DEADLINE_SECONDS)
        else:
            other.set()
        answer: Iterable[bytes] = sleepy_as_it_was(environ, start_response)
        return answer

    sleepy.app = app


def tests(suite: unittest.TestSuite | unittest.TestCase) -> Iterator[unittest.TestCase]:
    """Every single test."""
    if isinstance(suite, unittest.TestCase):
        yield suite
    else:
        for part in suite:
            yield from tests(part)


def main() -> None:
    """Run them all."""
    expected = set(json.load(sys.stdin))
    suite = importlib.import_module("tests.test_functional")
    adapt(suite)
    outcomes = {}
    for test in tests(unittest.defaultTestLoader.loadTestsFromModule(suite)):
        name = test.id().rpartition("test_functional.")[2]
        socket.setdefaulttimeout(FAILING_SECONDS if name in expected else DEADLINE_SECONDS)
        needed.clear()
        result = unittest.TestResult()
        test.run(result)
        reports = [report for _, report in [*result.errors, *result.failures]]
        why = [report.strip().splitlines()[-1] for report in reports] + [why for _, why in result.skipped]
        outcomes[name] = {"passed": not why, "why": "; ".join(why), "needed": sorted(needed)}
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    # The suite's own folder, from which it imports its applications and, for its helpers, waitress.
    sys.path[:0] = [str(Path.cwd()), str(Path.cwd() / "src")]
    # The servers are killed by the suite, and so leave the folders of their sockets behind.
    with tempfile.TemporaryDirectory(prefix="kirsch-") as folder:
        tempfile.tempdir = folder
        main()
