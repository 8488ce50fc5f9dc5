"""An application with signal handlers of its own."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

PATIENCE_SECONDS = 10.0

waiting = threading.Event()
seen: dict[str, threading.Event] = {name: threading.Event() for name in ("SIGUSR2", "SIGALRM")}


def remember(number: int, frame: FrameType | None) -> None:
    if threading.current_thread() is threading.main_thread():
        seen[signal.Signals(number).name].set()


def say(number: int, frame: FrameType | None) -> None:
    print("the application saw", signal.Signals(number).name, flush=True)


signal.signal(signal.SIGUSR2, remember)
signal.signal(signal.SIGALRM, remember)
signal.signal(signal.SIGTERM, say)


def outlive_the_main_thread() -> None:
    threading.main_thread().join()
    print("the thread has done its work", flush=True)


def begun() -> Iterator[bytes]:
    yield b"the first block"
    waiting.set()
    threading.Event().wait()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Wait for a signal in the main thread, say whether somebody waits, end a child, or leave a thread."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    path = environ["PATH_INFO"]
    if path == "/child":
        with subprocess.Popen(["sleep", "60"]) as child:
            child.terminate()
            return [str(child.wait()).encode()]
    if path == "/thread":
        threading.Thread(target=outlive_the_main_thread, daemon=False).start()
        return [str(threading.Thread().daemon).encode()]
    if path == "/waiting":
        return [str(waiting.wait(PATIENCE_SECONDS)).encode()]
    if path == "/begun":
        return begun()
    if path.startswith("/wait/"):
        waiting.set()
        return [b"seen in the main thread" if seen[path[6:]].wait(PATIENCE_SECONDS) else b"nothing came"]
    return [b"plain"]
