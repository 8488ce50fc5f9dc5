"""Applications that do everything PEP 3333 allows, and some things it forbids.

`app` finds the one for a path. Each runs behind `wsgiref.validate`, except those that break a rule on
purpose or that the validator itself is in the way of; `bare` gives the reason.

What cannot be seen on the wire is noted under the `id` of the request's query, and asked for afterwards:
`/events?id=I&until=WHAT` waits until WHAT was noted and answers everything noted under I.
`/open?id=I` opens the gate that an application waits at with `wait_at_gate`.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import functools
import gc
import hashlib
import http.client
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs
from wsgiref.util import request_uri, shift_path_info
from wsgiref.validate import validator

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Any]

PATIENCE_SECONDS = 10.0
TEXT = ("Content-Type", "text/plain")

apps: dict[str, App] = {}
changed = threading.Condition()
events: dict[str, list[Any]] = {}
gates: set[str] = set()


def app(environ: Environ, start_response: StartResponse) -> Any:
    """Find the application for the path and call it."""
    return apps[environ["PATH_INFO"]](environ, start_response)


def route(path: str, *, bare: str = "") -> Callable[[App], App]:
    """Register an application, behind the validator unless a reason against it is given."""

    def register(function: App) -> App:
        apps[path] = function if bare else validator(function)
        return function

    return register


def query(environ: Environ, name: str, default: str = "") -> str:
    return parse_qs(environ["QUERY_STRING"]).get(name, [default])[0]


def note(environ: Environ, what: Any) -> None:
    with changed:
        events.setdefault(query(environ, "id"), []).append(what)
        changed.notify_all()


def wait_at_gate(environ: Environ) -> None:
    name = query(environ, "id")
    with changed:
        if not changed.wait_for(lambda: name in gates, PATIENCE_SECONDS):
            raise TimeoutError("nobody opened the gate")


def text(start_response: StartResponse, body: str | bytes, *fields: tuple[str, str]) -> list[bytes]:
    content = body if isinstance(body, bytes) else body.encode()
    start_response("200 OK", [TEXT, ("Content-Length", str(len(content))), *fields])
    return [content]


def as_json(start_response: StartResponse, value: Any) -> list[bytes]:
    return text(start_response, json.dumps(value))


class Blocks:
    """An iterable that notes its `close()`."""

    def __init__(self, environ: Environ, blocks: Iterable[Any]) -> None:
        self.environ = environ
        self.blocks = iter(blocks)

    def __iter__(self) -> Blocks:
        return self

    def __next__(self) -> Any:
        return next(self.blocks)

    def close(self) -> None:
        note(self.environ, "closed")


@route("/events", bare="it belongs to the tests")
def events_app(environ: Environ, start_response: StartResponse) -> list[bytes]:
    name, until = query(environ, "id"), query(environ, "until")
    with changed:
        changed.wait_for(lambda: not until or until in events.get(name, []), PATIENCE_SECONDS)
        return as_json(start_response, events.get(name, []))


@route("/open", bare="it belongs to the tests")
def open_app(environ: Environ, start_response: StartResponse) -> list[bytes]:
    with changed:
        gates.add(query(environ, "id"))
        changed.notify_all()
    return text(start_response, "open")


@route("/")
def plain(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return text(start_response, "plain")


# environ


@route("/environ")
def environ_app(environ: Environ, start_response: StartResponse) -> list[bytes]:
    shown = {key: [type(value).__name__, value] for key, value in environ.items()}
    return text(start_response, json.dumps(shown, default=callable))


@route("/errors")
def errors(environ: Environ, start_response: StartResponse) -> list[bytes]:
    stream, who = environ["wsgi.errors"], query(environ, "who", "0")
    for number in range(int(query(environ, "lines", "1"))):
        stream.write(f"line é {who} {number} end\n")
    stream.writelines([f"lines {who} one\n", f"lines {who} two\n"])
    stream.flush()
    return text(start_response, "written")


class Held:
    """Something that a weak reference can point to."""


held: weakref.WeakSet[Held] = weakref.WeakSet()


@route("/e19", bare="the validator keeps references of its own")
def e19(environ: Environ, start_response: StartResponse) -> list[bytes]:
    environ["test.held"] = thing = Held()
    held.add(thing)
    weakref.finalize(thing, _tell)
    return text(start_response, "held")


def _tell() -> None:
    with changed:
        changed.notify_all()


@route("/e19/left", bare="it belongs to the tests")
def e19_left(environ: Environ, start_response: StartResponse) -> list[bytes]:
    with changed:
        changed.wait_for(lambda: not held, PATIENCE_SECONDS)
    return text(start_response, str(len(held)))


kept: list[Environ] = []


@route("/keep", bare="the validator allows no second look")
def keep(environ: Environ, start_response: StartResponse) -> list[bytes]:
    kept.append(environ)
    return text(start_response, "kept")


@route("/read-kept", bare="it reads what the validator has closed")
def read_kept(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Read an earlier request's input in another thread, then one's own."""
    found: list[str] = []

    def read() -> None:
        try:
            found.append(repr(kept.pop()["wsgi.input"].read()))
        except ValueError:
            found.append("ValueError")

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    return as_json(start_response, [*found, environ["wsgi.input"].read().decode()])


@route("/e22")
def e22(environ: Environ, start_response: StartResponse) -> list[bytes]:
    duplicate = copy.copy(environ)
    uri = request_uri(duplicate)
    return as_json(start_response, [uri, shift_path_info(duplicate), duplicate["SCRIPT_NAME"]])


# wsgi.input


@route("/input", bare="the validator wants exactly one argument for each read")
def input_app(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Do the operations of the query's `ops` on the input, and answer what each gave."""
    stream = environ["wsgi.input"]
    return as_json(
        start_response, [operate(stream, name, *rest) for name, *rest in json.loads(query(environ, "ops"))]
    )


def operate(stream: Any, name: str, *arguments: int) -> Any:
    """One operation on a binary stream, its result as JSON can hold it."""
    try:
        result = next(stream) if name == "next" else getattr(stream, name)(*arguments)
    except StopIteration:
        return "stop"
    if isinstance(result, list):
        return [line.decode("latin-1") for line in result]
    return result.decode("latin-1")


@route("/input/validated")
def input_validated(environ: Environ, start_response: StartResponse) -> list[bytes]:
    stream = environ["wsgi.input"]
    return as_json(
        start_response, [stream.read(2).decode(), stream.readline(3).decode(), stream.read(100).decode()]
    )


@route("/input/error", bare="what matters is the exception that comes through")
def input_error(environ: Environ, start_response: StartResponse) -> list[bytes]:
    note(environ, "reading")
    try:
        body = environ["wsgi.input"].read()
    except Exception as error:
        note(environ, ["raised", isinstance(error, OSError)])
        note(environ, "done")
        raise
    note(environ, ["read", len(body)])
    note(environ, "done")
    return text(start_response, "read")


@route("/input/sha256", bare="the validator is slow for so many reads")
def input_digest(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return text(start_response, hashlib.sha256(environ["wsgi.input"].read()).hexdigest())


# start_response and write


def fatal(environ: Environ, call: Callable[[], Any]) -> Any:
    """Do what must fail, and note the exception that comes."""
    try:
        return call()
    except BaseException as error:
        note(environ, type(error).__name__)
        raise


@route("/s01")
def s01(environ: Environ, start_response: StartResponse) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    return [str(callable(write)).encode()]


@route("/s02")
def s02(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("207 Many Things", [("X-B", "1"), ("x-a", "2"), TEXT, ("X-B", "3"), ("X-EMPTY", "")])
    return [b"s02"]


@route("/s03", bare="the second call is forbidden")
def s03(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [TEXT])
    fatal(environ, lambda: start_response("200 OK", [TEXT]))
    return [b"never"]


@route("/s05")
def s05(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [TEXT, ("X-Old", "1"), ("Content-Length", "999")])
    try:
        raise ValueError("planned")
    except ValueError:
        start_response("503 Later", [TEXT, ("X-New", "1")], sys.exc_info())
    return [b"sorry"]


@route("/s06")
def s06(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield b"first"
    error = ValueError("planned")
    try:
        raise error
    except ValueError:
        try:
            start_response("500 Sorry", [TEXT], sys.exc_info())
        except BaseException as raised:
            note(environ, ["raised", raised is error, raised.__traceback__ is not None])
            raise
    yield b"never"


@route("/s08", bare="the validator leaves cycles of its own")
def s08(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [TEXT])
    try:
        raise ValueError("planned")
    except ValueError:
        start_response("200 OK", [TEXT, ("Content-Length", "3")], sys.exc_info())
    return [b"s08"]


@route("/gc", bare="it belongs to the tests")
def collected(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Collect, answer how many objects that freed, and leave the collector on or off as asked."""
    count = gc.collect()
    (gc.enable if query(environ, "then") == "on" else gc.disable)()
    return text(start_response, str(count))


@route("/s10")
def s10(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("404 Lazy", [TEXT, ("X-Lazy", "yes")])
    yield b"lazy"


@route("/s11", bare="the validator wants start_response called before the first block, an empty one too")
def s11(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    yield b""
    yield b""
    start_response("404 Lazy", [TEXT])
    yield b"lazy"


@route("/s12")
def s12(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield b""
    yield b""
    try:
        raise ValueError("planned")
    except ValueError:
        start_response("500 Sorry", [TEXT], sys.exc_info())
    yield b"sorry"


@route("/s13")
def s13(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("202 Empty", [TEXT, ("X-Here", "yes")])
    return []


BAD_STATUSES: list[Any] = [
    *("200OK", "20 OK", "1000 X", "abc", "", "200 OK\r\nX: y", "200 O\x00K", "200 €"),
    *(200, b"200 OK", None),
]
BAD_FIELD_LISTS: list[Any] = [(TEXT,), (pair for pair in [TEXT]), {"Content-Type": "text/plain"}, None]
BAD_FIELDS: list[Any] = [
    *[("X-A", f"a{character}b") for character in "\r\n\x00\x01\x1f\x7f"],
    *[("X-A", "a\r\nInjected: 1"), ("X-A", "€"), ("X-A", b"a"), ("X-A", 1), ("X-A", None)],
    *[("", "a"), ("X A", "a"), ("X:A", "a"), ("X-é", "a"), (b"X-A", "a"), ("X-A",), "X-A: a"],
    *[
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "+1"),
        ("Content-Length", "1, 1"),
        ("Upgrade", "h2c"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Trailer", "X-Sum"),
        ("Trailers", "X-Sum"),
        ("Proxy-Authenticate", "Basic"),
        ("proxy-authorization", "Basic dTpw"),
        ("Connection", "upgrade"),
    ],
]


@route("/s15", bare="the status is wrong on purpose")
def s15(environ: Environ, start_response: StartResponse) -> list[bytes]:
    fatal(environ, lambda: start_response(BAD_STATUSES[int(query(environ, "n"))], [TEXT]))
    return [b"x"]


@route("/s17", bare="the list of fields is wrong on purpose")
def s17(environ: Environ, start_response: StartResponse) -> list[bytes]:
    fatal(environ, lambda: start_response("200 OK", BAD_FIELD_LISTS[int(query(environ, "n"))]))
    return [b"x"]


@route("/s20", bare="a field is wrong on purpose")
def s20(environ: Environ, start_response: StartResponse) -> list[bytes]:
    fatal(environ, lambda: start_response("200 OK", [TEXT, BAD_FIELDS[int(query(environ, "n"))]]))
    return [b"x"]


@route("/s22", bare="the validator knows no obs-text")
def s22(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return text(start_response, "s22", ("X-A", "café"), ("X-Tab", "a\tb"))


@route("/s26")
def s26(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return text(start_response, "s26", ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("Server", "mine"))


reused = [TEXT, ("X-A", "1")]


@route("/s27")
def s27(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", reused)
    seen = json.dumps(reused)
    reused.append(("X-Late", "1"))
    yield seen.encode()
    reused[:] = [TEXT, ("X-A", "1")]


class Text(str):
    """A str of one's own."""


@route("/s28", bare="the validator accepts nothing but str itself")
def s28(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response(Text("200 Fine"), [(Text("X-A"), Text("1")), (Text("Content-Length"), Text("3"))])
    return [b"s28"]


@route("/s29")
def s29(environ: Environ, start_response: StartResponse) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    write(b"a")
    wait_at_gate(environ)
    return [b"b"]


@route("/s30", bare="what is written is wrong on purpose")
def s30(environ: Environ, start_response: StartResponse) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    wrong: list[Any] = ["a", bytearray(b"a"), memoryview(b"a"), 1, None]
    fatal(environ, lambda: write(wrong[int(query(environ, "n"))]))
    return [b"x"]


writers: list[Callable[[bytes], Any]] = []


@route("/s32", bare="the validator lets nobody write late")
def s32(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Keep `write` of one request, and use it in the next."""
    if writers:
        try:
            writers.pop()(b"late")
        except Exception as error:
            note(environ, type(error).__name__)
        return text(start_response, "tried")
    writers.append(start_response("200 OK", [TEXT, ("Content-Length", "4")]))
    return [b"kept"]


@route("/s33", bare="the validator does not let an OSError of write through to a second return")
def s33(environ: Environ, start_response: StartResponse) -> Blocks:
    write = start_response("200 OK", [TEXT])
    try:
        for _ in range(4096):
            write(b"x" * 65536)
    except OSError:
        note(environ, "OSError")
    return Blocks(environ, [])


@route("/s34")
def s34(environ: Environ, start_response: StartResponse) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    write(b"")
    try:
        raise ValueError("planned")
    except ValueError:
        start_response("503 Later", [TEXT], sys.exc_info())
    return [b"sorry"]


# The iterable


class Bytes(bytes):
    """Bytes of one's own."""


class ListWithClose(list):
    """A list that wants to be closed."""

    def __init__(self, environ: Environ, blocks: list[bytes]) -> None:
        super().__init__(blocks)
        self.environ = environ

    def close(self) -> None:
        note(self.environ, "closed")


ITERABLES: dict[str, Callable[[Environ], Any]] = {
    "one": lambda environ: [b"hello"],
    "list": lambda environ: [b"a", b"bb", b"ccc"],
    "tuple": lambda environ: (b"a", b"bb", b"ccc"),
    "empty list": lambda environ: [],
    "empty tuple": lambda environ: (),
    "empty iterator": lambda environ: iter(()),
    "empty blocks": lambda environ: iter([b"", b"a", b"", b"b", b""]),
    "bytes subclass": lambda environ: [Bytes(b"mine")],
    "list subclass": lambda environ: ListWithClose(environ, [b"a", b"b"]),
    "set": lambda environ: {b"abc"},
    "old sequence": lambda environ: OldSequence(),
    "bytes": lambda environ: b"abc",
    "str": lambda environ: "abc",
    "None": lambda environ: None,
    "int": lambda environ: 5,
    "block str": lambda environ: ["a"],
    "block int": lambda environ: [1],
    "block None": lambda environ: [None],
    "block bytearray": lambda environ: [bytearray(b"a")],
    "block memoryview": lambda environ: [memoryview(b"a")],
}


class OldSequence:
    """Iterable by its `__getitem__` alone, as Python 2 had them."""

    def __getitem__(self, index: int) -> bytes:
        return [b"old", b"er"][index]


@route("/iterable", bare="the validator's wrapper hides what the iterable is")
def iterable(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", [TEXT])
    return ITERABLES[query(environ, "kind")](environ)


@route("/b04")
def b04(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield b"first"
    wait_at_gate(environ)
    yield b"second"


@route("/b10")
def b10(environ: Environ, start_response: StartResponse) -> Blocks:
    start_response("200 OK", [TEXT])
    return Blocks(environ, [b"a", b"b"])


@route("/b10/write", bare="close() writes, which the validator does not expect")
def b10_write(environ: Environ, start_response: StartResponse) -> Blocks:
    write = start_response("200 OK", [TEXT])

    class WritesInClose(Blocks):
        def close(self) -> None:
            write(b" and the end")

    return WritesInClose(environ, [b"the body"])


@route("/b11")
def b11(environ: Environ, start_response: StartResponse) -> Blocks:
    start_response("200 OK", [TEXT])
    return Blocks(environ, raising([b"a"] * int(query(environ, "after"))))


def raising(blocks: list[bytes]) -> Iterator[bytes]:
    yield from blocks
    raise RuntimeError("planned")


@route("/b14")
def b14(environ: Environ, start_response: StartResponse) -> Blocks:
    start_response("200 OK", [TEXT])

    class RaisesInClose(Blocks):
        def close(self) -> None:
            raise RuntimeError("planned in close")

    return RaisesInClose(environ, [b"whole"])


@route("/b15")
def b15(environ: Environ, start_response: StartResponse) -> Blocks:
    start_response("200 OK", [TEXT, ("Content-Length", "5")])

    class WaitsInClose(Blocks):
        def close(self) -> None:
            wait_at_gate(self.environ)
            super().close()

    return WaitsInClose(environ, [b"whole"])


@route("/b21")
def b21(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    length = query(environ, "length")
    start_response("200 OK", [TEXT, *([("Content-Length", length)] if length else [])])
    yield b"first"
    raise RuntimeError("planned")


@route("/b23")
def b23(environ: Environ, start_response: StartResponse) -> Blocks:
    start_response("200 OK", [TEXT])
    return Blocks(environ, itertools.repeat(b"x" * 65536))


@route("/b26")
def b26(environ: Environ, start_response: StartResponse) -> Blocks:
    here = threading.get_ident()
    start_response("200 OK", [TEXT])

    def blocks() -> Iterator[bytes]:
        for _ in range(300):
            note(environ, "same thread" if threading.get_ident() == here else "another thread")
            yield b"x" * 65536

    class NotesThread(Blocks):
        def close(self) -> None:
            note(environ, "same thread" if threading.get_ident() == here else "another thread")
            super().close()

    return NotesThread(environ, blocks())


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")


@route("/b27")
def b27(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    seen = variable.get()
    variable.set("leaked")
    start_response("200 OK", [TEXT])
    yield seen.encode()
    yield f" {variable.get()}".encode()


# Lengths, HEAD, bodiless answers


@route("/length", bare="length and body disagree on purpose")
def length(environ: Environ, start_response: StartResponse) -> Blocks:
    """Announce `length`, answer the status and body asked for."""
    fields = [TEXT, *([("Content-Length", query(environ, "length"))] if query(environ, "length") else [])]
    start_response(query(environ, "status", "200 OK"), fields)
    blocks = query(environ, "blocks").split(",")

    def noted() -> Iterator[bytes]:
        for block in blocks:
            note(environ, block)
            yield block.encode()

    return Blocks(environ, noted())


@route("/method")
def method(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return text(start_response, "method", ("X-Method", environ["REQUEST_METHOD"]))


@route("/l10")
def l10(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("401 Who", [TEXT, ("Content-Length", "3")])
    return [b"who"]


# wsgi.file_wrapper


@route("/file")
def file(environ: Environ, start_response: StartResponse) -> Any:
    """The file at `path`, from `seek` on; `announce` is its Content-Length."""
    opened = open(query(environ, "path"), "rb")
    opened.seek(int(query(environ, "seek", "0")))
    opened.read(int(query(environ, "read", "0")))
    announce = query(environ, "announce")
    start_response("200 OK", [TEXT, *([("Content-Length", announce)] if announce else [])])
    return environ["wsgi.file_wrapper"](opened, 8192)


class ReadOnly:
    """No file but for its `read`."""

    def __init__(self, environ: Environ, content: bytes) -> None:
        self.environ = environ
        self.stream = io.BytesIO(content)

    def read(self, size: int) -> bytes:
        return self.stream.read(size)

    def close(self) -> None:
        note(self.environ, "closed")


class OddDescriptor(ReadOnly):
    """A file whose descriptor is not what it seems."""

    def fileno(self) -> int:
        kind = query(self.environ, "kind")
        if kind == "raises":
            raise OSError("there is none")
        if kind == "closed":
            read_end, write_end = os.pipe()
            os.close(read_end)
            os.close(write_end)
            return read_end
        return {"negative": -1, "huge": 1_000_000}[kind]


def pipe() -> Any:
    read_end, write_end = os.pipe()
    os.write(write_end, b"piped")
    os.close(write_end)
    return os.fdopen(read_end, "rb")


FILES: dict[str, Callable[[Environ], Any]] = {
    "read only": lambda environ: ReadOnly(environ, b"x" * 100_000),
    "pipe": lambda environ: pipe(),
    "proc": lambda environ: open("/proc/self/status", "rb"),
    "bytesio": lambda environ: io.BytesIO(b"in memory"),
    "stringio": lambda environ: io.StringIO("text"),
    "text": lambda environ: open(__file__, encoding="utf-8"),
    "raises": lambda environ: OddDescriptor(environ, b"odd"),
    "negative": lambda environ: OddDescriptor(environ, b"odd"),
    "closed": lambda environ: OddDescriptor(environ, b"odd"),
    "huge": lambda environ: OddDescriptor(environ, b"odd"),
}


@route("/wrapped", bare="some of the files are wrong on purpose")
def wrapped(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](FILES[query(environ, "kind")](environ))


@route("/f20")
def f20(environ: Environ, start_response: StartResponse) -> list[bytes]:
    stream = ReadOnly(environ, b"never sent")
    environ["wsgi.file_wrapper"](stream)
    return text(start_response, "something else")


# Errors and life cycle


@route("/raise")
def raise_app(environ: Environ, start_response: StartResponse) -> list[bytes]:
    raise RuntimeError("a secret of the application")


@route("/raise/odd")
def raise_odd(environ: Environ, start_response: StartResponse) -> list[bytes]:
    raise RuntimeError("odd\x1b[31m\nFAKE LOG LINE\udcff" + "x" * 1_000_000)


@route("/raise/exit")
def raise_exit(environ: Environ, start_response: StartResponse) -> list[bytes]:
    raise SystemExit(3)


@route("/raise/interrupt")
def raise_interrupt(environ: Environ, start_response: StartResponse) -> list[bytes]:
    raise KeyboardInterrupt


@route("/no-start", bare="the validator would say so before the server can")
def no_start(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return [b"there is no status"]


@route("/gate")
def gate(environ: Environ, start_response: StartResponse) -> list[bytes]:
    note(environ, "waiting")
    wait_at_gate(environ)
    return text(start_response, "through")


@route("/x07")
def x07(environ: Environ, start_response: StartResponse) -> list[bytes]:
    child = os.fork()
    if child == 0:
        os._exit(7)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    descriptors = ["ls", "-l", "/proc/self/fd"]
    listing = subprocess.run(descriptors, close_fds=False, capture_output=True, text=True, check=True).stdout
    return as_json(start_response, [code, listing.count("socket:"), blocked_signals()])


def blocked_signals() -> list[str]:
    """The signals that a child of this thread would never see."""
    return sorted(signal.Signals(number).name for number in signal.pthread_sigmask(signal.SIG_BLOCK, []))


@route("/x08")
def x08(environ: Environ, start_response: StartResponse) -> list[bytes]:
    for daemon in (True, False):
        threading.Thread(target=threading.Event().wait, daemon=daemon).start()
    return text(start_response, "started")


@route("/x14")
def x14(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Call the server that calls us."""
    inner = http.client.HTTPConnection(environ["SERVER_NAME"], int(environ["SERVER_PORT"]), timeout=0.5)
    try:
        inner.request("GET", "/")
        return text(start_response, inner.getresponse().read())
    except TimeoutError:
        return text(start_response, "timed out")
    finally:
        inner.close()


# What single sentences of PEP 3333 ask for, and nothing above does.


@route("/once", bare="nothing is to stand between the server and the application")
def once(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Note each call; positions alone will do, as the names are the application's."""
    note(environ, environ["QUERY_STRING"])
    return text(start_response, "once")


def only_positions(environ: Environ, start_response: StartResponse, /) -> list[bytes]:
    """An application of its own that takes no keyword."""
    return text(start_response, "called")


@route("/clears", bare="what it does to environ leaves the validator nothing to check")
def clears(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Do to `environ` what a dictionary lets one do."""
    kind = type(environ) is dict
    environ[5] = environ.pop("REQUEST_METHOD")  # type: ignore[index]
    environ.clear()
    return text(start_response, str(kind))


@route("/signature", bare="the calls are wrong on purpose")
def signature(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Call `start_response` and `write` with too few and too many arguments, and note what comes."""
    found = [name_of_error(start_response), name_of_error(start_response, "200 OK")]
    found.append(name_of_error(start_response, "200 OK", [TEXT], None, None))
    write = start_response("200 OK", [TEXT], None)
    found += [name_of_error(write), name_of_error(write, b"a", b"b")]
    return [json.dumps(found).encode()]


def name_of_error(call: Callable[..., Any], *arguments: Any) -> str:
    try:
        call(*arguments)
    except Exception as error:
        return type(error).__name__
    return "none"


@route("/bytes")
def every_byte(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [bytes(range(256)), b"\r\n\n\r\r\n"]


class Watching:
    """An iterable that notes which of its attributes are asked for."""

    def __init__(self, environ: Environ) -> None:
        self.environ = environ
        self.left = [b"a", b"b"]

    def __getattribute__(self, name: str) -> Any:
        if name not in ("environ", "left", "__class__"):
            note(object.__getattribute__(self, "environ"), name)
        return object.__getattribute__(self, name)

    def __iter__(self) -> Watching:
        return self

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        return self.left.pop(0)

    def close(self) -> None:
        note(self.environ, "closed")


@route("/attributes", bare="the validator looks at attributes itself")
def attributes(environ: Environ, start_response: StartResponse) -> Watching:
    start_response("200 OK", [TEXT])
    return Watching(environ)


@route("/errors/odd", bare="what is written is no Unicode text")
def errors_odd(environ: Environ, start_response: StartResponse) -> list[bytes]:
    environ["wsgi.errors"].write("begin \ud800 € \x00 \U0001f352 end\n")
    environ["wsgi.errors"].flush()
    return text(start_response, "written")


@route("/input/types", bare="the validator wants exactly one argument for each read")
def input_types(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """The types of what each way to read gives."""
    stream = environ["wsgi.input"]
    found = [
        stream.read(1),
        stream.readline(2),
        next(stream),
        stream.readlines()[0],
        stream.read(),
        stream.read(),
    ]
    return as_json(start_response, [type(piece).__name__ for piece in found])


@route("/refused/again", bare="the first call is wrong on purpose")
def refused_again(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Call `start_response` wrongly, and then well: with `exc_info`, or without, as the query says."""
    try:
        start_response("200", [TEXT])
    except ValueError:
        if query(environ, "exc_info"):
            start_response("503 Later", [TEXT], sys.exc_info())
            return [b"sorry"]
    fatal(environ, lambda: start_response("200 OK", [TEXT]))
    return [b"never"]


@route("/refused/alone", bare="the only call is wrong on purpose")
def refused_alone(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Call `start_response` wrongly, and answer as if nothing were."""
    with contextlib.suppress(ValueError):
        start_response("200", [TEXT])
    return [b"never"]


@route("/head/waits")
def head_waits(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Stop at the gate between the head and the first bytes of the body."""
    start_response("200 OK", [TEXT])
    yield b""
    note(environ, "waiting")
    wait_at_gate(environ)
    yield b"body"


@route("/write/waits")
def write_waits(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Stop at the gate between `start_response` and the first `write`."""
    write = start_response("200 OK", [TEXT])
    note(environ, "waiting")
    wait_at_gate(environ)
    write(b"body")
    return []


@route("/write/beyond", bare="more is written than was announced")
def write_beyond(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Write what was announced, and then some."""
    write = start_response("200 OK", [TEXT, ("Content-Length", "4")])
    write(b"abcd")
    note(environ, name_of_error(write, b"efgh"))
    return []


@route("/write/across", bare="more is written than was announced")
def write_across(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Write a block of which a part was announced."""
    write = start_response("200 OK", [TEXT, ("Content-Length", "4")])
    note(environ, name_of_error(write, b"abcdef"))
    return []


@route("/write/head", bare="the validator knows no answer to HEAD with a body")
def write_head(environ: Environ, start_response: StartResponse) -> list[bytes]:
    write = start_response("200 OK", [TEXT, ("Content-Length", "4")])
    write(b"ab")
    write(b"cd")
    note(environ, "written")
    return []


inside = 0
most_inside = 0


@route("/crowd")
def crowd(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answer how many were in here at once so far; each lets others in, if there are any."""
    global inside, most_inside
    with changed:
        inside += 1
        most_inside = max(most_inside, inside)
        changed.wait_for(lambda: inside > 1, 0.002)
        inside -= 1
    return text(start_response, str(most_inside))


@route("/wrapper/signature", bare="the calls are wrong on purpose")
def wrapper_signature(environ: Environ, start_response: StartResponse) -> list[bytes]:
    wrapper = environ["wsgi.file_wrapper"]
    file = io.BytesIO(b"abc")
    found = [name_of_error(wrapper, *arguments) for arguments in ((), (file,), (file, 2), (file, 2, 3))]
    return as_json(start_response, found)


@route("/wrapper/iterated", bare="some of the files are wrong on purpose")
def wrapper_iterated(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Do with the wrapper what middleware does: iterate, and close."""
    wrapped = environ["wsgi.file_wrapper"](ReadOnly(environ, b"abcde"), 2)
    blocks = list(wrapped)
    wrapped.close()
    return as_json(start_response, [block.decode() for block in blocks])


# X10: everything that can be called, or cannot.


class AsClass:
    """An application that is a class."""

    def __init__(self, environ: Environ, start_response: StartResponse) -> None:
        self.start_response = start_response

    def __iter__(self) -> Iterator[bytes]:
        self.start_response("200 OK", [TEXT])
        yield b"called"


class AsInstance:
    """An application that is an instance with `__call__`."""

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        return text(start_response, "called")

    def method(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        return text(start_response, "called")


as_instance = AsInstance()
as_method = as_instance.method
as_lambda = lambda environ, start_response: text(start_response, "called")  # noqa: E731 (that is the point)
as_partial = functools.partial(lambda body, environ, start_response: text(start_response, body), "called")
as_generator = s10
not_callable = 42


def factory() -> App:
    """Make an application, for `pep3333:factory()`."""
    return as_instance
