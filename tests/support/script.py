"""A program that starts a server itself, as a process: as Kirsch's command runs it, or Python."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
import urllib.request
import urllib.response
from collections.abc import Mapping
from pathlib import Path

from support.cheroot import SECONDS, environment
from support.server import clean_environment

#: What of the interpreter's arguments comes before a script's name.
KIRSCH_RUN = ("-m", "kirsch", "run")


def run(
    folder: Path, *words: str, way: tuple[str, ...] = KIRSCH_RUN, python: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """What a script says that serves nothing, or not for long, once it has ended."""
    return subprocess.run(
        [str(python or environment()), *way, *words],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


class Script:
    """A script under `kirsch run`. Use it as a context manager: inside, it serves.

    Args:
        folder: Where it runs.
        words: The script and its arguments.
        port: Where it is going to listen.
        way: What of the interpreter's arguments comes before.
        python: The interpreter.
        variables: What it finds in its environment besides.
    """

    def __init__(
        self,
        folder: Path,
        words: list[str],
        port: int,
        way: tuple[str, ...] = KIRSCH_RUN,
        python: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = port
        self.log = folder / "log.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(python or environment()), *way, *words],
                cwd=folder,
                # Standard output and error stand in one file, in the order in which they were written.
                env={**clean_environment(), "PYTHONUNBUFFERED": "1", **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Script:
        deadline = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), SECONDS):
                return self
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(self.log.read_text())
            # Nothing tells when a program of somebody else's listens.
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(SECONDS)

    def ask(self, path: str, data: bytes | None = None, **fields: str) -> urllib.response.addinfourl:
        """The answer to a request."""
        return self.ask_as("GET" if data is None else "POST", path, data, **fields)

    def ask_as(
        self, method: str, path: str, data: bytes | None = None, **fields: str
    ) -> urllib.response.addinfourl:
        """The answer to a request of any method."""
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, headers, method=method)
        answer: urllib.response.addinfourl = urllib.request.urlopen(request, timeout=SECONDS)
        return answer

    def wait_for_log(self, text: str) -> None:
        """Returns once the script has said this."""
        deadline = time.monotonic() + SECONDS
        while text not in self.log.read_text():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def interrupt(self, how: signal.Signals = signal.SIGINT) -> int:
        """Its exit code, after this signal."""
        self.process.send_signal(how)
        return self.process.wait(SECONDS)
