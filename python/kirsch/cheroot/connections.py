"""What is left of cheroot's ``connections``: the wait of `HTTPServer.serve`, and a count of idle ones.

Connections themselves are the engine's; for programs that watch them there is `_watch`.
"""

import threading
import time

from ._compat import IS_WINDOWS  # noqa: F401 - part of the interface


def prevent_socket_inheritance(sock):
    """Has children that run other programs not inherit a socket."""
    sock.set_inheritable(False)


class _Selector:
    """What the serving thread sleeps on, until the server ends."""

    def __init__(self):
        self._ended = threading.Event()

    def select(self, timeout=None):
        """Sleeps until the end, or the time is over."""
        self._ended.wait(timeout)
        return ()

    def close(self):
        """Wakes whoever sleeps, for good."""
        self._ended.set()


class ConnectionManager:
    """Tells of the connections that the engine keeps idle."""

    def __init__(self, server):
        self.server = server
        self._serving = False
        #: The thread that serves.
        self._thread = None
        self._stop_requested = False
        self._selector = _Selector()

    def run(self, expiration_interval):
        """Waits for the end of the server; in the main thread with a look at signals now and then."""
        self._thread = threading.current_thread()
        is_main = self._thread is threading.main_thread()
        self._serving = True
        try:
            while not self._stop_requested:
                self._selector.select(expiration_interval if is_main else None)
        finally:
            self._serving = False

    def stop(self):
        """Ends `run`, for which it waits a little."""
        self._stop_requested = True
        self._selector.close()
        if threading.current_thread() is self._thread:
            # In a signal handler: what it has interrupted ends behind it.
            return
        deadline = time.monotonic() + 1
        while self._serving and time.monotonic() < deadline:
            time.sleep(0.001)

    def put(self, conn):
        """Keeps a connection for its next request; one that is not served yet is."""
        conn.last_used = time.time()
        if not conn._known:
            self.server.process_conn(conn)

    @property
    def _num_connections(self):
        return self.server._live.kept

    @property
    def can_add_keepalive_connection(self):
        """Whether another connection may be kept idle."""
        most = self.server.keep_alive_conn_limit
        return most is None or self._num_connections < most
