#!/usr/bin/env python3
"""How many system calls a server makes for each request.

`perf stat` counts at the kernel's trace points, which hardly slows the server; where it may not, `strace`
counts and slows it several times. The counts include what opens and closes the connections: at 64 of
them and 20,000 requests, a hundredth of a call.

As a library: `syscalls_per_request(command, port, ...)`; put this folder on the path first.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from harness import load, measure, paths, process
from harness.scenarios import SCENARIOS
from harness.servers import SERVERS, Setting, environ

REQUESTS = 20_000
CONNECTIONS = 64
# A server so slow that it does not get through in this time is measured over what it did.
SECONDS = 30
ATTACH_SECONDS = 10.0

# The kinds that say something about a server's design; all others are added up.
KINDS = {
    "recv": ("recvfrom", "recvmsg", "read", "readv"),
    "send": ("sendto", "sendmsg", "write", "writev", "sendfile64", "sendfile"),
    "epoll_wait": ("epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"),
    "epoll_ctl": ("epoll_ctl",),
    "futex": ("futex",),
    "accept": ("accept", "accept4"),
    "close": ("close", "shutdown"),
    "clock": ("clock_gettime", "clock_nanosleep", "gettimeofday", "timerfd_settime"),
    "io_uring": ("io_uring_enter",),
}


class CannotCount(Exception):
    """Neither perf nor strace can watch a process here; the message says why."""


def syscalls_per_request(
    command: list[str],
    port: int,
    *,
    requests: int = REQUESTS,
    connections: int = CONNECTIONS,
    path: str = "/",
    environment: Mapping[str, str] | None = None,
    counter: str = "auto",
    cores: measure.Cores | None = None,
) -> dict[str, float]:
    """Start a server, load it, and count.

    Args:
        command: the server's command; it has to listen at 127.0.0.1:`port`.
        port: where it listens, for example from `harness.process.free_port`.
        requests: after how many answers to stop.
        connections: how many at once.
        path: what to ask for.
        environment: added to our own environment.
        counter: "perf", "strace", or "auto" for the first of them that works.
        cores: who runs where; without it, the server on a core of its own. On one core for both, what the
            client asks for gathers while the server waits for its turn, as it does under load.

    Returns:
        Calls per request: each of `KINDS`, "other", "total", and each call by its name as "call:NAME".

    Raises:
        CannotCount: if nothing here can count.
    """
    chosen = _counter() if counter == "auto" else counter
    cores = cores or measure.Cores.choose()
    with (
        process.running(command, port, cpu=cores.server, environ=dict(environment or {})) as pid,
        tempfile.TemporaryDirectory() as folder,
    ):
        asked = load.Load(connections, path)
        # First requests load code and make threads.
        load.run(asked, port, SECONDS, cpu=cores.client, requests=max(requests // 10, 200))
        output = Path(folder) / "counts"
        watcher = _attach(chosen, pid, output)
        try:
            outcome = load.run(asked, port, SECONDS, cpu=cores.client, requests=requests)
        finally:
            watcher.send_signal(signal.SIGINT)
            watcher.communicate(timeout=30)
        text = output.read_text()
    if not outcome.requests or outcome.errors:
        raise load.LoadFailed(f"{outcome.requests} answers, errors: {outcome.errors}")
    counts = _perf_counts(text) if chosen == "perf" else _strace_counts(text)
    if not counts:
        raise CannotCount(f"{chosen} counted nothing:\n{text[-1000:]}")
    return _per_request(counts, outcome.requests)


def _counter() -> str:
    """Choose perf if it may count at trace points, else strace."""
    with contextlib.suppress(paths.MissingTool):
        probe = [paths.tool("perf"), "stat", "-e", "raw_syscalls:sys_enter", "true"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return "perf"
    with contextlib.suppress(paths.MissingTool):
        paths.tool("strace")
        return "strace"
    raise CannotCount("perf may not count system calls here, and strace is not installed")


def _attach(counter: str, pid: int, output: Path) -> subprocess.Popen[bytes]:
    """Start the counter on the whole tree and wait until it counts."""
    pids = process.tree(pid)
    if counter == "perf":
        # Named one by one: all of them at once are several hundred descriptors for each thread.
        names = [f"syscalls:sys_enter_{name}" for group in KINDS.values() for name in group]
        events = ",".join([*filter(_has_trace_point, names), "raw_syscalls:sys_enter"])
        command = [paths.tool("perf"), "stat", "-x", ",", "-o", str(output), "-e", events]
        command += ["-p", ",".join(map(str, pids))]
    else:
        command = [paths.tool("strace"), "-c", "-f", "-o", str(output)]
        command += [word for one in pids for word in ("-p", str(one))]
    watcher = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _wait_until_attached(counter, watcher, pids)
    return watcher


def _wait_until_attached(counter: str, watcher: subprocess.Popen[bytes], pids: list[int]) -> None:
    deadline = time.monotonic() + ATTACH_SECONDS
    while time.monotonic() < deadline and watcher.poll() is None:
        # strace is the threads' tracer; perf tells nobody, but has its events' descriptors.
        if counter == "strace" and all(_traced(pid) for pid in pids):
            return
        if counter == "perf" and _opened_events(watcher.pid):
            return
        time.sleep(0.05)
    raise CannotCount(f"{counter} did not attach; exit status {watcher.poll()}")


def _opened_events(pid: int) -> bool:
    """Tell whether perf has opened all its events: their number no longer grows."""

    def count() -> int:
        return sum("perf_event" in str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir())

    with contextlib.suppress(OSError):
        first = count()
        time.sleep(0.3)
        return 0 < first == count()
    return False


def _traced(pid: int) -> bool:
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with contextlib.suppress(OSError):
            if "TracerPid:\t0\n" in status.read_text():
                return False
    return True


def _has_trace_point(event: str) -> bool:
    folder = Path("/sys/kernel/tracing/events") / event.replace(":", "/")
    return folder.exists()


def _perf_counts(text: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for line in text.splitlines():
        parts = line.split(",")
        if len(parts) > 2 and parts[0].isdigit():
            counts[parts[2].removeprefix("syscalls:sys_enter_")] = int(parts[0])
    # The kernel's names are older than the manual's.
    for kernel, manual in (("newfstat", "fstat"), ("sendfile64", "sendfile")):
        if kernel in counts:
            counts[manual] = counts.pop(kernel)
    total = counts.pop("raw_syscalls:sys_enter", 0)
    if total:
        counts["(unnamed)"] = max(total - sum(counts.values()), 0)
    return counts


def _strace_counts(text: str) -> dict[str, int]:
    counts = {}
    for line in text.splitlines():
        parts = line.split()
        # % time, seconds, usecs/call, calls, [errors,] syscall
        if len(parts) in (5, 6) and parts[3].isdigit() and parts[-1] != "total":
            counts[parts[-1]] = int(parts[3])
    return counts


def _per_request(counts: dict[str, int], requests: int) -> dict[str, float]:
    result = {kind: sum(counts.get(name, 0) for name in names) / requests for kind, names in KINDS.items()}
    result["total"] = sum(counts.values()) / requests
    result["other"] = result["total"] - sum(result[kind] for kind in KINDS)
    result |= {f"call:{name}": count / requests for name, count in sorted(counts.items()) if count}
    return result


def main() -> int:
    """Count for servers by name, or for a command."""
    parser = argparse.ArgumentParser(description="Count a server's system calls per request.")
    parser.add_argument("--server", nargs="+", choices=SERVERS, metavar="SERVER", default=["kirsch"])
    parser.add_argument("--scenario", choices=SCENARIOS, metavar="SCENARIO", default="hello-c64")
    parser.add_argument("--command", help="another server; {port} stands for the port")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--counter", choices=("auto", "perf", "strace"), default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    scenario = SCENARIOS[options.scenario]
    everything: dict[str, dict[str, float]] = {}
    try:
        for name in ["command"] if options.command else options.server:
            port = process.free_port()
            if options.command:
                command = [word.replace("{port}", str(port)) for word in shlex.split(options.command)]
            else:
                ask = Setting(scenario.app, port, scenario.threads, options.connections)
                command = SERVERS[name].command(ask)
            everything[name] = syscalls_per_request(
                command,
                port,
                requests=options.requests,
                connections=options.connections,
                path=scenario.load.path,
                environment=environ(),
                counter=options.counter,
            )
    except (paths.MissingTool, process.ServerFailed, load.LoadFailed, CannotCount) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(everything, indent=1))
    else:
        _print(everything)
    return 0


def _print(everything: dict[str, dict[str, float]]) -> None:
    columns = [*KINDS, "other", "total"]
    print(" ".join(["server".ljust(14), *(column.rjust(10) for column in columns)]))
    for name, rates in everything.items():
        print(" ".join([name.ljust(14), *(f"{rates[column]:10.3f}" for column in columns)]))


if __name__ == "__main__":
    sys.exit(main())
