"""What programs that stand on cheroot need: environments, and servers of `kirsch.cheroot`.

`requirements/cheroot.txt` pins what is in the environments.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kirsch
from kirsch.cheroot import server, wsgi

from support.client import Client, Response
from support.suites import succeed

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / "requirements" / "cheroot.txt"
INSTALL_SECONDS = 600.0

#: For whatever is waited for.
SECONDS = 30.0


def environment() -> Path:
    """The interpreter of the environment, which is made unless it is there. Kirsch is the one under test."""
    return _made("cheroot", ())


def without_cheroot() -> Path:
    """The interpreter of another one, which lacks nothing but cheroot itself."""
    return _made("without-cheroot", ("cheroot",))


def _made(name: str, missing: tuple[str, ...]) -> Path:
    version = "".join(map(str, sys.version_info[:2]))
    folder = ROOT / ".venvs" / f"{name}-{version}"
    python = folder / "bin" / "python"
    made = folder / ".made"
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    if not made.exists() or made.read_text() != wanted:
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(PINS)]
        steps = [[sys.executable, "-m", "venv", "--clear", str(folder)], install]
        steps += [[str(python), "-m", "pip", "uninstall", "-q", "-y", package] for package in missing]
        for words in steps:
            succeed(words, INSTALL_SECONDS, f"cannot make {folder}")
        made.write_text(wanted)
    place = next(folder.glob("lib/python*/site-packages")) / "kirsch-under-test.pth"
    place.write_text(f"{Path(kirsch.__file__).parents[1]}\n")
    return python


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answers with the path."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode("latin-1")]


class Quiet(wsgi.Server):
    """Says nothing, and notes what it would have said."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        self.said: list[tuple[int, str]] = []
        super().__init__(*args, **keywords)

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        self.said.append((level, msg))


@contextlib.contextmanager
def running(app: Any = hello, **keywords: Any) -> Iterator[Quiet]:
    """A server, until the end of the block."""
    made = Quiet(("127.0.0.1", 0), app, shutdown_timeout=SECONDS, **keywords)
    with made._run_in_thread():
        yield made


def ask(made: server.HTTPServer, raw: bytes) -> Response:
    """The first answer to these bytes."""
    with Client(made.bind_addr) as client:
        client.send(raw)
        return client.response()


def get(path: str = "/", fields: str = "") -> bytes:
    """A request."""
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()
