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
import time
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from kirsch import _kirsch
from kirsch._errors import log, printable, report_to_stderr, to_stderr, to_stdout
from kirsch._load import refuse_to_run_while_loading
from kirsch._routes import Application, Route, Rust, Site
from kirsch._server import Server, lingering, start_thread

#: Threads of the application that do not end may hold up the process so long.
_EXIT_SECONDS = 5.0

#: Tools deliver one stop twice: ``timeout`` signals its child and then the group, a shell forwards a Ctrl-C
#: that the terminal has sent already. Nobody who has seen the first fail asks again so soon.
_SAME_STOP_SECONDS = 1.0

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

#: The handlers that were there before ours, while ours are.
_before: dict[int, Any] = {}

#: The signals that a thread blocked before it began to fork.
_forking = threading.local()


def run(
    app: Callable[..., Any] | Application | Rust | None = None,
    *,
    routes: Sequence[Route] = (),
    **settings: Any,
) -> None:
    """Serves applications until SIGINT or SIGTERM ends it; the program goes on after that.

    Called from the main thread it handles those signals while it serves: the first stops accepting and
    finishes what has begun, another one from a second later on ends at once. Handlers that the application
    has installed are called, too. SIGUSR1 opens the access log's file again. SIGHUP stops like the others
    where there is a terminal; without one it asks for a reload, as SIGUSR2 does: certificates, keys,
    authorities and revocation lists of TLS are read again if they have changed; without TLS it is logged
    and not done. From another thread it serves until the process ends.

    Args:
        app: The WSGI application, a ``web.application``, or one in ``kirsch.Rust``; beside routes it
            takes what no route takes.
        routes: As for `Server`.
        **settings: As for `Server`.

    Raises:
        ValueError: If a setting or a route is wrong.
        TypeError: If an application is no WSGI application, or there is none and no route.
        OSError: If an address cannot be listened on, the access log cannot be opened, or a certificate cannot
            be served.
    """
    refuse_to_run_while_loading()
    parsed = _kirsch.Settings.from_keywords(settings)
    site = Site.of_program(app, routes, parsed)
    for text in site.warnings:
        to_stderr(f"kirsch: {text}\n")
    server = Server._of(site, parsed, report_to_stderr)
    _kirsch.start_logging(parsed.log_level)
    _, leave = _serve_until_signal(server)
    if leave is not None:
        raise leave


def serve(
    applications: Sequence[Callable[..., Any]], dispatch: _kirsch.Dispatch, settings: _kirsch.Settings
) -> int:
    """The command ``serve``.

    Returns:
        The exit code: 0 if every request that had begun was finished, otherwise 1.
    """
    server = Server._of(Site(applications, dispatch), settings, report_to_stderr)
    try:
        finished, _ = _serve_until_signal(server)
    except (OSError, RuntimeError, ValueError) as error:
        to_stderr(f"kirsch: {_text(error)}\n")
        return 1
    return 0 if finished else 1


def check(
    applications: Sequence[Callable[..., Any]], dispatch: _kirsch.Dispatch, settings: _kirsch.Settings
) -> int:
    """The command ``check``: everything short of serving.

    Returns:
        The exit code: 0, or 1 if an address cannot be listened on.
    """
    try:
        engine = _kirsch.Engine(list(applications), dispatch, settings, report_to_stderr, sys.stderr)
    except (OSError, ValueError) as error:
        to_stderr(f"kirsch: {_text(error)}\n")
        return 1
    urls = engine.urls
    engine.stop(0)
    engine.release()
    threads = f"{engine.threads} {'thread' if engine.threads == 1 else 'threads'}"
    return 0 if to_stdout(f"{dispatch.brief} can be served on {', '.join(urls)} by {threads}\n") else 1


def _serve_until_signal(server: Server) -> tuple[bool, BaseException | None]:
    """Serves until a signal ends it.

    Returns:
        Whether every request that had begun was finished, and the SystemExit or KeyboardInterrupt of an
        application's handler, if one asked for the end.
    """
    #: When it was asked to stop.
    asked: float | None = None
    # Set up beforehand: a handler may raise wherever the main thread is.
    drain, drained = threading.Event(), threading.Event()
    finished = False

    def end() -> None:
        nonlocal asked
        asked = asked or time.monotonic()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if asked is not None:
            if time.monotonic() - asked < _SAME_STOP_SECONDS:
                return
            # Whoever sends another wants the end, not a reason to wait.
            log("WARN", "ended at once by another signal")
            os._exit(128 + number)
        end()
        previous = _before.get(number)
        if callable(previous) and previous is not signal.default_int_handler:
            previous(number, frame)

    def on_rotation(number: int, frame: FrameType | None) -> None:
        if server.ready:
            server.reopen_access_log()
        previous = _before.get(number)
        if callable(previous):
            previous(number, frame)

    def on_reload(number: int, frame: FrameType | None) -> None:
        if server.ready and server.reload_tls():
            return
        name = signal.Signals(number).name
        log("WARN", f"{name}: reload is not available in this version; restart instead")

    with _Bell(end) as bell:
        main = threading.current_thread() is threading.main_thread()
        if main:
            for wanted in _SIGNALS:
                _before[wanted] = signal.signal(wanted, on_signal)
            _before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, on_rotation)
            # Either would end the process with requests in flight. What the application handles, or `nohup`
            # has had ignored, stays so.
            on_hangup = on_signal if _has_terminal() else on_reload
            for number, handler in ((signal.SIGHUP, on_hangup), (signal.SIGUSR2, on_reload)):
                if signal.getsignal(number) is signal.SIG_DFL:
                    _before[number] = signal.signal(number, handler)

        def say(text: str) -> None:
            if server._settings.log_level in ("info", "debug"):
                bell.calmly(lambda: log("INFO", text))

        def stop() -> None:
            nonlocal finished
            drain.wait()
            try:
                finished = server.stop()
            finally:
                drained.set()
                bell.ring()

        # A thread of its own, so that the main thread stays free for the second signal.
        drainer = threading.Thread(target=stop, name="kirsch-drain", daemon=True)
        try:
            server.start()
            start_thread(drainer)
            threads = server._settings.threads
            brief = server._site.dispatch.brief
            own = server.own_fingerprint
            to_stderr(
                f"Kirsch {_kirsch.__version__} serves {brief} on {', '.join(server.urls)} "
                f"with {threads} {'thread' if threads == 1 else 'threads'}"
                f"{f' and a certificate of its own, SHA-256 {own}' if own else ''}; Ctrl-C stops it\n"
            )
            bell.wait(lambda: asked is not None)
            patience = server._settings.drain_timeout
            say(f"stopping; requests that have begun may take {patience:g} s more")
            bell.calmly(drain.set)
            if not bell.wait(drained.is_set, _SAME_STOP_SECONDS):
                say("requests are still running; another signal ends them at once")
                bell.wait(drained.is_set)
            bell.calmly(drainer.join)
            return finished, bell.leave
        except BaseException:
            server.stop(0)
            drain.set()
            raise
        finally:
            if main:
                _restore_handlers()


def _has_terminal() -> bool:
    """Whether SIGHUP says that the terminal was closed; a service without one is asked to reload by it."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _restore_handlers() -> None:
    while _before:
        number, handler = _before.popitem()
        signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _before_fork() -> None:
    # A signal for the child that comes before its handlers are right has to wait, or would be lost.
    if _before:
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, list(_before))


def _after_fork_in_parent() -> None:
    mask = _forking.__dict__.pop("mask", None)
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _after_fork_in_child() -> None:
    """A child must end by the signals that end any process: nobody there waits for ours."""
    if _before:
        _restore_handlers()
        signal.set_wakeup_fd(-1)
    _after_fork_in_parent()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)


class _Bell:
    """What the main thread sleeps on: rung by other threads, and by every signal.

    A lock would do for threads. But the kernel may hand a signal to any thread, and then only the
    wake-up descriptor tells the main thread, which alone runs Python's signal handlers.
    """

    #: The exception by which a signal handler of the application has asked for the end.
    leave: BaseException | None = None

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end

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

    def wait(self, true: Callable[[], bool], seconds: float | None = None) -> bool:
        """Sleeps until the condition holds; it is looked at whenever somebody rings.

        Args:
            true: The condition.
            seconds: How long to sleep at most.

        Returns:
            Whether the condition holds.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not true():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            self.calmly(lambda left=left: self._sleep(left))  # type: ignore[misc]
        return True

    def calmly(self, act: Callable[[], None]) -> None:
        """Does what may be done twice, whatever the application's signal handlers raise meanwhile.

        One that leaves by SystemExit or KeyboardInterrupt asks for the end; another exception is
        reported, and changes nothing.
        """
        while True:
            try:
                return act()
            except (SystemExit, KeyboardInterrupt) as error:
                self.leave = error
                self._end()
            except Exception as error:
                _report_handler(error)

    def _sleep(self, seconds: float | None) -> None:
        select.select([self._reader], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            self._reader.recv(4096)


def _report_handler(error: Exception) -> None:
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    lines = "".join(traceback.format_exception(type(error), error, trace)).rstrip("\n").split("\n")
    shown = "\n".join(f"  {printable(line)}" for line in lines)
    log("ERROR", f"a signal handler of the application failed\n{shown}")


def end_process(code: int) -> None:
    """Sees to it that the process ends soon, even if threads of the application do not."""
    if lingering():
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
    # Where the system refuses a thread, the end is left to those that there are.
    with contextlib.suppress(RuntimeError):
        timer.start()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()


def _text(error: BaseException) -> str:
    """The engine's own words, without the number in front."""
    return str(error.args[-1]) if error.args else str(error)
