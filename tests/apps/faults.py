"""Applications that fail in every way they can, beside one that works."""

from __future__ import annotations

import gc
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from inside import descriptors, with_view

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

CTYPE = ("Content-Type", "text/plain")
MIB = 1024 * 1024

kept: list[Any] = []
closed = itertools.count()
apps: dict[str, Callable[[Environ, StartResponse], Any]] = {}


def route(function: Callable[[Environ, StartResponse], Any]) -> Callable[[Environ, StartResponse], Any]:
    apps["/" + function.__name__.rstrip("_")] = function
    return function


@with_view
def app(environ: Environ, start_response: StartResponse) -> Any:
    return apps[environ["PATH_INFO"]](environ, start_response)


def ok(start_response: StartResponse, body: bytes = b"ok") -> list[bytes]:
    start_response("200 OK", [CTYPE])
    return [body]


@route
def fine(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return ok(start_response)


@route
def length(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return ok(start_response, b"%d" % len(environ["wsgi.input"].read()))


@route
def large(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return ok(start_response, bytes(4 * MIB))


@route
def pieces(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [CTYPE])
    return (bytes(16 * 1024) for _ in range(256))


@route
def file(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", [CTYPE])
    return environ["wsgi.file_wrapper"](open(os.environ["LARGE_FILE"], "rb"))


# What raises before anything was sent. Each is answered with 500.


class Own(BaseException):
    """What no server has heard of."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("it cannot even be printed")


RAISED: dict[str, Callable[[], BaseException]] = {
    "Exception": lambda: Exception("boom"),
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "StopIteration": lambda: StopIteration(1),
    "MemoryError": MemoryError,
    "BaseException": BaseException,
    "Own": lambda: Own("mine"),
    "BrokenPipeError": lambda: BrokenPipeError("not the client's"),
    "Unprintable": Unprintable,
    "Surrogate": lambda: Exception("\udcff\x1b[2J"),
    "Group": lambda: _group(),
}


def _group() -> BaseException:
    kind = getattr(__import__("builtins"), "ExceptionGroup", None)
    return kind("several", [ValueError("one")]) if kind else Exception("no groups yet")


def raised(environ: Environ) -> BaseException:
    return RAISED[environ["QUERY_STRING"]]()


@route
def raises(environ: Environ, start_response: StartResponse) -> Any:
    raise raised(environ)


@route
def raises_after_start(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", [CTYPE])
    raise raised(environ)


class Body:
    """A response that raises where it is told, and counts its `close()`."""

    def __init__(self, where: str, error: BaseException) -> None:
        self.where, self.error, self.blocks = where, error, 0

    def __iter__(self) -> Body:
        if self.where == "iter":
            raise self.error
        return self

    def __next__(self) -> bytes:
        self.blocks += 1
        if self.where == "first" or (self.where == "later" and self.blocks == 3):
            raise self.error
        if self.blocks > 4:
            raise StopIteration
        return b"block"

    def close(self) -> None:
        next(closed)
        if self.where == "close":
            raise self.error


def _body(where: str) -> Callable[[Environ, StartResponse], Any]:
    def body(environ: Environ, start_response: StartResponse) -> Body:
        start_response("200 OK", [CTYPE])
        return Body(where, raised(environ))

    return body


for _where in ("iter", "first", "later", "close"):
    apps[f"/raises_in_{_where}"] = _body(_where)


@route
def closes(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """How often `close()` was called since this was last asked."""
    global closed
    count, closed = next(closed), itertools.count()
    return ok(start_response, b"%d" % count)


@route
def sys_exit(environ: Environ, start_response: StartResponse) -> Any:
    sys.exit("the application wants to leave")


@route
def recursion(environ: Environ, start_response: StartResponse) -> Any:
    return recursion(environ, start_response)


@route
def recursion_in_next(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [CTYPE])
    yield from recursion_in_next(environ, start_response)


# What is no response.

NONSENSE: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "str": lambda: "a text",
    "int": lambda: 42,
    "list of str": lambda: ["a text"],
    "list of None": lambda: [None],
    "list of int": lambda: [1, 2],
    "list of bytearray": lambda: [bytearray(b"x")],
    "list of memoryview": lambda: [memoryview(b"x")],
    "object": object,
    "class": lambda: Body,
    "generator of str": lambda: (text for text in ["a text"]),
    "itself": lambda: app,
    "environ": lambda: {"a": 1},
    "exception": lambda: ValueError("returned, not raised"),
    "coroutine": lambda: _coroutine(),
}


def _coroutine() -> Any:
    async def answer() -> list[bytes]:
        return [b"too late"]

    made = answer()
    made.close()
    return made


@route
def nonsense(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", [CTYPE])
    return NONSENSE[environ["QUERY_STRING"].replace("+", " ")]()


@route
def no_start(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return [b"a body without a head"]


STARTS: dict[str, tuple[Any, ...]] = {
    "two digits": ("20 OK", []),
    "four digits": ("2000 OK", []),
    "no number": ("OK", []),
    "interim": ("100 Continue", []),
    "bytes": (b"200 OK", []),
    "None": (None, None),
    "empty": ("", []),
    "newline": ("200 OK\r\nX: y", []),
    "surrogate": ("200 \udcff", []),
    "tuple of fields": ("200 OK", (CTYPE,)),
    "field of three": ("200 OK", [("a", "b", "c")]),
    "field of bytes": ("200 OK", [(b"a", b"b")]),
    "field with newline": ("200 OK", [("X", "a\r\nSet-Cookie: b")]),
    "field without name": ("200 OK", [("", "x")]),
    "two lengths": ("200 OK", [("Content-Length", "2"), ("Content-Length", "3")]),
    "length of a word": ("200 OK", [("Content-Length", "two")]),
    "negative length": ("200 OK", [("Content-Length", "-1")]),
    "nothing": (),
    "too much": ("200 OK", [], None, None),
}


@route
def starts(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response(*STARTS[environ["QUERY_STRING"].replace("+", " ")])
    return [b"ok"]


# What is done to what the server gave.


@route
def clears_environ(environ: Environ, start_response: StartResponse) -> list[bytes]:
    environ.clear()
    gc.collect()
    return ok(start_response)


@route
def fills_environ(environ: Environ, start_response: StartResponse) -> list[bytes]:
    environ.update({str(number): environ for number in range(1000)})
    return ok(start_response)


@route
def keeps(environ: Environ, start_response: StartResponse) -> list[bytes]:
    kept.append((environ, environ["wsgi.input"], start_response, start_response("200 OK", [CTYPE])))
    return [b"ok"]


def outcome(call: Callable[..., Any], *arguments: Any) -> str:
    """What a call returns or raises."""
    try:
        return repr(call(*arguments))
    except Exception as error:
        return type(error).__name__


@route
def uses_kept(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Everything of an ended request must be dead, and hurt nobody."""
    said = []
    for old, source, start, write in kept:
        assert old is not environ
        assert source is not environ["wsgi.input"]
        said += [
            outcome(source.read),
            outcome(start, "200 OK", [CTYPE]),
            outcome(write, b"into another's response"),
        ]
    kept.clear()
    return ok(start_response, "\n".join(said).encode())


# Processes.


@route
def fork(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answers what a child holds open; the child waits for the end of its pipe."""
    child_is_there, say_so = os.pipe()
    go_on, let_it = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(let_it)
        os.close(say_so)
        os.read(go_on, 1)
        os._exit(0)
    os.close(say_so)
    # Its end of the pipe is closed once it is in Python again, and so has run what a fork runs first.
    os.read(child_is_there, 1)
    mine, theirs = descriptors(), {}
    for number in os.listdir(f"/proc/{child}/fd"):
        theirs[number] = os.readlink(f"/proc/{child}/fd/{number}")
    for end in (let_it, go_on, child_is_there):
        os.close(end)
    os.waitpid(child, 0)
    lost = [what for number, what in mine.items() if number not in theirs]
    return ok(start_response, "\n".join(["lost:", *lost, "kept:", *theirs.values()]).encode())


@route
def fork_and_return(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Parent and child return; the parent's answer is the child's number."""
    child = os.fork()
    return ok(start_response, b"%d" % child)


@route
def fork_in_next(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [CTYPE])
    yield b"child "
    child = os.fork()
    yield b"%d" % child


@route
def fork_and_raise(environ: Environ, start_response: StartResponse) -> list[bytes]:
    child = os.fork()
    if child == 0:
        raise RuntimeError("in the child")
    return ok(start_response, b"%d" % child)


@route
def ended(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Wait for a child, and say how it ended."""
    _, status = os.waitpid(int(environ["QUERY_STRING"]), 0)
    return ok(start_response, b"%d" % os.waitstatus_to_exitcode(status))


@route
def inherits(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """What a program that the application starts finds open, even if it asks for everything."""
    done = subprocess.run(
        ["ls", "-l", "/proc/self/fd"], close_fds=False, check=True, stdout=subprocess.PIPE, pass_fds=()
    )
    return ok(start_response, done.stdout)


@route
def default_sigpipe(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """What a C library may do: writing to a closed socket now kills the process, unless it asks not to."""
    import ctypes

    ctypes.CDLL(None).signal(int(signal.SIGPIPE), None)
    caught = int(next(line.split()[1] for line in _status() if line.startswith("SigIgn")), 16)
    assert not caught & 1 << (signal.SIGPIPE - 1)
    return ok(start_response)


def _status() -> list[str]:
    return Path("/proc/self/status").read_text().splitlines()


@route
def daemon(environ: Environ, start_response: StartResponse) -> list[bytes]:
    threading.Thread(target=threading.Event().wait, name="endless", daemon=True).start()
    return ok(start_response)


@route
def endless(environ: Environ, start_response: StartResponse) -> list[bytes]:
    # Without the word it would be a daemon, as the thread that makes it is.
    threading.Thread(target=threading.Event().wait, name="endless", daemon=False).start()
    return ok(start_response)


# What waits, and what takes too much.

locks = (threading.Lock(), threading.Lock())
both_have_one = threading.Barrier(2)
gate = threading.Event()
inside_gate = threading.Semaphore(0)


@route
def deadlock(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """The classic: two requests, each with the lock that the other wants."""
    first, second = locks if environ["QUERY_STRING"] == "one" else reversed(locks)
    with first:
        both_have_one.wait()
        with second:
            return ok(start_response)


@route
def waits(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Until `/opens` is asked for."""
    inside_gate.release()
    gate.wait()
    return ok(start_response)


@route
def opens(environ: Environ, start_response: StartResponse) -> list[bytes]:
    gate.set()
    return ok(start_response)


@route
def inside_waits(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Answers once a request is in `/waits`."""
    inside_gate.acquire()
    return ok(start_response)


@route
def greedy(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """As many bytes as the query says."""
    return ok(start_response, bytes(int(environ["QUERY_STRING"])))


@route
def digest(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """The checksum of a body."""
    return ok(start_response, hashlib.sha256(environ["wsgi.input"].read()).hexdigest().encode())
