#!/usr/bin/env python3
"""How many instructions a server executes for each request, in user space.

Processor time depends on the machine and its neighbours; instructions hardly do. valgrind counts them:
the same server answers N requests in one run and 2N in another, one after the other over one connection,
and the difference divided by N is what one request costs. Starting and ending cancel out.

Of Kirsch only the pool's thread counts, and there is only one. The main thread imports, which is never
twice the same; the watcher's ticks measure time, of which there is much under valgrind.

As a library: `instructions_per_request(command, port, ...)`. As a program, `--record FILE` writes the
figure for this interpreter's version, `--check FILE` compares with it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from harness import paths, process
from harness.scenarios import SCENARIOS
from harness.servers import SERVERS, Setting, environ

REQUESTS = 3000
# Requests before the first that counts in neither run: they fill caches and make threads.
WARMUP = 200
TOLERANCE = 0.03
# Numbers of epoll_wait and epoll_pwait, on x86-64 and elsewhere.
WAITS = ("232", "281") if platform.machine() == "x86_64" else ("22",)
# valgrind runs a server some fifty times slower, its start above all.
START_SECONDS = 120.0
ANSWER_SECONDS = 30.0
END_SECONDS = 30.0


class CannotCount(Exception):
    """The server did not start under valgrind, or answered wrongly; the message says which."""


def instructions_per_request(
    command: list[str],
    port: int,
    *,
    requests: int = REQUESTS,
    path: str = "/",
    environment: Mapping[str, str] | None = None,
    pool_thread: bool = False,
) -> float:
    """Run the server twice under valgrind and return the instructions of one request.

    Args:
        command: the server's command; it has to listen at 127.0.0.1:`port` and end on SIGTERM.
        port: where it listens, for example from `harness.process.free_port`.
        requests: N, of N and 2N.
        path: what to ask for.
        environment: added to our own environment.
        pool_thread: count only the busiest thread beside the first.

    Raises:
        CannotCount: if the server does not start, answer, or end.
        MissingTool: if valgrind is not installed.
    """
    few = _count(command, port, WARMUP + requests, path, environment or {}, pool_thread)
    many = _count(command, port, WARMUP + 2 * requests, path, environment or {}, pool_thread)
    return (many - few) / requests


def _count(
    command: list[str],
    port: int,
    requests: int,
    path: str,
    environment: Mapping[str, str],
    pool_thread: bool,
) -> int:
    """Return the instructions of a whole run: of its pool's thread, or of all the server's processes."""
    with tempfile.TemporaryDirectory(prefix="kirsch-bench-") as folder:
        output = Path(folder)
        valgrind = [
            # No address randomisation: hash tables keyed by address then always collide alike.
            *("setarch", "--addr-no-randomize"),
            paths.tool("valgrind"),
            *("--tool=callgrind", "--trace-children=yes", f"--callgrind-out-file={output}/out.%p"),
            # Threads that wait in turn: without it a spinning thread can keep the others out.
            *("--fair-sched=yes", "--separate-threads=yes"),
        ]
        log = output / "log"
        with log.open("wb") as writer:
            server = subprocess.Popen(
                [*valgrind, *command],
                cwd=folder,
                env={**os.environ, **environment, "PYTHONHASHSEED": "0"},
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=subprocess.STDOUT,
            )
        try:
            connection = _connect(server, port)
            with connection:
                _ask(connection, port, path, requests, server.pid)
            server.terminate()
            server.wait(END_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            tail = log.read_text(errors="replace")[-1000:]
            raise CannotCount(
                f"{type(error).__name__}: {error}; the server's output ends with:\n{tail}"
            ) from error
        finally:
            process.end(server)
        return _total(output, log, pool_thread)


def _connect(server: subprocess.Popen[bytes], port: int) -> socket.socket:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
        except OSError:
            # Nothing to wait on: a server tells its readiness only by accepting.
            time.sleep(0.1)
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
    raise OSError(f"port {port} not open, exit status {server.poll()}")


def _ask(connection: socket.socket, port: int, path: str, requests: int, pid: int) -> None:
    """Ask one after the other; each answer is read to its end before the next question.

    The server is let fall asleep in between: whether it looks once or twice for the next request would
    depend on how quick we are.
    """
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    for _ in range(requests):
        _wait_until_asleep(pid)
        connection.sendall(request)
        head, _, body = _read_head(connection).partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not head.startswith(b"HTTP/1.1 200") or not length:
            raise OSError(f"unexpected answer {head[:200]!r}")
        missing = int(length[1]) - len(body)
        while missing > 0:
            missing -= len(_receive(connection))


def _wait_until_asleep(pid: int) -> None:
    """Wait until a thread of the server waits for events. Nobody tells: it has to be looked at."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        for thread in Path(f"/proc/{pid}/task").glob("*/syscall"):
            with contextlib.suppress(OSError):
                if thread.read_text().partition(" ")[0] in WAITS:
                    return
        os.sched_yield()


def _read_head(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _receive(connection)
    return received


def _receive(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise OSError("connection closed by the server")
    return received


def _total(output: Path, log: Path, pool_thread: bool) -> int:
    """Add up what valgrind wrote: a file for each thread of each process, numbered from the first."""
    totals: dict[str, int] = {}
    for file in output.glob("out.*-*"):
        found = re.search(r"^(?:totals|summary): (\d+)", file.read_text(errors="replace"), re.MULTILINE)
        if found:
            totals[file.name] = int(found[1])
    if not totals:
        raise CannotCount(f"valgrind wrote no counts:\n{log.read_text(errors='replace')[-1000:]}")
    if pool_thread:
        return max(count for name, count in totals.items() if not name.endswith("-01"))
    return sum(totals.values())


def key(server: str) -> str:
    """Return the name of a recorded figure: it holds for one interpreter version and kind of processor."""
    return f"{server} python {platform.python_version()} {platform.machine()}"


def main() -> int:
    """Count for one server; record the figure or check it. Return 1 if it is too far off."""
    parser = argparse.ArgumentParser(description="Count a server's instructions per request.")
    parser.add_argument("--server", choices=SERVERS, metavar="SERVER", default="kirsch")
    parser.add_argument("--scenario", choices=SCENARIOS, metavar="SCENARIO", default="hello-c1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--command", help="another server; {port} stands for the port")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the figure into FILE")
    parser.add_argument("--check", type=Path, metavar="FILE", help="compare with the figure in FILE")
    options = parser.parse_args()
    scenario = SCENARIOS[options.scenario]
    port = process.free_port()
    try:
        if options.command:
            name = options.command
            command = [word.replace("{port}", str(port)) for word in shlex.split(options.command)]
        else:
            name = f"{options.server} {scenario.name}"
            command = SERVERS[options.server].command(Setting(scenario.app, port, options.threads, 10))
        count = instructions_per_request(
            command,
            port,
            requests=options.requests,
            path=scenario.load.path,
            environment=environ(),
            pool_thread=not options.command and options.server.startswith("kirsch"),
        )
        print(f"{count:,.0f} instructions per request")
        return _compare(options, key(name), count)
    except (paths.MissingTool, CannotCount) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _compare(options: argparse.Namespace, name: str, count: float) -> int:
    if options.record:
        recorded = json.loads(options.record.read_text()) if options.record.exists() else {}
        recorded[name] = round(count)
        options.record.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
    if options.check:
        recorded = json.loads(options.check.read_text())
        if name not in recorded:
            print(f"error: {options.check} has no figure for {name}: use --record", file=sys.stderr)
            return 2
        change = count / recorded[name] - 1
        print(f"recorded {recorded[name]:,}, change {change:+.1%}, tolerance {TOLERANCE:.0%}")
        return 1 if abs(change) > TOLERANCE else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
