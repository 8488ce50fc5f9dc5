"""Connections of a program that wants to hear of them, and not of requests only: who accepts, and who tells.

The engine owns connections, and most programs ask for requests. Where one has replaced what cheroot does with
a connection itself (`server.HTTPServer._is_watched`), its server gets a `Watch`: a thread that accepts in the
engine's place, makes a `ConnectionClass` of each connection and gives it to `HTTPServer.process_conn`, which
hands it over to the engine. When it has ended the object is told: ``communicate()`` once, with nothing to
read, if it never was asked anything, as cheroot does; then ``close()``.

It does not know requests: `server.HTTPServer._serve_objects` asks for the object of a request's connection.
"""

import contextlib
import ipaddress
import logging
import os
import select
import socket
import threading

from . import errors
from ._wire import NothingSent
from .makefile import MakeFile

#: Ends while the system has no descriptor for another connection.
_PAUSE = 0.05
#: What hooks may take at a stop in any case: tests set `shutdown_timeout` to nothing.
_LEAST_SECONDS = 5


class Watch:
    """The connections of one server, which come by this listener."""

    def __init__(self, server, listener):
        self._server = server
        self._lock = threading.Lock()
        #: By the socket's inode, which a duplicate has as well.
        self._known = {}
        # By the descriptor that the poll knows: one of our own, since programs may close theirs.
        self._marks = {}
        self._poll = select.epoll()
        self._bell, self._ring = socket.socketpair()
        self._poll.register(self._bell.fileno(), select.EPOLLIN)
        self._listener = listener.dup()
        self._listener.setblocking(False)
        self._poll.register(self._listener.fileno(), select.EPOLLIN)
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="kirsch-watch", daemon=True)
        self._thread.start()

    def refuse(self):
        """Accepts nobody any more."""
        listener, self._listener = self._listener, None
        if listener is not None:
            self._poll.unregister(listener.fileno())
            listener.close()

    def end(self):
        """Tells the objects that are left, once the engine has ended.

        When this returns it has told all of them, or one has taken more than the server's `shutdown_timeout`.
        """
        # Before anything else that may wake the thread: it closes this as soon as it knows of the end.
        self._ring.send(b"\0")
        self._ending = True
        if threading.current_thread() is self._thread:
            self._tell_all()
        else:
            # A hook that never returns holds up a stop no longer than a request would.
            patience = self._server.shutdown_timeout
            self._thread.join(None if patience is None else max(patience, _LEAST_SECONDS))

    def admit(self, conn):
        """Has the engine serve a connection.

        Raises:
            OSError: If it serves nobody any more, or has as many connections as it may have.
        """
        mark = os.dup(conn.socket.fileno())
        known = _Known(conn, mark, os.fstat(mark).st_ino)
        with self._lock:
            self._known[known.inode] = self._marks[mark] = known
        conn._known = True
        try:
            self._server._engine.admit(mark, _peer(conn), ("localhost", "80"), False)
        except BaseException:
            with self._lock:
                self._forget(known)
            raise
        with self._lock:
            if not known.ended:
                # No event is asked for: what is told in any case is that both directions have ended.
                self._poll.register(mark, 0)

    def enter(self, wire):
        """The object of the connection that a request came by, which is not told of an end until `leave`."""
        inode = wire.inode()
        with self._lock:
            known = self._known.get(inode)
            if known is not None:
                known.busy = known.asked = True
        return known

    def leave(self, known, taken):
        """The request is answered, or its connection is the program's now."""
        with self._lock:
            known.busy = False
            ended = known.ended
            if taken and not ended:
                known.ended = True
                self._forget(known)
        if ended and not taken:
            self._tell(known)

    def _run(self):
        while not self._ending:
            for number, _ in self._poll.poll():
                if number in self._marks:
                    self._ended(number)
                elif number != self._bell.fileno():
                    self._accept()
        self._tell_all()
        for it in (self._poll, self._bell, self._ring):
            it.close()

    def _accept(self):
        server, listener = self._server, self._listener
        if listener is None:
            return
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno not in errors.socket_errors_nonblocking:
                select.select([], [], [], _PAUSE)
            return
        try:
            sock = Accepted(fileno=sock.detach())
            sock.settimeout(server.timeout)
            conn = server.ConnectionClass(server, sock, MakeFile)
            if isinstance(address, tuple):
                host = ipaddress.ip_address(address[0].partition("%")[0])
                conn.remote_addr = str(getattr(host, "ipv4_mapped", None) or host)
                conn.remote_port = address[1]
            conn.ssl_env = {}
            server.process_conn(conn)
        except Exception:
            # Said before the client sees it.
            server.error_log("Error in HTTPServer.serve", level=logging.ERROR, traceback=True)
            sock.close()
        except BaseException as error:
            sock.close()
            server._complain(error, *address[:2])

    def _ended(self, mark):
        with self._lock:
            known = self._marks.get(mark)
            if known is None:
                return
            self._forget(known)
            known.ended = True
            if known.busy:
                return
        self._tell(known)

    def _tell_all(self):
        while self._marks:
            with contextlib.suppress(StopIteration):
                self._ended(next(iter(self._marks)))

    def _forget(self, known):
        self._known.pop(known.inode, None)
        self._marks.pop(known.mark, None)
        with contextlib.suppress(OSError):
            self._poll.unregister(known.mark)
        os.close(known.mark)

    def _tell(self, known):
        conn = known.conn
        if not known.asked:
            self._have(known, conn.communicate)
        # Unless the program has closed it, or goes on with it.
        if known.socket.fileno() >= 0 and not conn.linger:
            # Nothing is lost if it fails: the connection has ended.
            self._have(known, conn.close)
            with contextlib.suppress(OSError):
                known.socket.close()

    def _have(self, known, act):
        """Does something that may be the program's own."""
        conn = known.conn
        try:
            act()
        except NothingSent:
            pass
        except ConnectionError as error:
            self._server.error_log(
                "Got a connection error while handling a connection from "
                f"{conn.remote_addr!s}:{conn.remote_port!s} ({error!s})",
                level=logging.INFO,
            )
        except BaseException as error:
            self._server._complain(error, conn.remote_addr, conn.remote_port)


class _Known:
    """What is known of a connection."""

    def __init__(self, conn, mark, inode):
        self.conn = conn
        self.socket = conn.socket
        self.mark = mark
        self.inode = inode
        #: Whether a request came by it.
        self.asked = False
        #: Whether one is being answered.
        self.busy = False
        self.ended = False


class Accepted(socket.socket):
    """The socket of a connection that the engine serves; a duplicate of what that has."""

    #: Whether the engine answers a request.
    engaged = False

    def shutdown(self, how):
        """Ends the connection; behind the answer to a request, while there is one."""
        super().shutdown(socket.SHUT_RD if self.engaged else how)


def _peer(conn):
    """What applications are told of a client."""
    if conn.remote_addr is None or not conn.remote_port:
        return None
    return ipaddress.ip_address(conn.remote_addr), int(conn.remote_port)
