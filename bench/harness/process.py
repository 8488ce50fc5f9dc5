"""A server's process tree: its start, its end, its processor time and memory.

It does not know what the server is, nor HTTP: ready means that the port accepts.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 15.0
STOP_SECONDS = 5.0


class ServerFailed(Exception):
    """The server did not start; the message carries the end of its log."""


@dataclass(frozen=True)
class Memory:
    """Memory of a process tree, in KiB."""

    rss: int
    # Shared pages counted in parts: the honest figure for a server of several processes.
    pss: int


def free_port() -> int:
    """Choose a port of 127.0.0.1 that no client is given: one that waits could be connected to itself."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(lowest // 2, lowest)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def tree(root: int) -> list[int]:
    """Return `root` and its descendants that live now."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stat = Path(f"/proc/{entry}/stat").read_text()
                parent = int(stat.rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """Return the processor time of a tree: user and system, of all threads, also of those that have ended.

    It is utime + stime of /proc/PID/stat, read from the process's clock: in nanoseconds, not in ticks.
    """
    total = 0.0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            # clock_getcpuclockid(3): the inverted pid above three bits, of which 2 means "scheduler's clock".
            total += time.clock_gettime((~pid << 3) | 2)
    return total


def system_seconds(root: int) -> float:
    """Return the part of the processor time spent in the kernel, in ticks of 10 ms."""
    ticks = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            ticks += int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def machine_seconds() -> float:
    """Return the processor time of all tasks on all cores, in ticks; interrupts are not in it."""
    user, nice, system = Path("/proc/stat").read_text().split(maxsplit=4)[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Return the processor time of this process and of the children it has waited for."""
    own = os.times()
    return own.user + own.system + own.children_user + own.children_system


def memory(root: int) -> Memory:
    """Return the resident memory of a tree."""
    rss = pss = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, value = line.partition(":")
                if name == "Rss":
                    rss += int(value.split()[0])
                elif name == "Pss":
                    pss += int(value.split()[0])
    return Memory(rss, pss)


@contextlib.contextmanager
def running(command: list[str], port: int, *, cpu: int | None, environ: dict[str, str]) -> Iterator[int]:
    """Run a server on one core until the block ends; give its pid.

    Raises:
        ServerFailed: if its port does not accept within a bounded time.
    """
    # exec in place: the pid stays, and all threads and children inherit the core.
    pinned = command if cpu is None else ["taskset", "-c", str(cpu), *command]
    with tempfile.TemporaryDirectory(prefix="kirsch-bench-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                pinned,
                cwd=folder,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_for_port(process, port, log)
            yield process.pid
        finally:
            end(process)


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            # Nothing to wait on: a server tells its readiness only by accepting.
            time.sleep(0.02)
        else:
            return
    tail = log.read_text(errors="replace")[-2000:]
    raise ServerFailed(f"exit status {process.poll()}, port {port} not open; its output ends with:\n{tail}")


def end(process: subprocess.Popen[bytes]) -> None:
    """End the tree: ask the root, wait, then kill by pid whatever is left."""
    members = {pid: start for pid in tree(process.pid) if (start := _start_time(pid))}
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    for pid, start in members.items():
        # The start time proves that the pid was not given to another process meanwhile.
        if _start_time(pid) == start:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def _start_time(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
