"""A client's TLS connection, for what wrk cannot do: handshakes alone, and connections that lie idle."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable

TIMEOUT_SECONDS = 5.0
RECEIVE_BYTES = 65536
# Closed with a reset: ports in TIME_WAIT would be missing in the next round.
RESET = struct.pack("ii", 1, 0)


def context() -> ssl.SSLContext:
    """Return a client's settings for TLS 1.3 that trust any certificate: `verify` compares its bytes."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


class Connection:
    """One TLS connection over a blocking socket; what TLS has to say is sent when it has to wait for more."""

    def __init__(self, context: ssl.SSLContext, port: int, session: ssl.SSLSession | None = None) -> None:
        """Connect, and resume `session` if there is one."""
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._received, self._sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._sent, session=session)
        # From TLS 1.3 on a session's name is its ticket's, so a new one tells of a new ticket.
        self._known = session.id if session else b""

    def shake_hands(self) -> bool:
        """Do the handshake; return whether it resumed a session."""
        self._until(self._tls.do_handshake)
        self._flush()
        return bool(self._tls.session_reused)

    def ticket(self) -> ssl.SSLSession:
        """Wait for a ticket that is not the one it began with; return the session that it resumes."""
        while True:
            session = self._tls.session
            if session and session.has_ticket and session.id != self._known:
                return session
            self._receive()
            self._read()

    def part(self) -> None:
        """Say goodbye and wait until the server has closed."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._flush()
        while self._socket.recv(RECEIVE_BYTES):
            pass

    def exchange(self, request: bytes) -> bytes:
        """Send a request; return the beginning of its answer."""
        self._tls.write(request)
        self._flush()
        while True:
            if answer := self._read():
                return answer
            self._receive()

    def release(self) -> socket.socket:
        """Return the socket and forget the rest, which weighs more in a client than in the server."""
        return self._socket

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _read(self) -> bytes:
        try:
            return self._tls.read(RECEIVE_BYTES)
        except ssl.SSLWantReadError:
            return b""

    def _until(self, action: Callable[[], None]) -> None:
        while True:
            try:
                return action()
            except ssl.SSLWantReadError:
                self._flush()
                self._receive()

    def _flush(self) -> None:
        if waiting := self._sent.read():
            self._socket.sendall(waiting)

    def _receive(self) -> None:
        got = self._socket.recv(RECEIVE_BYTES)
        if not got:
            raise ConnectionError("closed by the server")
        self._received.write(got)
