"""The servers: Kirsch, its peers and the yardsticks, each with the best settings we know.

One worker process, N threads for those that have threads. Access logs are off everywhere.
A new peer is one function and one line in `SERVERS`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness import paths
from harness.certificate import Pair
from harness.scenarios import FILES, LARGE, content

# nginx wants its configuration in a file, and folders for bodies; removed when the benchmark ends.
_scratch = tempfile.TemporaryDirectory(prefix="kirsch-bench-nginx-")


@dataclass(frozen=True)
class Setting:
    """What a scenario asks of every server alike."""

    app: str
    port: int
    threads: int
    # The most connections that will be open at once.
    connections: int
    # Serve it over TLS, and nothing in clear.
    pair: Pair | None = None


@dataclass(frozen=True)
class Server:
    """How one server is started."""

    name: str
    command: Callable[[Setting], list[str]]
    # Takes the number of threads; the others serve one request at a time and sit out when requests wait.
    threaded: bool = True
    # Answers by itself, without the application: only for the hello scenarios.
    yardstick: bool = False
    # Serves the files of the file scenarios, and nothing else.
    files: bool = False
    # Has one thread for each connection: only where connections are no more than threads.
    thread_each: bool = False
    # Answers by Kirsch's router alone: only for the scenario that compares one route with many.
    routed: bool = False
    # Takes part in the scenario of cheroot's classes; `kirsch-cheroot` in no other.
    classes: bool = False
    # Takes part in the scenarios over TLS, too.
    tls: bool = False
    # A second setting of another server, for the scenarios where that one is better.
    variant_of: str = ""


def environ() -> dict[str, str]:
    """Return the environment of all servers: same applications, same frameworks, for all."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = paths.PEERS / "lib" / version / "site-packages"
    return {
        "PYTHONPATH": f"{paths.APPS}:{packages}",
        "PYTHONDONTWRITEBYTECODE": "1",
        # fastwsgi imports pkg_resources, which warns.
        "PYTHONWARNINGS": "ignore",
    }


def _kirsch(ask: Setting) -> list[str]:
    program = paths.file(paths.KIRSCH, "install Kirsch into .venv first, or leave it out with --servers")
    pair = ["--tls-cert", str(ask.pair.certificate), "--tls-key", str(ask.pair.key)] if ask.pair else []
    return [program, "--bind", f"127.0.0.1:{ask.port}", "--threads", str(ask.threads), *pair, ask.app]


def _floor(ask: Setting) -> list[str]:
    how = "run `cargo build --release -p kirsch-server --example floor`, or leave it out with --servers"
    return [paths.file(paths.FLOOR, how), str(ask.port)]


def _routed(routes: str) -> Callable[[Setting], list[str]]:
    """The floor behind so many routes; its threads and reactors are one, as the floor's."""
    return lambda ask: [*_floor(ask), "1", "1", routes]


def _nginx(ask: Setting) -> list[str]:
    folder = Path(_scratch.name)
    config = folder / f"nginx-{ask.port}.conf"
    text = NGINX.format(port=ask.port, folder=folder)
    if ask.pair:
        (folder / "large.bin").write_bytes(LARGE)
        lines = NGINX_TLS.format(
            port=ask.port, folder=folder, certificate=ask.pair.certificate, key=ask.pair.key
        )
        text = "\n".join(lines if "listen" in line else line for line in text.splitlines())
    config.write_text(text)
    return [paths.tool("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(config)]


NGINX = """\
daemon off; master_process off; worker_processes 1; pid {folder}/nginx-{port}.pid;
error_log stderr crit;
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 75s; tcp_nodelay on;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type text/plain; return 200 "Hello, world!\\n"; }}
  }}
}}
"""


NGINX_TLS = """\
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;
    location = /large.bin {{ root {folder}; }}
"""


def _folder() -> Path:
    """Return the folder with the files; made once."""
    folder = Path(_scratch.name) / "files"
    if not folder.exists():
        folder.mkdir()
        for name in FILES:
            (folder / f"{name}.bin").write_bytes(content(name))
    return folder


def _files(ask: Setting) -> list[str]:
    how = "run `cargo build --release -p kirsch-files --example files`, or leave it out with --servers"
    return [paths.file(paths.FILES, how), str(_folder()), str(ask.port), str(ask.threads)]


def _nginx_files(cache: str, ask: Setting) -> list[str]:
    folder = Path(_scratch.name)
    config = folder / f"nginx-{ask.port}.conf"
    location = f"location / {{ root {_folder()}; sendfile on; tcp_nopush on; {cache} }}"
    text = NGINX.format(port=ask.port, folder=folder)
    config.write_text("\n".join(location if "return" in line else line for line in text.splitlines()))
    return [paths.tool("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(config)]


def _granian(threads: int, ask: Setting) -> list[str]:
    pair: tuple[str, ...] = ()
    if ask.pair:
        pair = ("--ssl-certificate", str(ask.pair.certificate), "--ssl-keyfile", str(ask.pair.key))
    return [
        paths.peer("granian"),
        *("--interface", "wsgi", "--no-ws", "--http", "1", "--host", "127.0.0.1", "--port", str(ask.port)),
        *("--workers", "1", "--runtime-threads", "1", "--blocking-threads", str(threads)),
        # Idle connections count against it, so it has to exceed them.
        *("--backlog", "4096", "--backpressure", str(max(ask.connections + 100, 4096))),
        *("--log-level", "error", "--no-access-log"),
        *pair,
        ask.app,
    ]


def _gunicorn(ask: Setting) -> list[str]:
    return [
        paths.peer("gunicorn"),
        *("--bind", f"127.0.0.1:{ask.port}", "--workers", "1", "--worker-class", "gthread"),
        *("--threads", str(ask.threads), "--keep-alive", "75", "--backlog", "4096"),
        *("--worker-connections", str(ask.connections + 100), "--no-control-socket", "--log-level", "error"),
        ask.app,
    ]


def _uwsgi(ask: Setting, socket: list[str], threads: int) -> list[str]:
    return [
        paths.peer("uwsgi"),
        *socket,
        *("--master", "--processes", "1", "--threads", str(threads), "--enable-threads"),
        *("--listen", "1024", "--buffer-size", "16384", "--disable-logging", "--need-app", "--die-on-term"),
        *("--so-keepalive", "--virtualenv", str(paths.PEERS), "--module", ask.app),
    ]


def _uwsgi_router(ask: Setting) -> list[str]:
    """A router process in front, which keeps connections alive: for more connections than threads."""
    socket = ["--http", f"127.0.0.1:{ask.port}", "--http-keepalive", "--http-auto-chunked"]
    return _uwsgi(ask, socket, ask.threads)


def _uwsgi_direct(ask: Setting) -> list[str]:
    """The worker speaks HTTP/1.1 itself: a connection holds a thread while it lives, so each gets one."""
    return _uwsgi(ask, ["--http11-socket", f"127.0.0.1:{ask.port}"], max(ask.threads, ask.connections))


def _launched(name: str, ask: Setting) -> list[str]:
    python = paths.peer("python")
    return [
        python,
        str(paths.LAUNCH / "serve.py"),
        name,
        str(ask.port),
        str(ask.threads),
        str(ask.connections),
        ask.app,
    ]


def _launcher(name: str) -> Callable[[Setting], list[str]]:
    return lambda ask: _launched(name, ask)


def _kirsch_cheroot(ask: Setting) -> list[str]:
    """Kirsch by cheroot's classes, started as their users start them."""
    python = paths.file(paths.KIRSCH.with_name("python"), "install Kirsch into .venv first")
    rest = [str(ask.port), str(ask.threads), str(ask.connections), ask.app]
    return [python, str(paths.LAUNCH / "serve.py"), "kirsch-cheroot", *rest]


def _sockets(ask: Setting) -> list[str]:
    return [paths.peer("python"), str(paths.LAUNCH / "sockets.py"), str(ask.port), ask.app]


SERVERS: dict[str, Server] = {
    server.name: server
    for server in (
        Server("kirsch", _kirsch, tls=True, classes=True),
        Server("kirsch-cheroot", _kirsch_cheroot, classes=True, variant_of="kirsch"),
        Server("granian", lambda ask: _granian(ask.threads, ask), tls=True),
        # The setting of Granian's own published figures, for applications that do not wait.
        Server("granian-1", lambda ask: _granian(1, ask), threaded=False, variant_of="granian"),
        Server("fastwsgi", _launcher("fastwsgi"), threaded=False),
        Server("bjoern", _launcher("bjoern"), threaded=False),
        Server("uwsgi", _uwsgi_router),
        Server("uwsgi-direct", _uwsgi_direct, thread_each=True, variant_of="uwsgi"),
        Server("gunicorn", _gunicorn),
        Server("waitress", _launcher("waitress")),
        Server("cheroot", _launcher("cheroot"), classes=True),
        Server("floor", _floor, yardstick=True),
        Server("nginx", _nginx, yardstick=True, tls=True),
        Server("no routes", _floor, routed=True),
        Server("one route", _routed("one"), routed=True),
        Server("10,000 hosts", _routed("hosts"), routed=True),
        Server("1,000 paths", _routed("paths"), routed=True),
        Server("files", _files, yardstick=True, files=True),
        Server("nginx-files", lambda ask: _nginx_files("", ask), yardstick=True, files=True),
        # As Kirsch does it: what was found counts for a second.
        Server(
            "nginx-cached",
            lambda ask: _nginx_files("open_file_cache max=1000; open_file_cache_valid 1s;", ask),
            yardstick=True,
            files=True,
            variant_of="nginx-files",
        ),
        # No server: the ceiling for waiting requests.
        Server("bare sockets", _sockets, thread_each=True, variant_of="bare threads"),
    )
}
