"""What stands in the place of a socket while objects serve a request that the engine has read."""

import contextlib
import errno
import io
import os
import socket


class NothingSent(BaseException):
    """Ends a request that nobody answered: the connection closes. No mistake, so nobody reports it."""


class Wire:
    """One request of the engine's: its ``environ``, its body, and the way its response takes."""

    def __init__(self, environ, start_response, timeout):
        self.environ = environ
        #: Of the socket, once it is asked for.
        self.timeout = timeout
        #: Whether the response has begun.
        self.begun = False
        #: Whether the client was told that the connection closes behind the response.
        self.told_close = False
        #: Whether the connection is the program's, and no longer the engine's.
        self.taken = False
        self._start_response = start_response
        # Taken now: who may still write is waited for until ``close()`` was called.
        self._write = start_response.write
        self._socket = None

    def begin(self, status, headers):
        """Sends a head: a status and pairs, all of them bytes."""
        self.begun = True
        self.told_close = any(
            name.lower() == b"connection" and value.lower() == b"close" for name, value in headers
        )
        if status.startswith(b"101"):
            # What comes next is no HTTP, and none of the engine's business.
            lines = [b"HTTP/1.1 " + status, *(name + b": " + value for name, value in headers)]
            # It would end the line, and the rest be taken for fields of the application's.
            if any(control in line for line in lines for control in (b"\r", b"\n", b"\0")):
                raise ValueError("a status or field must not hold control characters")
            self.take()
            self._socket.sendall(b"\r\n".join([*lines, b"", b""]))
            return
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        self._start_response(status.decode("latin-1"), pairs)

    def write(self, block):
        """Sends a block of the body."""
        self.begun = True
        if self.taken:
            self._socket.sendall(block)
        elif block:
            try:
                self._write(bytes(block))
            except BrokenPipeError as error:
                # With the number that programs look for.
                raise BrokenPipeError(errno.EPIPE, str(error)) from None

    def makefile(self, mode="rb", bufsize=-1):
        """Reads the request's body, or writes the response's."""
        return WireReader(self) if "r" in mode else WireWriter(self)

    def real(self):
        """The connection's own socket, of which this is a duplicate."""
        if self._socket is None:
            number = self._start_response and self._start_response.socket()
            if number is None:
                raise OSError(errno.ENOTCONN, "the connection is in the engine's hands")
            self._socket = socket.socket(fileno=number)
            # The engine's is one that does not block, and so is this: it waits with a timeout.
            self._socket.settimeout(self.timeout)
        return self._socket

    def use(self, sock):
        """Has this for the connection's socket, which stays its owner's."""
        self._socket = sock

    def take(self):
        """Takes the connection away from the engine: `real` is all there is of it then.

        Raises:
            OSError: If that cannot be, over TLS or once the client is slow.
        """
        self.real()
        taken = self._start_response.take_socket()
        if taken is None:
            raise OSError(errno.ENOTCONN, "the connection is in the engine's hands")
        number, behind = taken
        os.close(number)
        self.taken = True
        if behind:
            # Nobody could read it from the socket any more.
            raise ConnectionAbortedError(errno.ECONNABORTED, "the client did not wait for the answer")

    def inode(self):
        """The number of the connection's socket, which its duplicates have too; none over TLS."""
        return inode(self._start_response)

    def shutdown(self, how=socket.SHUT_RDWR):
        """Nothing: the engine ends connections, after what was sent has arrived; unless this was taken."""
        if self.taken:
            self._socket.shutdown(how)

    def close(self):
        """Lets go of what `real` has given; a connection that was taken ends."""
        if self._socket is not None:
            if self.taken:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None

    def forget(self):
        """The request is over: whoever keeps this has nothing of the engine's any more."""
        self._start_response = self._write = None

    def __getattr__(self, name):
        # `family`, `getsockopt`, `getpeername`, `fileno` and the like.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.real(), name)


def inode(start_response):
    """The number of the socket that a request came by, which its duplicates have too; none over TLS."""
    number = start_response.socket()
    if number is None:
        return None
    try:
        return os.fstat(number).st_ino
    finally:
        os.close(number)


class NoRequest:
    """In the place of a request where there is none: the connection has ended without."""

    environ = None
    #: There is nobody to answer.
    begun = True
    taken = told_close = False


class WireReader(io.RawIOBase):
    """The body of a request, decoded."""

    def __init__(self, wire):
        super().__init__()
        self.wire = wire
        self.bytes_read = 0
        self._input = wire.environ["wsgi.input"]

    def _count(self, data):
        self.bytes_read += len(data)
        return data

    def read(self, size=-1):
        """Reads at most so many bytes; all without a size."""
        return self._count(self._input.read(-1 if size is None else size))

    def readline(self, size=-1):
        """Reads a line."""
        return self._count(self._input.readline(-1 if size is None else size))

    def readable(self):
        """Whether it can be read: yes."""
        return True

    def has_data(self):
        """Whether something of a next request was read: that is the engine's."""
        return False

    def read_trailer_lines(self):
        """The lines behind a body that came in chunks."""
        return self._input.read_trailer_lines()

    @property
    def raw(self):
        """The stream whose ``_sock`` is the connection's socket."""
        return socket.SocketIO(self.wire.real(), "rwb")

    def detach(self):
        """That stream, for who takes the connection over."""
        return self.raw


class WireWriter(io.RawIOBase):
    """The body of a response."""

    def __init__(self, wire):
        super().__init__()
        self.wire = wire
        self.bytes_written = 0

    def write(self, block):
        """Sends a block."""
        self.wire.write(block)
        self.bytes_written += len(block)
        return len(block)

    def writable(self):
        """Whether it can be written: yes."""
        return True
