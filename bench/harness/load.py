"""wrk: its command, its run, its result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass

from harness import certificate, paths

# A request unanswered for this long is an error; wrk's own default is 2 s.
TIMEOUT_SECONDS = 5


@dataclass(frozen=True)
class Load:
    """What one wrk asks for."""

    connections: int
    path: str = "/"
    method: str = "GET"
    body_bytes: int = 0
    # "one" (Host), "browser" (twelve fields, as Firefox sends them), "many" (each for another host and path).
    fields: str = "one"
    tls: bool = False
    # "full" or "resumed": nothing but handshakes; see handshakes.py.
    handshakes: str = ""


@dataclass(frozen=True)
class Outcome:
    """What wrk counted. Latencies in microseconds."""

    requests: int
    seconds: float
    p50: int
    p99: int
    longest: int
    errors: dict[str, int]

    @property
    def rps(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


class LoadFailed(Exception):
    """wrk itself ended with an error."""


def start(
    load: Load, port: int, seconds: int, *, cpu: int | None, requests: int = 0
) -> subprocess.Popen[str]:
    """Start wrk for `seconds`, or until it has `requests` answers if that is not 0."""
    pin = [] if cpu is None else ["taskset", "-c", str(cpu)]
    scheme = "https" if load.tls else "http"
    command = [
        *pin,
        paths.tool("wrk"),
        *("--threads", "1", "--connections", str(load.connections)),
        *("--duration", f"{seconds}s", "--timeout", f"{TIMEOUT_SECONDS}s"),
        *("--script", str(paths.REPORT_LUA), f"{scheme}://127.0.0.1:{port}{load.path}"),
        *("--", load.method, str(load.body_bytes), load.fields, str(requests)),
    ]
    return subprocess.Popen(
        command,
        env={**os.environ, **(certificate.environ() if load.tls else {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str], seconds: int) -> Outcome:
    """Wait for wrk and read its result.

    Raises:
        LoadFailed: if it says nothing within the time, or nothing that we understand.
    """
    try:
        output, _ = process.communicate(timeout=seconds + TIMEOUT_SECONDS + 10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise LoadFailed("wrk did not end in time") from None
    for line in output.splitlines():
        if line.startswith("RESULT "):
            return _outcome(json.loads(line.removeprefix("RESULT ")))
    raise LoadFailed(f"wrk gave no result:\n{output[-1000:]}")


def run(load: Load, port: int, seconds: int, *, cpu: int | None, requests: int = 0) -> Outcome:
    """Start wrk and wait for its result."""
    process = start(load, port, seconds, cpu=cpu, requests=requests)
    if requests and process.stdout:
        for line in process.stdout:
            if line == "ENOUGH\n":
                process.send_signal(signal.SIGINT)
                break
            if line.startswith("RESULT "):
                # Not enough within the time: the result is what there is.
                process.communicate()
                return _outcome(json.loads(line.removeprefix("RESULT ")))
    return finish(process, seconds)


def _outcome(said: dict[str, int]) -> Outcome:
    kinds = ("connect", "read", "write", "status", "timeout")
    return Outcome(
        requests=said["requests"],
        seconds=said["micros"] / 1e6,
        p50=said["p50"],
        p99=said["p99"],
        longest=said["max"],
        errors={kind: said[kind] for kind in kinds if said[kind]},
    )
