"""An application whose signal handlers raise, and which says when the interpreter ends in order."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

PATIENCE_SECONDS = 10.0

waiting, released = threading.Event(), threading.Event()


def leave(number: int, frame: FrameType | None) -> None:
    sys.exit(3)


def release_and_raise(number: int, frame: FrameType | None) -> None:
    released.set()
    raise LookupError("a handler's own mistake")


signal.signal(signal.SIGTERM, leave)
signal.signal(signal.SIGUSR2, release_and_raise)
atexit.register(print, "the interpreter ended in order", flush=True)


def sleep(ready: Any) -> None:
    ready.set()
    time.sleep(60)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Wait to be released, say whether somebody waits, or end a forked child."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    path = environ["PATH_INFO"]
    if path == "/waiting":
        return [str(waiting.wait(PATIENCE_SECONDS)).encode()]
    if path == "/wait":
        waiting.set()
        return [b"released" if released.wait(PATIENCE_SECONDS) else b"forgotten"]
    if path == "/forked":
        processes = multiprocessing.get_context("fork")
        ready = processes.Event()
        child = processes.Process(target=sleep, args=(ready,))
        child.start()
        # What a handler raises in the middle of a fork is lost, with or without a server.
        ready.wait(PATIENCE_SECONDS)
        child.terminate()
        child.join(PATIENCE_SECONDS)
        code = child.exitcode
        child.kill()
        return [str(code).encode()]
    return [b"plain"]
