"""``kirsch.Server``: a server in the background of a program."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from kirsch import _kirsch
from kirsch._errors import Errors, logger, report_to_logging
from kirsch._routes import Application, Route, Rust, Site

#: Servers that have sockets: a forked child must close them, and the interpreter must not end before they do,
#: even if the program has forgotten them.
_running: set[Server] = set()

#: Threads of stopped servers that have not come back from the application.
_lingering: set[threading.Thread] = set()

#: A thread that has not returned by then, after everything was ended, is in the application.
_JOIN_SECONDS = 5.0

#: The same where a request was cut off, which hardly ends sooner for being waited for.
_STUCK_SECONDS = 0.5


class Server:
    """Serves WSGI applications on threads of its own.

    It installs no signal handlers and prints nothing; exceptions of the application go to the logger
    ``kirsch``, and so does what becomes of the files of TLS. Every method may be called from any thread.
    After `stop` it can be started again.

        with kirsch.Server(app, bind="127.0.0.1:0") as server:
            host, port = server.addresses[0]

    Args:
        app: The WSGI application, a ``web.application``, or one in ``kirsch.Rust``; beside routes it
            takes what no route takes.
        routes: What is tried for each request, in this order; the first that matches answers.
        **settings: As the command line's options, with underscores: ``bind``, ``threads``,
            ``timeout_drain`` and so on; sizes and durations as numbers or text (``"64KiB"``, ``"30s"``).
            All are listed in the settings reference.

    Raises:
        ValueError: If a setting or a route is wrong; the text says which and what to write instead.
        TypeError: If an application is no WSGI application, or there is none and no route.
    """

    def __init__(
        self,
        app: Callable[..., Any] | Application | Rust | None = None,
        *,
        routes: Sequence[Route] = (),
        **settings: Any,
    ) -> None:
        parsed = _kirsch.Settings.from_keywords(settings)
        site = Site.of_program(app, routes, parsed)
        for text in site.warnings:
            logger.warning("%s", text)
        self._prepare(site, parsed, report_to_logging, _tell_of_tls)

    @classmethod
    def _of(cls, site: Site, settings: _kirsch.Settings, report: Callable[..., None]) -> Server:
        """A server for applications that were checked, with settings that were parsed."""
        server = cls.__new__(cls)
        # The engine's own log, which goes to standard error, tells of TLS there.
        server._prepare(site, settings, report, None)
        return server

    def _prepare(
        self,
        site: Site,
        settings: _kirsch.Settings,
        report: Callable[..., None],
        tell: Callable[[int, str], None] | None,
    ) -> None:
        self._site = site
        self._settings = settings
        self._report = report
        self._tell = tell
        # A signal handler may stop the server while the main thread is stopping it.
        self._lock = threading.RLock()
        self._engine: _kirsch.Engine | None = None
        self._threads: list[threading.Thread] = []
        self._descriptors: list[tuple[int, int]] = []

    def start(self) -> Server:
        """Opens the sockets and starts the threads; when it returns, requests are served.

        Returns:
            The server itself.

        Raises:
            OSError: If an address cannot be listened on, or the access log cannot be opened.
            RuntimeError: If it runs already.
        """
        with self._lock:
            if self._engine is not None:
                raise RuntimeError("the server runs already; stop it first")
            site = self._site
            engine = _kirsch.Engine(
                list(site.applications), site.dispatch, self._settings, self._report, Errors()
            )
            # With what tells them from files that get the same number once these are closed.
            self._descriptors = [(number, os.fstat(number).st_ino) for number in engine.descriptors]
            _running.add(self)
            threads = [
                threading.Thread(target=engine.work, args=(idx,), name=f"kirsch-{idx}", daemon=True)
                for idx in range(engine.threads)
            ]
            if engine.has_tls:
                watch = threading.Thread(
                    target=engine.watch_tls, args=(self._tell,), name="kirsch-tls", daemon=True
                )
                threads.append(watch)
            started = []
            try:
                for thread in threads:
                    start_thread(thread)
                    started.append(thread)
            except BaseException:
                engine.stop(0)
                _end(engine, started, _JOIN_SECONDS)
                self._descriptors = []
                _running.discard(self)
                raise
            self._engine, self._threads = engine, threads
        return self

    def stop(self, timeout: float | None = None) -> bool:
        """Stops accepting, finishes the requests that have begun, then ends the threads.

        From within a request it returns at once, and the stop goes on in the background.

        Args:
            timeout: Seconds to wait for requests that have begun; without it the setting ``timeout_drain``.
                0 ends them at once.

        Returns:
            Whether every request that had begun was finished. True if the server did not run.
        """
        if threading.current_thread() in self._threads:
            threading.Thread(target=self.stop, args=(timeout,), name="kirsch-stop", daemon=True).start()
            return False
        with self._lock:
            engine, threads = self._engine, self._threads
            if engine is None:
                return True
            finished = engine.stop(timeout)
            # A signal handler may have done the rest meanwhile.
            if self._engine is engine:
                _end(engine, threads, _JOIN_SECONDS if finished else _STUCK_SECONDS)
                self._engine, self._threads, self._descriptors = None, [], []
                _running.discard(self)
        return finished

    def stop_now(self) -> None:
        """Ends the wait of a `stop` that is under way."""
        engine = self._engine
        if engine is not None:
            engine.stop_now()

    def reopen_access_log(self) -> None:
        """Opens the access log's file again, after it was moved away for rotation."""
        self._running_engine().reopen_access_log()

    def reload_tls(self) -> bool:
        """Looks at the files of TLS at once, instead of in a few seconds; does not wait for it.

        What came of it goes to the logger ``kirsch``: new files that are served now as ``INFO``, what is
        doubtful about them as ``WARNING``, files that cannot be served as ``ERROR``.

        Returns:
            Whether there is TLS, and so something to look at.
        """
        return self._running_engine().reload_tls()

    @property
    def ready(self) -> bool:
        """Whether requests are served."""
        return self._engine is not None

    @property
    def addresses(self) -> list[tuple[str, int] | str]:
        """What is listened on: ``(host, port)`` with the port that was taken, or a unix socket's path."""
        return self._running_engine().addresses

    @property
    def urls(self) -> list[str]:
        """What is listened on, as in the start-up line: ``http://127.0.0.1:8000``, ``unix:/run/app.sock``."""
        return self._running_engine().urls

    @property
    def own_fingerprint(self) -> str | None:
        """SHA-256 of the certificate that the server has made for itself (``tls_self_signed``), if it has."""
        return self._running_engine().own_fingerprint

    def statistics(self) -> dict[str, Any]:
        """Counters since the start, and what each thread is doing; the embedding guide lists the keys."""
        return self._running_engine().statistics()

    def _running_engine(self) -> _kirsch.Engine:
        engine = self._engine
        if engine is None:
            raise RuntimeError("the server does not run; call start() first")
        return engine

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _tell_of_tls(level: int, text: str) -> None:
    logger.log(level, "%s", text)


def start_thread(thread: threading.Thread) -> None:
    """Starts a thread.

    Raises:
        RuntimeError: If the system refuses it; the text says what to do.
    """
    try:
        thread.start()
    except RuntimeError as error:
        raise RuntimeError(
            f"the system refuses a thread ({error}); allow this user more processes (`ulimit -u`), or the "
            "container (`pids.max`), or set fewer threads"
        ) from error


def _end(engine: _kirsch.Engine, threads: list[threading.Thread], seconds: float) -> None:
    """Waits for the threads of a stopped engine; lets go of its sockets if they have all come back."""
    _join(threads, seconds)
    alive = [thread for thread in threads if thread.is_alive()]
    _lingering.update(alive)
    if alive:
        # The process may end without them.
        engine.close_access_log()
    else:
        engine.release()


def _join(threads: list[threading.Thread], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def lingering() -> bool:
    """Whether threads of stopped servers are still in the application."""
    _lingering.difference_update([thread for thread in _lingering if not thread.is_alive()])
    return bool(_lingering)


def _stop_at_exit() -> None:
    """Stops what still runs: a thread that comes back to the engine after the interpreter would crash."""
    for server in list(_running):
        server.stop_now()
        server.stop(0)
    _join(list(_lingering), _JOIN_SECONDS)
    if lingering():
        logger.error("the process ends without the threads of the server that are still in the application")
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, OSError, ValueError):
                stream.flush()
        os._exit(1)


atexit.register(_stop_at_exit)


def _after_fork_in_child() -> None:
    """A child has copies of the sockets and none of the threads: it must not hold, nor use, the server."""
    _kirsch.after_fork_in_child()
    for server in _running:
        for number, inode in server._descriptors:
            with contextlib.suppress(OSError):
                if os.fstat(number).st_ino == inode:
                    os.close(number)
        server._engine, server._threads, server._descriptors = None, [], []
        server._lock = threading.RLock()
    _running.clear()
    _lingering.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
