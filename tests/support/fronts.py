"""Proxies in front of a server: nginx and HAProxy as they come with Debian, strict and as lax as they go.

A front is a process with some lanes. A lane is a socket to send requests to, and behind it one keep-alive
connection to the server, which all clients of the lane share: that is where a request that two parties read
differently would harm somebody else. Unix sockets, unless the test is about who the client is.

Every request that is passed on carries a fresh id in `X-Id`, which no client can know, and the proxy's log
says of each id what was forwarded: method, target, and in the strict fronts, which collect bodies first, the
body. `Front.stop()` ends the process in order and returns that log.

The sockets are made here and handed over, so that a request waits for the proxy, not the test for its start.
Nothing needs privileges, everything lies in one temporary folder, and no two fronts want the same port.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .client import Address, DeadlineMissed

STOP_SECONDS = 30.0
BACKLOG = 64


@dataclass(frozen=True)
class Forwarded:
    """A request as a proxy passed it on; `body` is None where the front does not collect it."""

    method: str
    target: str
    body: str | None


class Front:
    """A proxy in front of a server. Use it as a context manager.

    Args:
        server: Where the server listens.
        lanes: How many connections to the server it keeps, each with a socket of its own in front.
        lax: Whether it passes on what it can, instead of refusing it, and bodies while they come.
        tcp: Whether the lanes are ports, so that the front knows an address of its clients.
        tells: Lines of its configuration, for what it tells the server of its clients.
    """

    stop_signal: signal.Signals

    #: How its configuration writes the path of the server's unix socket.
    unix_server: str

    def __init__(
        self, server: Address, lanes: int, *, lax: bool = False, tcp: bool = False, tells: str = ""
    ) -> None:
        self.lax = lax
        self.tells = tells
        where = self.unix_server if isinstance(server, str) else "{0[0]}:{0[1]}"
        self.server = where.format(server)
        # Not pytest's folder: the path of a unix socket has 107 bytes at most.
        self._folder = tempfile.TemporaryDirectory(prefix="kirsch-front-")
        self.folder = Path(self._folder.name)
        self.listeners = [
            listener(("127.0.0.1", 0) if tcp else str(self.folder / f"{number}.sock"))
            for number in range(lanes)
        ]
        self.lanes: list[Address] = [one.getsockname() for one in self.listeners]
        self.log = self.folder / "log"
        self.errors = self.folder / "errors"

    def __enter__(self) -> Front:
        configuration = self.folder / "configuration"
        descriptors = [one.fileno() for one in self.listeners]
        configuration.write_text(self.configuration(descriptors), encoding="ascii")
        with self.log.open("wb") as log, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                self.command(configuration),
                stdout=log,
                stderr=errors,
                pass_fds=descriptors,
                env={**os.environ, "NGINX": "".join(f"{number};" for number in descriptors)},
            )
        # Without a copy here, a proxy that did not start refuses its clients at once.
        for one in self.listeners:
            one.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            # Not killed: nginx would leave its worker behind.
            self.process.terminate()
            self.process.wait(STOP_SECONDS)
        self._folder.cleanup()

    def command(self, configuration: Path) -> list[str]:
        """The words that start it."""
        raise NotImplementedError

    def configuration(self, descriptors: Iterable[int]) -> str:
        """Its configuration, for listeners with these descriptors."""
        raise NotImplementedError

    def read_line(self, line: str) -> tuple[str, Forwarded] | None:
        """An id and what was forwarded with it; None for a line about something else."""
        raise NotImplementedError

    def stop(self) -> dict[str, Forwarded]:
        """End it behind its last request, and return what it passed on, by id."""
        self.process.send_signal(self.stop_signal)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise DeadlineMissed(f"{self.process.args!r} does not end") from error
        assert code == 0, f"exit code {code}\n{self.errors.read_text('utf-8', 'replace')}"
        lines = self.log.read_text("ascii").splitlines()
        return dict(entry for entry in map(self.read_line, lines) if entry is not None)


class Nginx(Front):
    """nginx with a process that works, and one that watches over it."""

    stop_signal = signal.SIGQUIT
    unix_server = "unix:{}"
    # Quotes and what is not printable are written as \xHH, so that the quotes are the log's own.
    LINE = re.compile(r'([0-9a-f]{32}) "([^"]*)" "([^"]*)" "([^"]*)"')

    def command(self, configuration: Path) -> list[str]:
        """The words that start it."""
        return ["nginx", "-p", str(self.folder), "-e", str(self.errors), "-c", str(configuration)]

    def configuration(self, descriptors: Iterable[int]) -> str:
        """Its configuration; it finds its listeners in the environment, as in an upgrade."""
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "\n".join(f"    {kind}_temp_path {self.folder}/{kind};" for kind in kinds)
        return f"""
            daemon off;
            worker_processes 1;
            pid {self.folder}/pid;
            events {{ worker_connections 512; }}
            http {{
                {temporary}
                log_format forwarded '$request_id "$request_method" "$request_uri" "$request_body"';
                access_log {self.log} forwarded;
                client_body_buffer_size 64k;
                client_body_in_single_buffer on;
                keepalive_requests 1000000;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                proxy_set_header X-Id $request_id;
                # A connection that the server closes without a word shall be seen, not healed.
                proxy_next_upstream off;
                {self.manners()}
                {self.tells}
                {"".join(self.lane(number, address) for number, address in enumerate(self.lanes))}
            }}
        """

    def manners(self) -> str:
        """How it takes what is odd."""
        if not self.lax:
            return "proxy_set_header Host $host;"
        return """
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
            ignore_invalid_headers off;
            underscores_in_headers on;
            merge_slashes off;
        """

    def lane(self, number: int, address: Address) -> str:
        """A socket, and its connection to the server."""
        listen = f"unix:{address}" if isinstance(address, str) else f"{address[0]}:{address[1]}"
        return f"""
                upstream lane{number} {{ server {self.server}; keepalive 1; keepalive_requests 1000000; }}
                server {{
                    listen {listen};
                    location / {{ proxy_pass http://lane{number}; }}
                }}
        """

    def read_line(self, line: str) -> tuple[str, Forwarded] | None:
        """An id and what was forwarded with it."""
        match = self.LINE.fullmatch(line)
        assert match is not None, line
        method, target, body = map(without_escapes, match.groups()[1:])
        # Of `http://a.test?x` nginx logs what it has found, and sends a path.
        target = f"/{target}" if target.startswith("?") else target
        # A dash is no body, unless it is the body.
        known = None if self.lax or body == "-" else body
        return match[1], Forwarded(method, target, known)


class HAProxy(Front):
    """HAProxy, with one thread."""

    stop_signal = signal.SIGUSR1
    unix_server = "unix@{}"
    LINE = re.compile(r"([0-9a-f-]{36}) (\S+) ([0-9A-F]+) ([0-9A-F]+|-)")

    def command(self, configuration: Path) -> list[str]:
        """The words that start it."""
        return ["haproxy", "-db", "-f", str(configuration)]

    def configuration(self, descriptors: Iterable[int]) -> str:
        """Its configuration, with a frontend and a backend for every lane."""
        return f"""
global
    nbthread 1
    maxconn 512
    log stdout len 65535 format raw local0
defaults
    mode http
    log global
    timeout connect 30s
    timeout client 30s
    timeout server 30s
    # What the server closes without a word shall be seen, not healed.
    retries 0
    http-reuse always
    unique-id-format %[uuid()]
    option {"accept-invalid-http-request" if self.lax else "http-buffer-request"}
{"".join(self.lane(number, descriptor) for number, descriptor in enumerate(descriptors))}
"""

    def lane(self, number: int, descriptor: int) -> str:
        """A socket, and its connection to the server."""
        body = "" if self.lax else "http-request set-var(txn.body) req.body"
        return f"""
frontend front{number}
    bind fd@{descriptor}
    http-request set-header X-Id %[unique-id]
    http-request set-var(txn.target) url
    {body}
    log-format "%ID %HM %[var(txn.target),hex] %[var(txn.body),hex]"
    default_backend lane{number}
backend lane{number}
    {self.tells}
    server kirsch {self.server}
"""

    def read_line(self, line: str) -> tuple[str, Forwarded] | None:
        """An id and what was forwarded with it; what HAProxy refuses has a line too, without a target."""
        match = self.LINE.fullmatch(line)
        if match is None:
            return None
        # It writes some bytes of a method as #HH, among them the # itself.
        method = re.sub(r"#([0-9A-F]{2})", lambda escape: chr(int(escape[1], 16)), match[2])
        target, body = (bytes.fromhex(text.strip("-")).decode("latin-1") for text in match.groups()[2:])
        return match[1], Forwarded(method, target, None if self.lax else body)


FRONTS: dict[str, tuple[type[Front], bool]] = {
    "nginx": (Nginx, False),
    "nginx-lax": (Nginx, True),
    "haproxy": (HAProxy, False),
    "haproxy-lax": (HAProxy, True),
}


def listener(address: Address) -> socket.socket:
    """A socket that listens, and that a child may have."""
    one = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    one.bind(address)
    one.listen(BACKLOG)
    return one


def without_escapes(text: str) -> str:
    r"""What nginx has written into its log: `\xHH` is a byte."""
    return re.sub(r"\\x([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), text)
