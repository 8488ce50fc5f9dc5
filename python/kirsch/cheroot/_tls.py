"""TLS by an adapter's means: who accepts, and who passes on what was decrypted.

Not of an untouched `BuiltinSSLAdapter`: with that the engine listens itself (`ssl._native`).

The accepting thread does nothing but accept. Each connection has a thread of its own, since the interface
of an adapter is a call that returns when hands were shaken. That thread then stands between the client and
the engine, which sees a connection like any other and bounds how many there are.
"""

import contextlib
import ipaddress
import os
import select
import socket
import threading

from . import errors

#: Read at once.
BLOCK = 64 * 1024

#: The first byte of a TLS record that holds a handshake.
HANDSHAKE = b"\x16"

#: What a client is told that speaks HTTP where TLS is spoken.
NO_TLS = "The client sent a plain HTTP request, but this server only speaks HTTPS on this port."


class Door:
    """Accepts for a server with an adapter."""

    def __init__(self, server):
        self.server = server
        # What the adapter says of a connection, by the inode of the socket that the engine has of it: clients
        # of a unix socket have no address, and one address may have several connections.
        self._environs = {}
        self._lock = threading.Lock()
        self._tunnels = set()
        self._closed = False
        self._is_open = False
        self._thread = threading.Thread(target=self._accept, name="kirsch-tls-accept", daemon=True)

    def open(self):
        """Accepts from now on."""
        with self._lock:
            is_open, self._is_open = self._is_open, True
        if not is_open:
            self._thread.start()

    def close(self):
        """Accepts nobody any more. What is under way goes on until the engine ends it."""
        self._closed = True
        if self._thread.ident is not None:
            self._thread.join(2)

    def end(self, seconds):
        """Ends what is still under way."""
        with self._lock:
            tunnels = list(self._tunnels)
        for tunnel in tunnels:
            tunnel.cut()
        for tunnel in tunnels:
            tunnel.thread.join(seconds)

    def environ_of(self, inode):
        """What the adapter says of the connection with this socket; nothing if it said nothing."""
        return self._environs.get(inode) or {}

    def _note(self, inode, environ):
        with self._lock:
            self._environs[inode] = environ

    def _forget(self, inode, environ):
        with self._lock:
            # Once the engine has closed its socket another may have the number.
            if self._environs.get(inode) is environ:
                del self._environs[inode]

    def _accept(self):
        server = self.server
        listener = server.socket
        while not self._closed:
            # Woken several times a second: an adapter's socket has no sure way to be woken by others.
            readable, _, _ = select.select([listener.fileno()], [], [], 0.1)
            if not readable or self._closed:
                continue
            try:
                connection, address = listener.accept()
            except OSError as error:
                if not self._closed and error.errno not in errors.socket_errors_nonblocking:
                    select.select([], [], [], 0.05)
                continue
            if server.ssl_adapter is None:
                self._enter_plain(connection, address)
                continue
            tunnel = _Tunnel(self, connection, address)
            with self._lock:
                self._tunnels.add(tunnel)
            tunnel.thread.start()

    def _enter_plain(self, connection, address):
        """Hands a connection over that nobody has to decrypt any more."""
        with connection, contextlib.suppress(OSError):
            self.server._engine.admit(connection.fileno(), _peer(address), ("localhost", "80"), False)

    def _ended(self, tunnel):
        with self._lock:
            self._tunnels.discard(tunnel)


class _Tunnel:
    """One client's way to the engine."""

    def __init__(self, door, connection, address):
        self.door = door
        self.raw = connection
        self.address = address
        self.inner = None
        self.thread = threading.Thread(target=self._run, name="kirsch-tls", daemon=True)

    def cut(self):
        """Ends it, from another thread."""
        for it in (self.inner, self.raw):
            with contextlib.suppress(OSError, AttributeError, TypeError):
                it.shutdown(socket.SHUT_RDWR)

    def _run(self):
        secured = self.raw
        environ = inode = None
        try:
            secured, environ = self._shake_hands()
            if secured is None:
                return
            receive = getattr(self.door.server.ssl_adapter, "receive", _receive)
            # With some adapters hands are shaken with the first byte.
            first = receive(secured, BLOCK)
            inode = self._enter(environ)
            self._pass_on(secured, receive, first)
        except errors.NoSSLError as error:
            self._refuse_plain(secured, error)
        except errors.FatalSSLAlert as error:
            self._lost(error)
        except OSError:
            # The client or the engine has left, in whatever way.
            pass
        finally:
            if inode is not None:
                self.door._forget(inode, environ)
            for it in (self.inner, secured, self.raw):
                if it is not None:
                    with contextlib.suppress(Exception):
                        it.close()
            self.door._ended(self)

    def _shake_hands(self):
        server = self.door.server
        self.raw.settimeout(server.timeout)
        if isinstance(self.raw, socket.socket) and self.raw.recv(1, socket.MSG_PEEK) not in (b"", HANDSHAKE):
            raise errors.NoSSLError("no TLS handshake")
        try:
            secured, environ = server.ssl_adapter.wrap(self.raw)
        except errors.FatalSSLAlert as error:
            self._lost(error)
            return None, None
        secured.settimeout(server.timeout)
        return secured, environ

    def _lost(self, error):
        self.door.server.error_log(
            f"Client {self.address!s} lost — peer dropped the TLS connection suddenly, during "
            f"handshake: {error!s}"
        )

    def _refuse_plain(self, secured, error):
        server = self.door.server
        server.error_log(
            f"Client {self.address!s} attempted to speak plain HTTP into a TCP connection "
            f"configured for TLS-only "
            f"traffic — trying to send back a plain HTTP error response: {error!s}"
        )
        plain = getattr(secured, "_socket", None) or getattr(secured, "_sock", None) or secured
        head = f"{server.protocol} 400 Bad Request\r\nContent-Length: {len(NO_TLS)}\r\n"
        answer = f"{head}Content-Type: text/plain\r\nConnection: close\r\n\r\n{NO_TLS}"
        with contextlib.suppress(OSError):
            plain.sendall(answer.encode("latin-1"))
            plain.shutdown(socket.SHUT_WR)
            # Its request was not read: without this the answer would be lost to a reset.
            plain.settimeout(1)
            while plain.recv(BLOCK):
                pass

    def _enter(self, environ):
        server = self.door.server
        theirs, self.inner = socket.socketpair()
        with theirs:
            inode = os.fstat(theirs.fileno()).st_ino
            self.door._note(inode, environ)
            try:
                server._engine.admit(theirs.fileno(), _peer(self.address), ("localhost", "443"))
            except BaseException:
                self.door._forget(inode, environ)
                raise
        return inode

    def _pass_on(self, secured, receive, first):
        """Until both have ended: what the client sends to the engine, and what that answers to the client."""
        inner = self.inner
        inner.setblocking(False)
        unsent = first
        reads = True
        if not first:
            reads = False
            inner.shutdown(socket.SHUT_WR)
        pending = getattr(secured, "pending", lambda: 0)
        while True:
            wants = [inner]
            if reads and not unsent:
                wants.append(secured)
            waits = 0 if len(wants) == 2 and pending() else None
            readable, writable, _ = select.select(
                [it.fileno() for it in wants], [inner.fileno()] if unsent else [], [], waits
            )
            if inner.fileno() in readable:
                answer = inner.recv(BLOCK)
                if not answer:
                    return
                secured.sendall(answer)
            if writable:
                unsent = unsent[inner.send(unsent) :]
                continue
            if waits == 0 or (len(wants) == 2 and secured.fileno() in readable):
                try:
                    unsent = receive(secured, BLOCK)
                except TimeoutError:
                    # Part of a record: the engine minds the clock.
                    continue
                if not unsent:
                    reads = False
                    inner.shutdown(socket.SHUT_WR)


def _peer(address):
    """What the engine is told of a client."""
    if not isinstance(address, tuple):
        return None
    host = ipaddress.ip_address(address[0].partition("%")[0])
    return getattr(host, "ipv4_mapped", None) or host, address[1]


def _receive(secured, size):
    return secured.recv(size)
