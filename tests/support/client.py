"""A raw HTTP/1 client: it sends the bytes it is told and reads exactly one response by its framing.

It knows nothing of what is right, so that a test can send anything and sees everything that came back.
Every wait is for something, and has a deadline; nothing here sleeps.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import time
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import NamedTuple

from . import answers

DEADLINE_SECONDS = float(os.environ.get("KIRSCH_TEST_DEADLINE", "10"))
RECEIVE_BYTES = 64 * 1024


class Secure(NamedTuple):
    """An address at which TLS is spoken.

    Attributes:
        context: Whom the client trusts, and what it shows.
        name: The host that it asks for; none, if empty.
        session: One of an earlier connection with this context, to be resumed.
    """

    host: str
    port: int
    context: ssl.SSLContext
    name: str = "localhost"
    session: ssl.SSLSession | None = None


# Host and port, or the path of a unix socket.
Address = tuple[str, int] | str | Secure
Bytes = bytes | bytearray


class DeadlineMissed(AssertionError):
    """What was waited for did not come in time."""


class BrokenResponse(AssertionError):
    """The connection ended, or the framing was wrong, before a response was whole.

    Attributes:
        raw: All bytes of the response that had come.
        reset: Whether the connection was reset rather than closed.
    """

    def __init__(self, reason: str, raw: bytes, *, reset: bool = False) -> None:
        super().__init__(f"{reason}; received {raw[:400]!r}")
        self.raw = raw
        self.reset = reset


@dataclass(frozen=True)
class Response:
    """One response, as it came over the wire.

    Attributes:
        interim: The 1xx responses in front of it.
        framing: What ended the body: `length`, `chunked`, `close` or `none`.
        raw: Its bytes, from the status line to the end of the body, without the interim responses.
    """

    version: str
    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes
    framing: str
    raw: bytes
    interim: list[Response] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """The values of every field with this name, in order."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of the only field with this name; None where there is none."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None


class Client:
    """One connection. Use it as a context manager.

    Args:
        address: Host and port of the server, or the path of its unix socket.
        deadline_seconds: How long each wait may last.
        receive_buffer: Size of the kernel's receive buffer, for clients that read slowly.
        source: Which address of this machine it has; the one the system takes, if empty.
    """

    def __init__(
        self,
        address: Address,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        receive_buffer: int | None = None,
        source: str = "",
    ) -> None:
        secure = address if isinstance(address, Secure) else None
        if secure is not None:
            address = (secure.host, secure.port)
        if isinstance(address, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.deadline_seconds = deadline_seconds
        self.socket.settimeout(deadline_seconds)
        try:
            if source:
                self.socket.bind((source, 0))
            self.socket.connect(address)
            if secure is not None:
                # An end without a goodbye is an error, so that none is missed.
                self.socket = secure.context.wrap_socket(
                    self.socket,
                    server_hostname=secure.name or None,
                    suppress_ragged_eofs=False,
                    session=secure.session,
                )
        except OSError:
            self.socket.close()
            raise
        if not isinstance(address, str):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peer = "{}:{}".format(*self.socket.getsockname()[:2])
        self._received = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.settimeout(self.deadline_seconds)
        self.socket.sendall(data)

    def send_what_is_taken(self, data: bytes) -> None:
        """Send bytes to a server that may close before it has read them all."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            self.send(data)

    def request(
        self,
        target: str = "/",
        method: str = "GET",
        *,
        body: bytes | None = None,
        fields: tuple[str, ...] = (),
    ) -> Response:
        """Send one request with a Host, and a Content-Length if there is a body, and read its response."""
        self.send(request_bytes(target, method, body=body, fields=fields))
        return self.response(method)

    def response(self, method: str = "GET") -> Response:
        """Read exactly one final response, with the interim ones in front of it.

        Args:
            method: The request's method: a response to HEAD has no body.
        """
        interim: list[Response] = []
        while True:
            response = self.one_response(method)
            if response.status >= 200 or response.status == 101:
                return replace(response, interim=interim)
            interim.append(response)

    def one_response(self, method: str = "GET") -> Response:
        """Read exactly one response, interim or final."""
        response = self._one_response(method)
        answers.saw(method, response)
        return response

    def _one_response(self, method: str) -> Response:
        deadline = time.monotonic() + self.deadline_seconds
        head = self._until(b"\r\n\r\n", b"", deadline)
        version, status, reason, fields = parse_head(head)
        names = {key.lower(): value for key, value in fields}
        if status < 200 or status in (204, 304) or method == "HEAD":
            return Response(version, status, reason, fields, b"", "none", head)
        if "transfer-encoding" in names:
            body, raw = self._chunks(head, deadline)
            return Response(version, status, reason, fields, body, "chunked", raw)
        if "content-length" in names:
            body = self._exactly(int(names["content-length"]), head, deadline)
            return Response(version, status, reason, fields, body, "length", head + body)
        body = self._to_end(head, deadline)
        return Response(version, status, reason, fields, body, "close", head + body)

    def received(self, count: int) -> bytes:
        """Read a number of bytes."""
        return self._exactly(count, b"", time.monotonic() + self.deadline_seconds)

    def until(self, end: bytes) -> bytes:
        """Read up to and with `end`."""
        return self._until(end, b"", time.monotonic() + self.deadline_seconds)

    def rest(self) -> bytes:
        """Read to the end of the stream; a reset is an error."""
        return self._to_end(b"", time.monotonic() + self.deadline_seconds)

    def rest_of_chunks(self) -> bytes:
        """Read a chunked body whose head, and perhaps first chunks, were read already."""
        return self._chunks(b"", time.monotonic() + self.deadline_seconds)[0]

    def expect_close(self) -> None:
        """The server must close in order, and send nothing more."""
        rest = self.rest()
        assert rest == b"", f"more came before the end of the stream: {rest[:400]!r}"

    def expect_open(self, target: str = "/") -> Response:
        """The connection must be good for another request; its response is the proof."""
        return self.request(target)

    def drip(self, data: bytes, seconds_between: float) -> bool:
        """Send a byte at a time, until all is sent or the server says something.

        Returns:
            Whether the server answered or closed before all was sent.
        """
        for byte in data:
            self.send_what_is_taken(bytes([byte]))
            if select.select([self.socket], [], [], seconds_between)[0]:
                return True
        return False

    def finish(self) -> None:
        """Send no more: half-close."""
        # Not as a socket of TLS, which would from then on show what it receives as it is on the wire.
        socket.socket.shutdown(self.socket, socket.SHUT_WR)

    def reset(self) -> None:
        """Leave at once and rudely."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _receive(self, deadline: float, *raw: Bytes) -> bytes:
        """The next bytes, or b"" at the end of the stream. What came before is joined for errors only."""
        if self._received:
            data, self._received = self._received, b""
            return data
        left = deadline - time.monotonic()
        if left <= 0:
            raise DeadlineMissed(f"nothing more came in time; received {b''.join(raw)[:400]!r}")
        self.socket.settimeout(left)
        try:
            return self.socket.recv(RECEIVE_BYTES)
        except TimeoutError as error:
            raise DeadlineMissed(f"nothing more came in time; received {b''.join(raw)[:400]!r}") from error
        except ConnectionResetError as error:
            raise BrokenResponse("the connection was reset", b"".join(raw), reset=True) from error
        except ssl.SSLEOFError as error:
            raise BrokenResponse("the connection ended without a goodbye of TLS", b"".join(raw)) from error

    def _until(self, end: bytes, before: Bytes, deadline: float) -> bytes:
        data = bytearray()
        while end not in data:
            block = self._receive(deadline, before, data)
            if not block:
                raise BrokenResponse(f"the stream ended before {end!r}", bytes(before + data))
            data += block
        at = data.index(end) + len(end)
        self._received = bytes(data[at:]) + self._received
        return bytes(data[:at])

    def _exactly(self, count: int, before: Bytes, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            block = self._receive(deadline, before, data)
            if not block:
                raise BrokenResponse(
                    f"the stream ended {count - len(data)} bytes short", bytes(before + data)
                )
            data += block
        self._received = bytes(data[count:]) + self._received
        return bytes(data[:count])

    def _to_end(self, before: Bytes, deadline: float) -> bytes:
        data = bytearray()
        while block := self._receive(deadline, before, data):
            data += block
        return bytes(data)

    def _chunks(self, head: bytes, deadline: float) -> tuple[bytes, bytes]:
        """A chunked body, decoded, and the whole response as it came."""
        raw, body = bytearray(head), bytearray()
        while True:
            line = self._until(b"\r\n", raw, deadline)
            raw += line
            try:
                size = int(line.strip(), 16)
            except ValueError as error:
                raise BrokenResponse(f"{line!r} is not a chunk size", bytes(raw)) from error
            if size == 0:
                break
            data = self._exactly(size + 2, raw, deadline)
            raw += data
            body += data[:-2]
            if data[-2:] != b"\r\n":
                raise BrokenResponse("a chunk does not end with CRLF", bytes(raw))
        while (line := self._until(b"\r\n", raw, deadline)) != b"\r\n":
            raw += line
        return bytes(body), bytes(raw + line)


def client_hello(context: ssl.SSLContext, name: str = "localhost") -> bytes:
    """The first message of a handshake."""
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    handshake = context.wrap_bio(received, sent, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    return sent.read()


def request_bytes(
    target: str = "/", method: str = "GET", *, body: bytes | None = None, fields: tuple[str, ...] = ()
) -> bytes:
    """A request with a Host, and a Content-Length if there is a body."""
    lines = [f"{method} {target} HTTP/1.1", "Host: a.test", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(*blocks: bytes) -> bytes:
    """Blocks as a chunked body, with its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(block), block) for block in blocks if block) + b"0\r\n\r\n"


def parse_head(head: bytes) -> tuple[str, int, str, list[tuple[str, str]]]:
    """Version, status, reason and fields of a response's head; strict, so that a test sees what is wrong."""
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    version, space, rest = first.partition(" ")
    status, second_space, reason = rest.partition(" ")
    if not (
        version in ("HTTP/1.0", "HTTP/1.1")
        and space
        and second_space
        and len(status) == 3
        and status.isdigit()
    ):
        raise BrokenResponse(f"{first!r} is not a status line", head)
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or "\n" in line or "\r" in line:
            raise BrokenResponse(f"{line!r} is not a field", head)
        fields.append((name, value.strip(" \t")))
    return version, int(status), reason, fields


def get(address: Address, target: str = "/", **options: object) -> Response:
    """One request on a connection of its own."""
    with Client(address) as client:
        return client.request(target, **options)  # type: ignore[arg-type]
