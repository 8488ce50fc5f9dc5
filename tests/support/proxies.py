"""Real proxies in front of a server: nginx and HAProxy from Debian, each a child of the test on a port of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .client import Address

START_SECONDS = 20.0

NGINX = """\
daemon off; master_process off; pid {folder}/pid; error_log stderr error;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream back {{ server {upstream}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://back;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
{settings}
    }}
  }}
}}
"""

HAPROXY = """\
global
  maxconn 512
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend front
  bind 127.0.0.1:{port}
  default_backend back
backend back
{settings}
  server one {upstream}
"""


def free_port() -> int:
    """A port that nobody has now. Neither proxy can be told to take one and say which."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tool(name: str) -> str:
    """Where a proxy is installed; its folder is often not on the path of those who are not root."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    assert found, f"{name} is missing: make deps"
    return found


@contextmanager
def nginx(upstream: Address, settings: str, folder: Path) -> Iterator[Address]:
    """An nginx that passes everything on; `settings` are the lines that say what it tells of its clients."""
    where = f"unix:{upstream}" if isinstance(upstream, str) else f"{upstream[0]}:{upstream[1]}"
    with _running("nginx", NGINX, ["-e", "stderr", "-p", str(folder), "-c"], where, settings, folder) as port:
        yield ("127.0.0.1", port)


@contextmanager
def haproxy(upstream: Address, settings: str, folder: Path) -> Iterator[Address]:
    """A HAProxy that passes everything on; `settings` are the lines of its backend."""
    where = f"unix@{upstream}" if isinstance(upstream, str) else f"{upstream[0]}:{upstream[1]}"
    with _running("haproxy", HAPROXY, ["-db", "-f"], where, settings, folder) as port:
        yield ("127.0.0.1", port)


@contextmanager
def _running(
    name: str, text: str, flags: list[str], upstream: str, settings: str, folder: Path
) -> Iterator[int]:
    port = free_port()
    config = folder / f"{name}.conf"
    config.write_text(text.format(folder=folder, port=port, upstream=upstream, settings=settings))
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([tool(name), *flags, str(config)], stdout=log, stderr=log)
    try:
        _await_port(process, port, folder / f"{name}.log")
        yield port
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS).close()
        except ConnectionRefusedError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            # Nothing to wait on: a proxy tells that it listens only by accepting.
            time.sleep(0.02)
        else:
            return
