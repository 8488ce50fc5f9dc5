"""``kirsch.run`` and what the commands ``serve`` and ``check`` do once the application is loaded."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from kirsch import _kirsch
from kirsch._errors import report_to_stderr, to_stderr
from kirsch._server import Server, _checked

#: Threads of the application that do not end may hold up the process so long.
_EXIT_SECONDS = 5.0

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(app: Callable[..., Any], **settings: Any) -> None:
    """Serves an application until SIGINT or SIGTERM ends it; the program goes on after that.

    Called from the main thread it handles those signals while it serves: the first stops accepting and
    finishes what has begun, the second ends at once. Handlers that the application has installed are
    called, too. SIGUSR1 opens the access log's file again. From another thread it serves until the
    process ends.

    Args:
        app: The WSGI application, or a ``web.application``.
        **settings: As for `Server`.

    Raises:
        ValueError: If a setting is wrong.
        TypeError: If ``app`` is no WSGI application.
        OSError: If an address cannot be listened on, or the access log cannot be opened.
    """
    parsed = _kirsch.Settings.from_keywords(settings)
    server = Server._of(_checked(app), parsed, report_to_stderr)
    _kirsch.start_logging(parsed.log_level)
    _serve_until_signal(server, _name(app))


def serve(app: Callable[..., Any], settings: _kirsch.Settings, name: str) -> int:
    """The command ``serve``.

    Returns:
        The exit code: 0 if every request that had begun was finished, otherwise 1.
    """
    server = Server._of(app, settings, report_to_stderr)
    try:
        finished = _serve_until_signal(server, name)
    except (OSError, RuntimeError) as error:
        to_stderr(f"kirsch: {_text(error)}\n")
        return 1
    _end_process(0 if finished else 1)
    return 0 if finished else 1


def check(app: Callable[..., Any], settings: _kirsch.Settings, name: str) -> int:
    """The command ``check``: everything short of serving.

    Returns:
        The exit code: 0, or 1 if an address cannot be listened on.
    """
    try:
        engine = _kirsch.Engine(app, settings, report_to_stderr, sys.stderr)
    except OSError as error:
        to_stderr(f"kirsch: {_text(error)}\n")
        return 1
    urls = engine.urls
    engine.stop(0)
    engine.release()
    print(f"{name} can be served on {', '.join(urls)} by {engine.threads} threads")
    return 0


def _serve_until_signal(server: Server, name: str) -> bool:
    stopping = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stopping.is_set():
            # The second: whoever sends it wants the end, not a reason to wait.
            to_stderr("kirsch: ended at once\n")
            os._exit(128 + number)
        stopping.set()
        previous = before.get(number)
        if callable(previous) and previous is not signal.default_int_handler:
            previous(number, frame)

    def on_rotation(number: int, frame: FrameType | None) -> None:
        if server.ready:
            server.reopen_access_log()
        previous = before.get(number)
        if callable(previous):
            previous(number, frame)

    before: dict[int, Any] = {}
    with _Bell() as bell:
        if threading.current_thread() is threading.main_thread():
            for wanted in _SIGNALS:
                before[wanted] = signal.signal(wanted, on_signal)
            before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, on_rotation)
        try:
            server.start()
            threads = server._settings.threads
            to_stderr(
                f"Kirsch {_kirsch.__version__} serves {name} on {', '.join(server.urls)} "
                f"with {threads} {'thread' if threads == 1 else 'threads'}; Ctrl-C stops it\n"
            )
            bell.wait(stopping.is_set)
            patience = server._settings.drain_timeout
            to_stderr(f"kirsch: stopping; requests that have begun may take {patience:g} s more\n")
            # In a thread of its own, so that the main thread stays free for the second signal.
            answers: list[bool] = []

            def drain() -> None:
                answers.append(server.stop())
                bell.ring()

            drainer = threading.Thread(target=drain, name="kirsch-drain")
            drainer.start()
            bell.wait(lambda: bool(answers))
            # On its way out it would look like a thread that is stuck, and the end like one in disorder.
            drainer.join()
            return answers == [True]
        finally:
            for number, handler in before.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)


class _Bell:
    """What the main thread sleeps on: rung by other threads, and by every signal.

    A lock would do for threads. But the kernel may hand a signal to any thread, and then only the
    wake-up descriptor tells the main thread, which alone runs Python's signal handlers.
    """

    def __enter__(self) -> _Bell:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._before: int | None = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.set_wakeup_fd(self._before)
        self._reader.close()
        self._writer.close()

    def ring(self) -> None:
        """Wakes the sleeper, now or at its next wait."""
        # Full: it is awake; closed: it has gone.
        with contextlib.suppress(OSError):
            self._writer.send(b"\0")

    def wait(self, true: Callable[[], bool]) -> None:
        """Sleeps until the condition holds; it is looked at whenever somebody rings."""
        while not true():
            select.select([self._reader], [], [])
            with contextlib.suppress(BlockingIOError):
                self._reader.recv(4096)


def _end_process(code: int) -> None:
    """Ends the process in any case, even if threads of the application do not."""
    stuck = [thread for thread in threading.enumerate() if thread.name.startswith("kirsch-")]
    if stuck:
        # Threads in the engine cannot be ended: an orderly end of the interpreter would abort.
        logging.shutdown()
        _kirsch.end_logging()
        _flush()
        os._exit(code)

    _kirsch.end_logging()

    def end() -> None:
        _flush()
        os._exit(code)

    timer = threading.Timer(_EXIT_SECONDS, end)
    timer.daemon = True
    timer.start()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()


def _text(error: BaseException) -> str:
    """The engine's own words, without the number in front."""
    return str(error.args[-1]) if error.args else str(error)


def _name(app: Any) -> str:
    module = getattr(app, "__module__", None)
    name = getattr(app, "__qualname__", None) or type(app).__qualname__
    return f"{module}:{name}" if module else str(name)
