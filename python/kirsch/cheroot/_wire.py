"""What stands in the place of a socket while objects serve a request that the engine has read."""

import errno
import io
import socket


class NothingSent(BaseException):
    """Ends a request that nobody answered: the connection closes. No mistake, so nobody reports it."""


class Wire:
    """One request of the engine's: its ``environ``, its body, and the way its response takes."""

    def __init__(self, environ, start_response):
        self.environ = environ
        #: Whether the response has begun.
        self.begun = False
        self._start_response = start_response
        # Taken now: who may still write is waited for until ``close()`` was called.
        self._write = start_response.write
        self._socket = None

    def begin(self, status, headers):
        """Sends a head: a status and pairs, all of them bytes."""
        self.begun = True
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        self._start_response(status.decode("latin-1"), pairs)

    def write(self, block):
        """Sends a block of the body."""
        self.begun = True
        if block:
            self._write(bytes(block))

    def makefile(self, mode="rb", bufsize=-1):
        """Reads the request's body, or writes the response's."""
        return WireReader(self) if "r" in mode else WireWriter(self)

    def real(self):
        """The connection's own socket, of which this is a duplicate."""
        if self._socket is None:
            number = self._start_response.socket()
            if number is None:
                raise OSError(errno.ENOTCONN, "the connection is in the engine's hands")
            self._socket = socket.socket(fileno=number)
        return self._socket

    def shutdown(self, how=socket.SHUT_RDWR):
        """Nothing: the engine ends connections, after what was sent has arrived."""

    def close(self):
        """Lets go of what `real` has given."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __getattr__(self, name):
        # `family`, `getsockopt`, `getpeername`, `fileno` and the like.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.real(), name)


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

    @property
    def raw(self):
        """The stream whose ``_sock`` is the connection's socket."""
        return socket.SocketIO(self.wire.real(), "rwb")


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
