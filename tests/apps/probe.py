"""The conformance cases' application, with a log that many connections can use at once.

`conformance/probe_app.py` says what each path answers. This wrapper keeps the log: what the application
received, filed under the connection (`REMOTE_ADDR:REMOTE_PORT`) it came over. A case asks for its own
connection's entries, so that cases may run side by side, and nothing has to be cleared in between.

| request | answer |
|---|---|
| `/__log?peer=ADDR:PORT` | the entries of that connection, as JSON; they are forgotten |
| `/__closed?peer=ADDR:PORT` | waits until a response to it was closed by the server: `yes` or `no` |
"""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

CLOSE_SECONDS = 20.0
CASES = Path(__file__).resolve().parents[2] / "conformance"

specification = importlib.util.spec_from_file_location("probe_app", CASES / "probe_app.py")
assert specification is not None
assert specification.loader is not None
probe_app = importlib.util.module_from_spec(specification)
specification.loader.exec_module(probe_app)

changed = threading.Condition()
entries: dict[str, list[dict[str, Any]]] = {}
closed: set[str] = set()


class Recorder:
    """A `wsgi.input` that writes what the application read of it into a log entry."""

    def __init__(self, stream: Any, entry: dict[str, Any]) -> None:
        self.stream = stream
        self.entry = entry

    def read(self, size: int = -1) -> bytes:
        return self._record(lambda: self.stream.read() if size < 0 else self.stream.read(size))

    def readline(self, size: int = -1) -> bytes:
        return self._record(lambda: self.stream.readline() if size < 0 else self.stream.readline(size))

    def readlines(self, hint: int = -1) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _record(self, read: Callable[[], bytes]) -> bytes:
        try:
            data = read()
        except BaseException as error:
            self.entry["err"] = repr(error)
            raise
        self.entry["body"] = (self.entry["body"] or "") + data.decode("latin-1")
        return data


class Watched:
    """An iterable that remembers for its connection that it was closed."""

    def __init__(self, blocks: Iterable[bytes], peer: str) -> None:
        self.blocks = blocks
        self.peer = peer

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.blocks)

    def close(self) -> None:
        with changed:
            closed.add(self.peer)
            changed.notify_all()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The probe application, with its log."""
    path = environ.get("PATH_INFO", "")
    asked = parse_qs(environ.get("QUERY_STRING", "")).get("peer", [""])[0]
    if path == "/__log":
        return answer(start_response, json.dumps(entries.pop(asked, [])))
    if path == "/__closed":
        with changed:
            happened = changed.wait_for(lambda: asked in closed, CLOSE_SECONDS)
        return answer(start_response, "yes" if happened else "no")
    peer = f"{environ.get('REMOTE_ADDR')}:{environ.get('REMOTE_PORT')}"
    entry = probe_app.record_of(environ, path)
    entries.setdefault(peer, []).append(entry)
    environ["wsgi.input"] = Recorder(environ["wsgi.input"], entry)
    blocks = probe_app.app(environ, start_response)
    return Watched(blocks, peer) if path == "/big" else blocks


def answer(start_response: Callable[..., Any], text: str) -> list[bytes]:
    """A short text, marked as the wrapper's own."""
    body = text.encode()
    start_response("200 OK", [("X-Probe", "1"), ("Content-Length", str(len(body)))])
    return [body]
