"""A server for a test: the installed `kirsch` command as a process, or `kirsch.Server` inside this one.

The command is `kirsch` of the interpreter that runs the tests. The environment variable
`KIRSCH_TEST_COMMAND` replaces it, to run the same tests against another server. In its value
`{app}` stands for the application, `{threads}` for the number of threads and `{python}` for the interpreter:

    KIRSCH_TEST_COMMAND="{python} -m gunicorn -k gthread --threads {threads} -b 127.0.0.1:0 {app}"

Another server takes no flags of ours; they are left out then.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from .client import Client, DeadlineMissed, Secure

START_SECONDS = 30.0
STOP_SECONDS = 30.0
APPS = Path(__file__).resolve().parent.parent / "apps"
# How a line of the error log begins.
LOGGED = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
ADDRESS_IN_LOG = re.compile(r"https?://(\[[0-9a-f:]+\]|[^\s:/\[\]]+):(\d+)")
# The line that `wsgiref.validate` raises in, and no other does, and what it says of a forgotten close.
VALIDATOR_COMPLAINTS = ("raise AssertionError(*args)", "garbage collected without being closed")
REPLACEMENT = os.environ.get("KIRSCH_TEST_COMMAND")


def kirsch() -> list[str]:
    """The `kirsch` command that is installed beside this interpreter."""
    return [str(Path(sys.executable).parent / "kirsch")]


def command(app: str, flags: Iterable[str], threads: int, bind: str) -> list[str]:
    """The words that start a server for an application."""
    if REPLACEMENT:
        values = {"app": app, "threads": str(threads), "python": sys.executable}
        return [word.format(**values) for word in shlex.split(REPLACEMENT)]
    return [*kirsch(), app, "--bind", bind, "--threads", str(threads), *flags]


def clean_environment() -> dict[str, str]:
    """This process's environment without what would configure a server."""
    settings = ("PORT", "WEB_CONCURRENCY")
    return {key: value for key, value in os.environ.items() if key not in settings and key[:7] != "KIRSCH_"}


class ServerProcess:
    """A server as a process of its own. Use it as a context manager.

    Leaving the block sends SIGTERM, and the exit code must be 0. A test that stops it by itself asks for the
    code by `wait()`.

    Args:
        app: The application as on the command line, `module:attribute`.
        flags: Further flags of the `kirsch` command.
        threads: Threads that run the application.
        environment: Environment variables on top of this process's own.
        folder: Where it starts, and so where the module is looked for.
        bind: Where it listens.
        address: Where it will be reached, if its log cannot be asked.
        words: The whole command, where the test is about the command itself.
        options: More for `subprocess.Popen`.
    """

    def __init__(
        self,
        app: str,
        *flags: str,
        threads: int = 4,
        environment: Mapping[str, str] | None = None,
        folder: Path = APPS,
        bind: str = "127.0.0.1:0",
        address: tuple[str, int] | None = None,
        words: list[str] | None = None,
        **options: Any,
    ) -> None:
        self.words = words or command(app, flags, threads, bind)
        # Without a buffer in the way, what an application prints is in the log when its response is there.
        variables = {**clean_environment(), "PYTHONUNBUFFERED": "1", **(environment or {})}
        self.process = subprocess.Popen(
            self.words,
            cwd=folder,
            env=variables,
            bufsize=0,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options},
        )
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, name="server log", daemon=True)
        self._reader.start()
        self.address = address or self._wait_for_address()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stopped_by_test = self.process.poll() is not None
        if not stopped_by_test:
            self.process.terminate()
        try:
            code = self.wait()
        except DeadlineMissed:
            self.process.kill()
            self.process.wait()
            raise
        if kind is None and not REPLACEMENT:
            assert stopped_by_test or code == 0, f"exit code {code} after SIGTERM\n{self.log}"
            assert "panicked" not in self.log, self.log

    @property
    def url(self) -> str:
        """The root of the server's URLs, without a slash at its end."""
        return "http://{}:{}".format(*self.address)

    @property
    def log(self) -> str:
        """Everything the server has written so far."""
        with self._changed:
            return "".join(self._lines)

    def expect_valid(self) -> None:
        """The validator must have found nothing."""
        assert [complaint for complaint in VALIDATOR_COMPLAINTS if complaint in self.log] == [], self.log

    def secure(self, context: ssl.SSLContext, name: str = "localhost") -> Secure:
        """Its address, for clients that speak TLS."""
        return Secure(*self.address, context, name)

    def client(self, **options: Any) -> Client:
        """A new connection to the server."""
        return Client(self.address, **options)

    def wait_for_log(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """Wait until the log matches a pattern.

        Raises:
            DeadlineMissed: It did not in time, or the process ended without.
        """
        match: re.Match[str] | None = None

        def found() -> bool:
            nonlocal match
            match = re.search(pattern, "".join(self._lines))
            return match is not None or self._ended

        with self._changed:
            self._changed.wait_for(found, seconds)
        if match is None:
            raise DeadlineMissed(
                f"the log never matched {pattern!r}; {shlex.join(self.words)} wrote:\n{self.log}"
            )
        return match

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for the process to end, with all it had to say, and return its exit code."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise DeadlineMissed(f"the server did not end in {seconds} s\n{self.log}") from error
        self._reader.join(seconds)
        return code

    def _read(self) -> None:
        if self.process.stdout is not None:
            with self.process.stdout as stream:
                for line in stream:
                    with self._changed:
                        self._lines.append(line.decode("utf-8", "backslashreplace"))
                        self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _wait_for_address(self) -> tuple[str, int]:
        try:
            match = self.wait_for_log(ADDRESS_IN_LOG.pattern)
        except DeadlineMissed:
            self.process.kill()
            self.process.wait()
            raise
        return match[1].strip("[]"), int(match[2])


@contextmanager
def in_process(app: Callable[..., Any], *, threads: int = 4, **options: Any) -> Iterator[tuple[str, int]]:
    """`kirsch.Server` inside this process, on a free port; its address is the value of the block."""
    import kirsch

    with kirsch.Server(app, bind="127.0.0.1:0", threads=threads, **options) as server:
        address = server.addresses[0]
        assert not isinstance(address, str)
        yield address
