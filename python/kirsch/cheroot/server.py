"""The server, its connections and requests, as cheroot has them, over Kirsch's engine.

`kirsch.cheroot` says which way a request goes. This file owns the lifecycle (`HTTPServer.prepare`, `serve`,
`stop`), the choice of the way (`_serve`), and the objects of the slower one. What is sent, and when a
connection closes, is the engine's to decide: `HTTPRequest.send_headers` gives it what a gateway has set.

**Invariant:** nothing is started and no descriptor opened before `prepare()`: programs fork in between.
**Invariant:** `stop()` is safe from any thread, a worker included, which the end does not wait for.
"""

import contextlib
import io
import logging
import os
import re
import socket
import stat
import struct
import sys
import threading
import time
import traceback as traceback_
import types
import urllib.parse
from importlib import import_module

from kirsch import _kirsch
from kirsch._errors import Errors
from kirsch._routes import Site

from . import __version__, connections, errors
from ._compat import IS_PPC, IS_WINDOWS, bton  # noqa: F401 - part of the interface
from ._tls import Door
from ._watch import Accepted, Watch
from ._wire import NoRequest, NothingSent, Wire, inode
from .makefile import MakeFile, StreamWriter  # noqa: F401 - as above
from .ssl import _native
from .workers import threadpool

try:
    import grp
    import pwd
except ImportError:
    grp = pwd = None

__all__ = (
    "ChunkedRFile",
    "DropUnderscoreHeaderReader",
    "Gateway",
    "HTTPConnection",
    "HTTPRequest",
    "HTTPServer",
    "HeaderReader",
    "KnownLengthRFile",
    "SizeCheckWrapper",
    "get_ssl_adapter_class",
)

IS_GAE = os.getenv("SERVER_SOFTWARE", "").startswith("Google App Engine/")
IS_UID_GID_RESOLVABLE = pwd is not None and not IS_GAE

if not hasattr(socket, "SO_PEERCRED"):
    socket.SO_PEERCRED = 21 if IS_PPC else 17

LF = b"\n"
CRLF = b"\r\n"
TAB = b"\t"
SPACE = b" "
COLON = b":"
SEMICOLON = b";"
EMPTY = b""
ASTERISK = b"*"
FORWARD_SLASH = b"/"
QUOTED_SLASH = b"%2F"
QUOTED_SLASH_REGEX = re.compile(b"(?i)" + QUOTED_SLASH)

#: Fields that are lists, so that several lines of one are joined.
comma_separated_headers = [
    b"Accept",
    b"Accept-Charset",
    b"Accept-Encoding",
    b"Accept-Language",
    b"Accept-Ranges",
    b"Allow",
    b"Cache-Control",
    b"Connection",
    b"Content-Encoding",
    b"Content-Language",
    b"Expect",
    b"If-Match",
    b"If-None-Match",
    b"Pragma",
    b"Proxy-Authenticate",
    b"TE",
    b"Trailer",
    b"Transfer-Encoding",
    b"Upgrade",
    b"Vary",
    b"Via",
    b"Warning",
    b"WWW-Authenticate",
]

if not hasattr(logging, "statistics"):
    logging.statistics = {}

_STOPPING_FOR_INTERRUPT = Exception()

_logger = logging.getLogger("kirsch")

#: The server whose thread this is.
_current = threading.local()


#: Servers that were prepared and not stopped.
_prepared = set()

#: Held while a `Watch` is opened: a server has one.
_opening = threading.Lock()


class Watched(type):
    """The kind of classes whose change is told to the engines that run: it may change the way of requests."""

    #: Another one after each change.
    state = object()

    def __setattr__(cls, name, value):
        super().__setattr__(name, value)
        Watched._changed()

    def __delattr__(cls, name):
        super().__delattr__(name)
        Watched._changed()

    @staticmethod
    def _changed():
        Watched.state = object()
        for server in list(_prepared):
            server._tell()


class HeaderReader(metaclass=Watched):
    """Reads the lines of a head; `_allow_header` and `_transform_key` are for subclasses.

    The engine has read the head already, and refused what is ambiguous: a reader of a program's own is
    given the fields once more, a line each.
    """

    def __call__(self, rfile, hdict=None):
        """Reads the fields up to the empty line: names in title case, with their values.

        Raises:
            ValueError: If they are malformed.
        """
        if hdict is None:
            hdict = {}
        while True:
            line = rfile.readline()
            if not line:
                raise ValueError("Illegal end of headers.")
            if line == CRLF:
                return hdict
            if not line.endswith(CRLF):
                raise ValueError("HTTP requires CRLF terminators")
            if line[:1] in (SPACE, TAB) or COLON not in line:
                raise ValueError("Illegal header line.")
            key, value = line.split(COLON, 1)
            key = self._transform_key(key)
            if not self._allow_header(key):
                continue
            value = value.strip()
            if key in hdict:
                value = (b"; " if key == b"Cookie" else b", ").join((hdict[key], value))
            hdict[key] = value

    def _allow_header(self, key_name):
        return True

    def _transform_key(self, key_name):
        return key_name.strip().title()


class DropUnderscoreHeaderReader(HeaderReader):
    """Leaves out fields with an underscore, which others could be taken for; the engine does so anyway."""

    def _allow_header(self, key_name):
        return super()._allow_header(key_name) and b"_" not in key_name


class _Reader(io.RawIOBase):
    """What the readers of bodies have in common: a body as a file that is read once."""

    def __init__(self, rfile):
        super().__init__()
        self.rfile = rfile

    def _most(self, size):
        """How much of a request for `size` bytes may be read."""
        return size

    def _took(self, data):
        return data

    def read(self, size=None):
        """Reads at most so many bytes; without a size, all."""
        size = self._most(-1 if size is None else size)
        return self._took(self.rfile.read(size)) if size else EMPTY

    def readline(self, size=None):
        """Reads a line, or so many bytes of it."""
        size = self._most(-1 if size is None else size)
        return self._took(self.rfile.readline(size)) if size else EMPTY

    def readlines(self, sizehint=0):
        """Reads lines, to the end or until they have so many bytes."""
        lines, total = [], 0
        for line in self:
            lines.append(line)
            total += len(line)
            if sizehint and total >= sizehint:
                break
        return lines

    def __iter__(self):
        return iter(self.readline, EMPTY)

    def __next__(self):
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    next = __next__

    def readable(self):
        """Whether it can be read: yes."""
        return True


class SizeCheckWrapper(_Reader):
    """Reads at most ``maxlen`` bytes; beyond, `errors.MaxSizeExceeded`."""

    def __init__(self, rfile, maxlen):
        super().__init__(rfile)
        self.maxlen = maxlen
        self.bytes_read = 0

    def _took(self, data):
        self.bytes_read += len(data)
        if self.maxlen and self.bytes_read > self.maxlen:
            raise errors.MaxSizeExceeded
        return data


class KnownLengthRFile(_Reader):
    """Reads a body of known length; ``remaining`` bytes of it are left."""

    def __init__(self, rfile, content_length):
        super().__init__(rfile)
        self.remaining = content_length

    def read_trailer_lines(self):
        """The lines behind a body that came in chunks, which the engine has undone.

        Raises:
            ValueError: If the body was not read to its end.
        """
        return self.rfile.read_trailer_lines()

    def _most(self, size):
        return self.remaining if size < 0 else min(size, self.remaining)

    def _took(self, data):
        self.remaining -= len(data)
        return data


class ChunkedRFile(_Reader):
    """Reads a body in chunks, over at most ``maxlen`` bytes of it with its size lines."""

    def __init__(self, rfile, maxlen, bufsize=8192):
        super().__init__(rfile)
        self.maxlen = maxlen
        self.bytes_read = 0
        self.buffer = EMPTY
        self.bufsize = bufsize
        self._ended = False

    def _fetch(self):
        line = self.rfile.readline()
        self._count(len(line), errors.MaxSizeExceeded("Request Entity Too Large", self.maxlen))
        size = line.strip().split(SEMICOLON, 1)[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", size):
            raise ValueError(f"Bad chunked transfer size: {size!r}")
        size = int(size, 16)
        if size == 0:
            self._ended = True
            return
        self._count(size, OSError("Request Entity Too Large"))
        chunk = self.rfile.read(size)
        end = self.rfile.read(2)
        if end != CRLF:
            raise ValueError(f"Bad chunked transfer coding (expected '\\r\\n', got {end!r})")
        self.buffer += chunk

    def _count(self, size, error):
        self.bytes_read += size
        if self.maxlen and self.bytes_read > self.maxlen:
            raise error

    def read(self, size=None):
        """Reads at most so many bytes; without a size, all."""
        while not self._ended and (size is None or size < 0 or len(self.buffer) < size):
            self._fetch()
        size = len(self.buffer) if size is None or size < 0 else size
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def readline(self, size=None):
        """Reads a line, or so many bytes of it."""
        while not self._ended and LF not in self.buffer and (size is None or len(self.buffer) < size):
            self._fetch()
        end = self.buffer.find(LF) + 1 or len(self.buffer)
        return self.read(end if size is None or size < 0 else min(size, end))

    def read_trailer_lines(self):
        """The lines behind the last chunk.

        Raises:
            ValueError: If the body was not read to its end.
        """
        if not self._ended:
            raise ValueError("Cannot read trailers until the request body has been read.")
        while True:
            line = self.rfile.readline()
            if not line:
                raise ValueError("Illegal end of headers.")
            self._count(len(line), OSError("Request Entity Too Large"))
            if line == CRLF:
                return
            if not line.endswith(CRLF):
                raise ValueError("HTTP requires CRLF terminators")
            yield line


class HTTPRequest(metaclass=Watched):
    """A request and its response.

    Args:
        server: The server.
        conn: The connection it came by.
        proxy_mode: Whether absolute targets and CONNECT are taken. The server looks at what a subclass asks
            for.
        strict_mode: Kept; what is malformed is refused in any case.
    """

    server = None
    conn = None
    inheaders = {}
    outheaders = []
    ready = False
    close_connection = False
    chunked_write = False
    header_reader = HeaderReader()

    def __init__(self, server, conn, proxy_mode=False, strict_mode=True):
        self.server = server
        self.conn = conn
        self.ready = False
        self.started_request = False
        self.scheme = b"http" if server.ssl_adapter is None else b"https"
        self.response_protocol = "HTTP/1.0"
        self.inheaders = {}
        self.status = ""
        self.outheaders = []
        self.sent_headers = False
        self.close_connection = self.__class__.close_connection
        self.chunked_read = False
        self.chunked_write = self.__class__.chunked_write
        self.proxy_mode = proxy_mode
        self.strict_mode = strict_mode

    @property
    def _wire(self):
        # A program may have put something around the connection's socket.
        return self.conn._wire

    def parse_request(self):
        """Takes over what the engine has read; then it is `ready`."""
        self.rfile = self.conn.rfile
        if self.read_request_line() and self.read_request_headers():
            self.ready = True

    def read_request_line(self):
        """Takes over the request line."""
        environ = self._wire.environ
        if environ is None:
            return False
        self.started_request = True
        self.method = environ["REQUEST_METHOD"].encode("latin-1")
        self.uri = environ["REQUEST_URI"].encode("latin-1")
        self.path = environ["PATH_INFO"].encode("latin-1")
        self.qs = environ["QUERY_STRING"].encode("latin-1")
        self.authority = EMPTY
        if self.method == b"CONNECT":
            self.authority = self.uri
        elif not self.uri.startswith(FORWARD_SLASH):
            parts = urllib.parse.urlsplit(self.uri)
            self.authority = parts.netloc
            self.scheme = parts.scheme or self.scheme
        self.request_protocol = environ["SERVER_PROTOCOL"].encode("latin-1")
        self.response_protocol = min(environ["SERVER_PROTOCOL"], self.server.protocol)
        return True

    def read_request_headers(self):
        """Takes over the fields, through `header_reader` if that is a program's own."""
        environ = self._wire.environ
        fields = {
            name[5:].replace("_", "-").title().encode("latin-1"): value.encode("latin-1")
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if name in environ and not (name == "CONTENT_LENGTH" and "HTTP_TRANSFER_ENCODING" in environ):
                fields[name.replace("_", "-").title().encode("latin-1")] = environ[name].encode("latin-1")
        if type(self.header_reader) in (HeaderReader, DropUnderscoreHeaderReader):
            self.inheaders.update(fields)
        else:
            lines = [name + b": " + value + CRLF for name, value in fields.items()]
            try:
                self.header_reader(io.BytesIO(EMPTY.join([*lines, CRLF])), self.inheaders)
            except ValueError as error:
                self.simple_response("400 Bad Request", error.args[0])
                return False
        connection = self.inheaders.get(b"Connection", EMPTY).lower()
        options = {option.strip() for option in connection.split(b",")}
        if self.response_protocol == "HTTP/1.1":
            self.close_connection = b"close" in options
        else:
            self.close_connection = b"keep-alive" not in options
        self.chunked_read = b"Transfer-Encoding" in self.inheaders
        return True

    def respond(self):
        """Has the gateway answer."""
        length = int(self._wire.environ.get("CONTENT_LENGTH") or 0)
        # The engine has undone the chunks, and knows how long the body is.
        self.rfile = KnownLengthRFile(self.conn.rfile, length)
        self.server.gateway(self).respond()
        if self.ready:
            self.ensure_headers_sent()

    def simple_response(self, status, msg=""):
        """Answers with a status and a text."""
        if isinstance(msg, str):
            msg = msg.encode("latin-1")
        headers = [(b"Content-Length", b"%d" % len(msg)), (b"Content-Type", b"text/plain")]
        if str(status)[:3] in {"413", "414"}:
            self.close_connection = True
        if self.close_connection:
            headers.append((b"Connection", b"close"))
        self._wire.begin(str(status).encode("latin-1"), headers)
        self.conn.wfile.write(msg)

    def ensure_headers_sent(self):
        """Sends the head, unless that was done."""
        if not self.sent_headers:
            self.sent_headers = True
            self.send_headers()

    def send_headers(self):
        """Sends `status` and `outheaders`; what frames the message is the engine's to add."""
        if not self.status:
            if self.conn.linger:
                # It was answered by the socket itself.
                return
            raise ValueError("the gateway has set no status")
        names = {name.lower() for name, _ in self.outheaders}
        if self.status[:3] == b"413":
            self.close_connection = True
        headers = list(self.outheaders)
        if self.close_connection and b"connection" not in names:
            headers.append((b"Connection", b"close"))
        self._wire.begin(self.status, headers)

    def write(self, chunk):
        """Sends a block of the body."""
        self.conn.wfile.write(chunk)


class HTTPConnection(metaclass=Watched):
    """A connection, for the time of one request.

    Args:
        server: The server.
        sock: The socket, or what stands in its place.
        makefile: Makes files of it.
    """

    remote_addr = None
    remote_port = None
    ssl_env = None
    rbufsize = io.DEFAULT_BUFFER_SIZE
    wbufsize = io.DEFAULT_BUFFER_SIZE
    RequestHandlerClass = HTTPRequest
    peercreds_enabled = False
    peercreds_resolve_enabled = False
    last_used = None
    linger = False

    def __init__(self, server, sock, makefile=MakeFile):
        self.server = server
        self.socket = sock
        # What the request is read from that came by it, if one did.
        self._wire = sock if isinstance(sock, Wire) else NoRequest()
        # Whether a `Watch` knows of it.
        self._known = False
        self.rfile = makefile(sock, "rb", self.rbufsize)
        self.wfile = makefile(sock, "wb", self.wbufsize)
        self.requests_seen = 0
        self.peercreds_enabled = server.peercreds_enabled
        self.peercreds_resolve_enabled = server.peercreds_resolve_enabled
        # What was found out, once. Not by `lru_cache`, which would have the object refer to itself.
        self._creds = self._names = None

    def communicate(self):
        """Serves the request.

        Returns:
            Whether the connection may stay open.
        """
        request = None
        try:
            request = self.RequestHandlerClass(self.server, self)
            request.parse_request()
            self.requests_seen += 1
            if not request.ready:
                return False
            request.respond()
            return not request.close_connection
        except errors.FatalSSLAlert:
            return False
        except OSError as error:
            number = error.args[0] if error.args else None
            if number in errors.socket_errors_to_ignore:
                # The client has left.
                return False
            self.server.error_log(f"socket.error {number!r}", level=logging.WARNING, traceback=True)
        except Exception as error:
            self.server.error_log(repr(error), level=logging.ERROR, traceback=True)
        self._conditional_error(request, "500 Internal Server Error")
        return False

    def _conditional_error(self, request, status):
        if request is None or self._wire.begun:
            # Nobody can say any more what went wrong but by an end that the client notices.
            raise NothingSent
        request.close_connection = True
        request.simple_response(status)

    def close(self):
        """Lets go of the connection's objects; the connection itself is the engine's to close."""
        self.rfile.close()
        if not self.linger:
            self._close_kernel_socket()
            self.socket.close()

    def _close_kernel_socket(self):
        shutdown = getattr(self.socket, "sock_shutdown", self.socket.shutdown)
        try:
            shutdown(socket.SHUT_RDWR)
        except errors.acceptable_sock_shutdown_exceptions:
            pass
        except OSError as error:
            if error.errno not in errors.acceptable_sock_shutdown_error_codes:
                raise

    def get_peer_creds(self):
        """Process, user and group of the peer of a unix socket.

        Raises:
            NotImplementedError: If it is no unix socket.
            RuntimeError: If the server does not ask for them, or the system does not know them.
        """
        if self._creds is not None:
            return self._creds
        if self.socket.family != socket.AF_UNIX:
            raise NotImplementedError("SO_PEERCRED is only supported in Linux kernel and WSL")
        if not self.peercreds_enabled:
            raise RuntimeError("Peer creds lookup is disabled within this server")
        try:
            found = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError as error:
            raise RuntimeError from error
        self._creds = struct.unpack("3i", found)
        return self._creds

    @property
    def peer_pid(self):
        """The peer's process."""
        return self.get_peer_creds()[0]

    @property
    def peer_uid(self):
        """The peer's user, as a number."""
        return self.get_peer_creds()[1]

    @property
    def peer_gid(self):
        """The peer's group, as a number."""
        return self.get_peer_creds()[2]

    def resolve_peer_creds(self):
        """Names of the peer's user and group.

        Raises:
            NotImplementedError: If the system has none.
            RuntimeError: If the server does not ask for them.
        """
        if not IS_UID_GID_RESOLVABLE:
            raise NotImplementedError("UID/GID lookup is unavailable under current platform.")
        if not self.peercreds_resolve_enabled:
            raise RuntimeError("UID/GID lookup is disabled within this server")
        if self._names is None:
            self._names = pwd.getpwuid(self.peer_uid).pw_name, grp.getgrgid(self.peer_gid).gr_name
        return self._names

    @property
    def peer_user(self):
        """The name of the peer's user."""
        return self.resolve_peer_creds()[0]

    @property
    def peer_group(self):
        """The name of the peer's group."""
        return self.resolve_peer_creds()[1]


class Gateway(metaclass=Watched):
    """Answers a request: a subclass has `respond`."""

    def __init__(self, req):
        self.req = req

    def respond(self):
        """Answers."""
        raise NotImplementedError


class HTTPServer(metaclass=Watched):
    """A server for a gateway.

    Args:
        bind_addr: ``(host, port)``, or a path, or a name of Linux's abstract namespace behind a NUL.
        gateway: Called with each request; what it answers has ``respond()``.
        minthreads: Threads.
        maxthreads: Threads that there may be at most, by `ThreadPool.grow`; negative for no bound.
        server_name: The field ``Server``, and ``SERVER_NAME``; ``version`` without it.
        peercreds_enabled: Whether connections tell of the peer of a unix socket.
        peercreds_resolve_enabled: Whether they tell its names, too.
        reuse_port: Whether other processes may listen on the same port.
    """

    _bind_addr = "127.0.0.1"
    _interrupt = None
    _engine = None
    _live = None
    # Whether it may be stopped: threads serve already when it is not `ready` yet.
    _is_begun = False
    _door = None
    _watch = None

    gateway = None
    minthreads = None
    maxthreads = None
    server_name = None
    protocol = "HTTP/1.1"
    request_queue_size = 5
    shutdown_timeout = 5
    timeout = 10
    expiration_interval = 0.5
    version = f"Cheroot/{__version__!s}"
    software = None
    ready = False
    max_request_header_size = 0
    max_request_body_size = 0
    nodelay = True
    ConnectionClass = HTTPConnection
    ssl_adapter = None
    peercreds_enabled = False
    peercreds_resolve_enabled = False
    reuse_port = False
    keep_alive_conn_limit = 10
    socket = None

    def __init__(
        self,
        bind_addr,
        gateway,
        minthreads=10,
        maxthreads=-1,
        server_name=None,
        peercreds_enabled=False,
        peercreds_resolve_enabled=False,
        reuse_port=False,
    ):
        self.bind_addr = bind_addr
        self.gateway = gateway
        self.requests = threadpool.ThreadPool(self, min=minthreads or 1, max=maxthreads)
        self.server_name = server_name or self.version
        self.peercreds_enabled = peercreds_enabled
        self.peercreds_resolve_enabled = peercreds_resolve_enabled and peercreds_enabled
        self.reuse_port = reuse_port
        self.clear_stats()

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if self._live is None:
            return
        if name in _SETTINGS:
            self._tell_settings()
        # What is private changes nothing.
        if not name.startswith("_") or name == "__class__":
            self._tell_way()

    def __delattr__(self, name):
        super().__delattr__(name)
        self._tell()

    # --- What the engine is told.

    def _tell(self):
        """Tells the engine what it needs of this object and its classes, after a change of theirs."""
        if self._live is not None:
            self._tell_way()
            self._tell_settings()

    def _tell_way(self):
        """Tells it which way requests go, and who accepts."""
        live = self._live
        # One after the other, so that the last change is the last that is told.
        with self._telling:
            if self._is_telling:
                # A constructor of a program's own, which `_choose` has called, changes something.
                return
            self._is_telling = True
            try:
                if self._engine is not None:
                    self._look_at_adapter()
                    self._look_who_watches()
                self._choose()
                application = self._application_alone()
                live.serve_natively(application, {} if application is None else self.stats)
            finally:
                self._is_telling = False

    def _tell_settings(self):
        live = self._live
        with self._telling:
            live.set_timeout(self.timeout)
            live.limit_head(self.max_request_header_size or 0)
            live.limit_body(self.max_request_body_size or 0)
            live.limit_kept(self.keep_alive_conn_limit)
            live.speak_http10(self.protocol == "HTTP/1.0")
            live.set_extra(
                {
                    "ACTUAL_SERVER_PROTOCOL": self.protocol,
                    "SERVER_NAME": self.server_name,
                    "SERVER_SOFTWARE": self.software,
                    "SERVER_PORT": "" if isinstance(self.bind_addr, (str, bytes)) else str(self.bind_addr[1]),
                    "wsgi.multithread": True,
                    "wsgi.url_scheme": "http" if self.ssl_adapter is None else "https",
                }
            )

    def _open_engine(self):
        self._telling = threading.RLock()
        self._is_telling = False
        self._adapter_of_engine = self.ssl_adapter
        if self.ssl_adapter is None:
            self._engine = self._make_engine({}, None)
        else:
            self._engine = self._make_secure_engine()
        self._engine.begin_with(self.requests.min)
        # Places in the engine that no thread has.
        self._places = list(range(self._engine.threads))
        with self._telling:
            self._look_at_adapter()

    def _make_secure_engine(self):
        """One that speaks TLS itself if it can do what the adapter would; else one that listens to nobody."""
        made = _native.made(self.ssl_adapter)
        if made is not None and self.socket.family != socket.AF_UNIX:
            try:
                return self._make_engine(made.settings(), made.certificate_chain)
            except (OSError, ValueError) as error:
                # An old format of keys, ciphers of yesterday: OpenSSL has them.
                _logger.debug("Python's ssl serves %s: %s", self.bind_addr, error)
        self._adapter_of_engine = None
        return self._make_engine({}, None, listens=False)

    def _make_engine(self, tls, certificate_chain, listens=True):
        live = _kirsch.Cheroot(certificate_chain)
        size = self.requests._queue.maxsize
        settings = _kirsch.Settings.from_keywords(
            {
                "bind": f"fd://{self.socket.fileno()}",
                "threads": self.requests.capacity,
                "server_name": self.server_name,
                "request_id": False,
                "limit_queue": size if size > 0 else 1024,
                "timeout_queue": max(self.requests._queue_put_timeout, 1),
                **tls,
            }
        )
        self._live = live
        self._tell()
        site = Site.of_program(self._application(), (), settings)
        return _kirsch.Engine(
            list(site.applications), site.dispatch, settings, self._report, Errors(), live, listens
        )

    def _watch_tls(self):
        """Has the engine look for renewed files, until it stops."""
        if self._engine is not None and self._engine.has_tls:
            # Nobody waits for it: a file system may hold it up.
            threading.Thread(
                target=self._engine.watch_tls, args=(_tell_of_tls,), name="kirsch-tls", daemon=True
            ).start()

    def _look_at_adapter(self):
        """Goes over to the adapter's means, for good, if it is not the engine's or was touched."""
        adapter = self.ssl_adapter
        stays = adapter is self._adapter_of_engine and (adapter is None or _native.made(adapter) is not None)
        if not stays and self._door is None and self._watch is None:
            self._live.leave_accepting()
            self._door = Door(self)
            if self.ready:
                self._door.open()

    # --- Which way a request goes.

    def _choose(self):
        """Whether requests go the native way, as far as the server is concerned."""
        connection = self.ConnectionClass
        request = getattr(connection, "RequestHandlerClass", None)
        # Looked at first: whoever changes a class meanwhile is noticed at the next request.
        choice = (Watched.state, self.gateway, connection, request)
        stock = (
            _is_stock(self.gateway, _native_gateway())
            and _is_stock(connection, HTTPConnection)
            and _is_stock(request, HTTPRequest)
            and type(request.header_reader) in (HeaderReader, DropUnderscoreHeaderReader)
            and _is_stock(type(request.header_reader), type(request.header_reader))
            and not self.peercreds_enabled
            and self._watch is None
        )
        proxy = False
        # A constructor of a program's own says what it wants; it may want a connection, too.
        with contextlib.suppress(Exception):
            proxy = bool(request(self, None).proxy_mode)
        self._live.be_proxy(proxy)
        self._choice = (choice, stock)
        return stock

    def _application_alone(self):
        """What the engine calls for each request if nothing has to be looked at before; else `None`.

        What could make a difference later is told by `_tell`: it is an attribute, not computed, of an object
        and of classes that say when they change.
        """
        kind, connection = type(self), self.ConnectionClass
        decide = ("ConnectionClass", "gateway", "peercreds_enabled", "ssl_adapter", "stats", "wsgi_app")
        alone = (
            self.ready
            and self._door is None
            and self._choice[1]
            and type(self.stats) is dict
            and all(_tells_changes(it) for it in (kind, connection, connection.RequestHandlerClass))
            and kind.__getattribute__ is object.__getattribute__
            and kind.__setattr__ is HTTPServer.__setattr__
            and kind.__delattr__ is HTTPServer.__delattr__
            and all(_is_plain(self, name) for name in decide)
        )
        return self.wsgi_app if alone else None

    def _look_who_watches(self):
        """Finds out whether the program wants to hear of connections; it then does until the server stops."""
        if self._watch is None and self.ssl_adapter is None and self._door is None and self._is_watched():
            self._open_watch()

    def _is_watched(self):
        connection = self.ConnectionClass
        asked = [
            (self, HTTPServer, ("process_conn", "put_conn")),
            (connection, HTTPConnection, ("__init__", "communicate", "close", "_close_kernel_socket")),
            (connection.RequestHandlerClass, HTTPRequest, ("parse_request", "read_request_line")),
        ]
        # Of an instance they are methods.
        given = [
            (getattr(getattr(it, name), "__func__", getattr(it, name)), _stock[base][name])
            for it, base, names in asked
            for name in names
        ]
        return any(found is not stock for found, stock in given)

    def _open_watch(self):
        with _opening:
            if self._watch is None:
                self._live.leave_accepting()
                self._watch = Watch(self, self.socket)
        self._tell()

    def _application(self):
        """What the engine calls for each other request."""

        def serve(environ, start_response):
            connection = self.ConnectionClass
            choice, native = self._choice
            if choice != (Watched.state, self.gateway, connection, connection.RequestHandlerClass):
                native = self._choose()
            if self._door is not None:
                environ.update(self._door.environ_of(inode(start_response)))
            if self.stats["Enabled"]:
                self._count()
            # Who takes over the socket looks for the objects.
            if native and "HTTP_UPGRADE" not in environ:
                return self.wsgi_app(environ, start_response)
            return self._serve_objects(environ, start_response)

        return serve

    def _serve_objects(self, environ, start_response):
        wire = Wire(environ, start_response, self.timeout)
        watch = self._watch
        known = watch and watch.enter(wire)
        if known:
            try:
                return self._serve_known(known.conn, wire)
            finally:
                watch.leave(known, wire.taken)
        conn = self._connection(wire)
        keep = False
        try:
            keep = self._communicate(conn, wire)
        finally:
            if not keep and not conn.linger:
                conn.close()
            if not conn.linger:
                wire.close()
            wire.forget()
        return ()

    def _serve_known(self, conn, wire):
        """Has the object of a connection that is watched serve a request."""
        wire.use(conn.socket)
        conn._wire, conn.rfile, conn.wfile = wire, wire.makefile("rb"), wire.makefile("wb")
        if isinstance(conn.socket, Accepted):
            conn.socket.engaged = True
        keep = False
        try:
            keep = self._communicate(conn, wire)
            if keep:
                self.put_conn(conn)
        finally:
            if not keep and not wire.told_close and not wire.taken:
                # What the engine then finds is the end.
                with contextlib.suppress(OSError):
                    wire.real().shutdown(socket.SHUT_RD)
            if isinstance(conn.socket, Accepted):
                conn.socket.engaged = False
            if wire.taken and not conn.linger:
                conn.close()
            wire.forget()
            conn._wire = NoRequest()
        return ()

    def _communicate(self, conn, wire):
        worker = threading.current_thread()
        worker.conn = conn
        try:
            keep = conn.communicate()
            if conn.linger and not wire.begun:
                # The program has answered, or will, by the socket itself.
                wire.take()
            elif not wire.begun:
                raise NothingSent
            return keep
        finally:
            worker.conn = None

    def _connection(self, wire):
        environ = wire.environ
        conn = self.ConnectionClass(self, wire, Wire.makefile)
        conn._wire = wire
        if not isinstance(self.bind_addr, (str, bytes)):
            conn.remote_addr = environ["REMOTE_ADDR"]
            conn.remote_port = int(environ["REMOTE_PORT"])
        conn.ssl_env = self._door.environ_of(wire.inode()) if self._door is not None else {}
        if "HTTPS" in environ:
            conn.ssl_env = {
                name: value for name, value in environ.items() if name == "HTTPS" or name.startswith("SSL_")
            }
        return conn

    def _report(self, error, message, method, target, request_id):
        """What went wrong with a request, said in cheroot's words."""
        if isinstance(error, NothingSent):
            return
        if error is None:
            self.error_log(f"{message}: {method} {target}", level=logging.WARNING)
            return
        environ = self._live.environ or {}
        self._complain(error, environ.get("REMOTE_ADDR"), environ.get("REMOTE_PORT"))

    def _complain(self, error, address, port):
        """Says what went wrong with a connection; what is to end the server ends it."""
        where = f"{address!s}:{port!s}"
        try:
            raise error
        except (KeyboardInterrupt, SystemExit):
            self.error_log(
                f"Got a server shutdown request while handling a connection from {where} ({error!s})",
                level=logging.DEBUG,
            )
            self.error_log(f"Setting the server interrupt flag to {error!r}", level=logging.DEBUG)
            self.interrupt = error
        except Exception:
            self.error_log(repr(error), level=logging.ERROR, traceback=True)
        except BaseException:
            self.error_log(
                f"Unhandled error while processing an incoming connection {error!r}",
                level=logging.ERROR,
                traceback=True,
            )

    # --- The threads.

    def _work(self):
        _current.server = self
        engine, places = self._engine, self._places
        place = places.pop(0)
        try:
            engine.work(place)
        finally:
            places.insert(0, place)

    def _busy(self):
        engine = self._engine
        if engine is None:
            return 0
        return sum(doing in ("running", "held", "entering") for doing in engine.statistics()["threads"])

    def _queued(self):
        engine = self._engine
        return 0 if engine is None else engine.statistics()["queued"]

    def _count(self):
        worker = threading.current_thread()
        if isinstance(worker, threadpool.WorkerThread):
            worker.requests_seen += 1

    def _end_engine(self, timeout):
        """Whether all that had begun was finished in time."""
        engine = self._engine
        return engine is None or engine.stop(float(1 << 30) if timeout is None else timeout)

    # --- Statistics.

    def clear_stats(self):
        """Sets the counters to nought."""
        self._start_time = None
        self._run_time = 0

        def workers(name):
            def total(s):
                if not s["Enabled"]:
                    return -1
                return sum((w[name](w) for w in list(s["Worker Threads"].values())), 0)

            return total

        self.stats = {
            "Enabled": False,
            "Bind Address": lambda s: repr(self.bind_addr),
            "Run time": lambda s: self.runtime() if s["Enabled"] else -1,
            "Accepts": lambda s: 0 if self._engine is None else self._engine.statistics()["accepted"],
            "Accepts/sec": lambda s: s["Accepts"](s) / (self.runtime() or 1e-6),
            "Queue": lambda s: getattr(self.requests, "qsize", None),
            "Threads": lambda s: len(getattr(self.requests, "_threads", [])),
            "Threads Idle": lambda s: getattr(self.requests, "idle", None),
            "Socket Errors": 0,
            "Requests": workers("Requests"),
            "Bytes Read": workers("Bytes Read"),
            "Bytes Written": workers("Bytes Written"),
            "Work Time": workers("Work Time"),
            "Read Throughput": workers("Read Throughput"),
            "Write Throughput": workers("Write Throughput"),
            "Worker Threads": {},
        }
        logging.statistics[self._stats_key] = self.stats

    @property
    def _stats_key(self):
        return f"Cheroot HTTPServer {id(self)}"

    def runtime(self):
        """Seconds that it has served."""
        if self._start_time is None:
            return self._run_time
        return self._run_time + (time.time() - self._start_time)

    def __str__(self):
        return f"{self.__module__}.{self.__class__.__name__}({self.bind_addr!r})"

    # --- The lifecycle.

    @property
    def bind_addr(self):
        """Where it listens; after `prepare`, the address that was taken."""
        return self._bind_addr

    @bind_addr.setter
    def bind_addr(self, value):
        if isinstance(value, tuple) and value[0] in {"", None}:
            raise ValueError(
                "Host values of '' or None are not allowed. Use '0.0.0.0' (IPv4) or '::' (IPv6) "
                "instead to listen "
                "on all active interfaces."
            )
        self._bind_addr = value

    def safe_start(self):
        """Serves until it is stopped; by KeyboardInterrupt and SystemExit in the orderly way, which go on."""
        try:
            self.start()
        except (KeyboardInterrupt, SystemExit) as error:
            underlying = self.interrupt
            if not underlying:
                self.interrupt = error
            raise error from underlying

    def prepare(self):
        """Listens, and starts the threads; when it returns, requests are served.

        Raises:
            OSError: If the address cannot be listened on.
        """
        self._interrupt = None
        if self.software is None:
            self.software = f"{self.version} Server"
        self._listen()
        self._ended = threading.Event()
        self._connections = connections.ConnectionManager(self)
        logging.statistics[self._stats_key] = self.stats
        try:
            self._open_engine()
            _prepared.add(self)
            self._start_time = time.time()
            self._is_begun = True
            self.requests.start()
            self._watch_tls()
            # Behind the threads: who waits for this may count them.
            with self._telling:
                if self._is_begun:
                    self.ready = True
            if self._door is not None:
                self._door.open()
        except BaseException:
            # Ctrl-C, say: the caller takes it for a server that was never started.
            self.ready = self._is_begun = False
            _prepared.discard(self)
            self._end()
            raise

    def serve(self):
        """Returns when the server was stopped; raises what was assigned to `interrupt`."""
        while self.ready and not self.interrupt:
            try:
                self._connections.run(self.expiration_interval)
            except (KeyboardInterrupt, SystemExit):
                raise
            except Exception:
                self.error_log("Error in HTTPServer.serve", level=logging.ERROR, traceback=True)
        # A worker that stops the server does not wait until it has.
        self._ended.wait()
        if self.interrupt:
            while self._stopping_for_interrupt:
                time.sleep(0.001)
            raise self.interrupt

    def start(self):
        """Serves until it is stopped."""
        self.prepare()
        self.serve()

    @contextlib.contextmanager
    def _run_in_thread(self):
        """Serves for the time of a block."""
        self.prepare()
        thread = threading.Thread(target=self.serve, daemon=True)
        thread.start()
        try:
            yield thread
        finally:
            self.stop()
            thread.join(self.shutdown_timeout)

    @property
    def can_add_keepalive_connection(self):
        """Whether another connection may be kept idle."""
        return self.ready and self._connections.can_add_keepalive_connection

    @property
    def interrupt(self):
        """The exception that ended the server. To assign one stops it, and `serve` raises it."""
        return self._interrupt

    @property
    def _stopping_for_interrupt(self):
        return self._interrupt is _STOPPING_FOR_INTERRUPT

    @interrupt.setter
    def interrupt(self, interrupt):
        self._interrupt = _STOPPING_FOR_INTERRUPT
        if isinstance(interrupt, KeyboardInterrupt):
            self.error_log("Keyboard Interrupt: shutting down")
        if isinstance(interrupt, SystemExit):
            self.error_log("SystemExit raised: shutting down")
        self.stop()
        self._interrupt = interrupt

    def stop(self):
        """Stops: what has begun may take `shutdown_timeout` seconds. When it returns, the port is free.

        In a worker thread it returns at once, and the rest is done behind it.
        """
        if not self._is_begun:
            return
        with self._telling:
            if not self._is_begun:
                # Another thread was quicker.
                return
            self.ready = self._is_begun = False
        self._run_time, self._start_time = self.runtime(), None
        _prepared.discard(self)
        worker = threading.current_thread()
        if isinstance(worker, threadpool.WorkerThread) and worker.server is self:
            threading.Thread(target=self._end, name="kirsch-stop").start()
        else:
            self._end()

    def _end(self):
        try:
            if self._door is not None:
                self._door.close()
            # First, so that nobody waits at a door that will not be opened while the rest is done.
            self._close_socket()
            if self._watch is not None:
                self._watch.refuse()
            self.requests.stop(self.shutdown_timeout)
            if self._watch is not None:
                self._watch.end()
                self._watch = None
            if self._door is not None:
                self._door.end(1)
                self._door = None
            engine, self._engine = self._engine, None
            if engine is not None:
                engine.release()
        finally:
            # What stands there is never forgotten, and it knows its server.
            logging.statistics.pop(self._stats_key, None)
            self._ended.set()
            self._connections.stop()

    def error_log(self, msg="", level=20, traceback=False):
        """Says something; to be overridden. While an exception is handled, its traceback as well."""
        sys.stderr.write(f"{msg!s}\n")
        sys.stderr.flush()
        if traceback:
            sys.stderr.write(traceback_.format_exc())
            sys.stderr.flush()

    # --- Connections, for programs that watch them.

    def process_conn(self, conn):
        """Has a connection served, also one that a program has accepted itself.

        Where this, `put_conn`, or what an `HTTPConnection` does is overridden, every new connection comes by
        here; others are the engine's from the first.
        """
        try:
            self.requests.put(conn)
        except OSError:
            # The server stops, or has all the connections that it may have.
            conn.close()

    def put_conn(self, conn):
        """Keeps a connection for its next request; called behind each."""
        if self._is_begun:
            self._connections.put(conn)
        else:
            conn.close()

    def _admit(self, conn):
        self._open_watch()
        self._watch.admit(conn)

    # --- Sockets.

    def _listen(self):
        self.socket = None
        text = "No socket could be created"
        if os.getenv("LISTEN_PID") == str(os.getpid()) and int(os.getenv("LISTEN_FDS", "1")) > 0:
            # systemd has opened it; of whatever family it is.
            self.socket = socket.socket(fileno=os.dup(3))
        elif isinstance(self.bind_addr, (str, bytes)):
            try:
                self.bind_unix_socket(self.bind_addr)
            except OSError as error:
                raise OSError(f"{text} -- ({self.bind_addr}: {error})") from error
        else:
            host, port = self.bind_addr[:2]
            try:
                found = socket.getaddrinfo(
                    host, port, socket.AF_UNSPEC, socket.SOCK_STREAM, 0, socket.AI_PASSIVE
                )
            except socket.gaierror:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                found = [(family, socket.SOCK_STREAM, 0, "", self.bind_addr)]
            for family, kind, proto, _, address in found:
                try:
                    self.bind(family, kind, proto)
                    break
                except OSError as error:
                    text = f"{text} -- ({address}: {error})"
                    if self.socket:
                        self.socket.close()
                    self.socket = None
        if not self.socket:
            raise OSError(text)
        self.socket.settimeout(1)
        self.socket.listen(self.request_queue_size)

    def _close_socket(self):
        sock, self.socket = self.socket, None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()
        if isinstance(self.bind_addr, str) and not self.bind_addr.startswith("\0"):
            # Its own file only: another server may have put one of its own there.
            with contextlib.suppress(OSError):
                found = os.lstat(self.bind_addr)
                if (found.st_dev, found.st_ino) == self._socket_file:
                    os.unlink(self.bind_addr)

    def bind(self, family, type, proto=0):
        """Opens `socket` at `bind_addr`."""
        sock = self.prepare_socket(
            self.bind_addr, family, type, proto, self.nodelay, self.ssl_adapter, self.reuse_port
        )
        try:
            sock = self.socket = self.bind_socket(sock, self.bind_addr)
        except OSError:
            sock.close()
            raise
        self.bind_addr = self.resolve_real_bind_addr(sock)
        # Connections inherit it: a later server of the same port does not have to wait until they are
        # forgotten.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return sock

    def bind_unix_socket(self, bind_addr):
        """Opens `socket` at a path, where a socket or an empty file is replaced, and any other left alone.

        Raises:
            OSError: If that cannot be done.
        """
        with contextlib.suppress(FileNotFoundError, ValueError):
            found = os.lstat(bind_addr)
            # An empty file is what `mkstemp` leaves to whoever reserves a name.
            if not stat.S_ISSOCK(found.st_mode) and not (stat.S_ISREG(found.st_mode) and found.st_size == 0):
                raise FileExistsError(f"{bind_addr} is there already, and no socket; it is left alone")
            os.unlink(bind_addr)
        sock = self.prepare_socket(
            bind_addr, socket.AF_UNIX, socket.SOCK_STREAM, 0, self.nodelay, self.ssl_adapter, self.reuse_port
        )
        try:
            sock = self.bind_socket(sock, bind_addr)
        except OSError:
            sock.close()
            raise
        self.bind_addr = self.resolve_real_bind_addr(sock)
        self._socket_file = None
        if not self.bind_addr.startswith("\0"):
            with contextlib.suppress(OSError):
                os.chmod(self.bind_addr, 0o777)
                found = os.lstat(self.bind_addr)
                self._socket_file = (found.st_dev, found.st_ino)
        self.socket = sock
        return sock

    @staticmethod
    def _make_socket_reusable(socket_, bind_addr):
        if socket_.family not in {socket.AF_INET, socket.AF_INET6}:
            raise ValueError("Cannot reuse a non-IP socket")
        if bind_addr[1] == 0:
            raise ValueError("Cannot reuse an ephemeral port (0)")
        socket_.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    @classmethod
    def prepare_socket(cls, bind_addr, family, type, proto, nodelay, ssl_adapter, reuse_port=False):
        """A socket with its options."""
        sock = socket.socket(family, type, proto)
        connections.prevent_socket_inheritance(sock)
        if reuse_port:
            cls._make_socket_reusable(socket_=sock, bind_addr=bind_addr)
        if family != socket.AF_UNIX:
            host, port = bind_addr[:2]
            if port != 0:
                # Not of an ephemeral port, which could be somebody else's.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if nodelay:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if family == socket.AF_INET6 and host in {"::", "::0", "::0.0.0.0"}:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if ssl_adapter is not None:
            sock = ssl_adapter.bind(sock)
        return sock

    @staticmethod
    def bind_socket(socket_, bind_addr):
        """Gives a socket its address."""
        socket_.bind(bind_addr)
        return socket_

    @staticmethod
    def resolve_real_bind_addr(socket_):
        """The address that a socket was given."""
        bind_addr = socket_.getsockname()
        if socket_.family in {socket.AF_INET, socket.AF_INET6}:
            return bind_addr[:2]
        return bton(bind_addr) if isinstance(bind_addr, bytes) else bind_addr


#: Attributes that the engine is told of.
_SETTINGS = {
    "_bind_addr",
    "keep_alive_conn_limit",
    "max_request_body_size",
    "max_request_header_size",
    "protocol",
    "server_name",
    "software",
    "ssl_adapter",
    "timeout",
}


def _tell_of_tls(level, text):
    _logger.log(level, "%s", text)


def _gateway_of(start_response):
    """The gateway of the request that this thread serves; ``start_response.__self__``."""
    server = _current.server
    environ = server._live.environ
    conn = server._connection(Wire(environ, start_response, server.timeout))
    request = conn.RequestHandlerClass(server, conn)
    request.parse_request()
    request.rfile = environ["wsgi.input"]
    # The application has given the head, or will, to `start_response` itself.
    request.sent_headers = True
    gateway = Gateway(request)
    gateway.env = environ
    return gateway


def _native_gateway():
    from . import wsgi

    return wsgi.Gateway_10


def _is_stock(kind, base):
    """Whether a class does what `base` did at first; it may have a constructor of its own."""
    if kind is not base and not (isinstance(kind, type) and issubclass(kind, base)):
        return False
    if base is _native_gateway() and kind is not base:
        return False
    return all(getattr(kind, name) is found for name, found in _stock[base].items() if name != "__init__")


def _tells_changes(kind):
    """Whether a change of a class, or of one that it is made of, is noticed."""
    return all(isinstance(it, Watched) or it is object for it in kind.__mro__)


_MISSING = object()


def _is_plain(it, name):
    """Whether an attribute is there and is what was assigned: nothing computes it."""
    found = next((vars(kind)[name] for kind in type(it).__mro__ if name in vars(kind)), _MISSING)
    if name in vars(it):
        return not hasattr(found, "__set__")
    return isinstance(found, types.FunctionType) or (found is not _MISSING and not hasattr(found, "__get__"))


#: What classes do, by the class; noted before anybody can have changed them.
_stock = {}


def _remember(*bases):
    for base in bases:
        _stock[base] = {
            name: getattr(base, name)
            for kind in base.__mro__[:-1]
            for name, value in vars(kind).items()
            if callable(value) and name not in ("RequestHandlerClass", "header_reader")
        }


_remember(HTTPConnection, HTTPRequest, HTTPServer, HeaderReader, DropUnderscoreHeaderReader)

#: TLS adapters by name, as classes or as dotted names.
ssl_adapters = {
    "builtin": "cheroot.ssl.builtin.BuiltinSSLAdapter",
    "pyopenssl": "cheroot.ssl.pyopenssl.pyOpenSSLAdapter",
}


def get_ssl_adapter_class(name="builtin"):
    """The adapter of a name; others can be put into `ssl_adapters`."""
    adapter = ssl_adapters[name.lower()]
    if isinstance(adapter, str):
        module, _, attribute = adapter.rpartition(".")
        if module.startswith("cheroot."):
            module = f"kirsch.{module}"
        adapter = getattr(import_module(module), attribute)
    return adapter
