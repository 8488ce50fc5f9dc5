"""The load of the handshake scenarios: connect, shake hands, take the tickets, say goodbye, again.

No request is sent, so that what the server pays for is the handshake. Every connection waits until the server
closes it, which it does behind its part of the handshake and behind its tickets. A ticket is used once
(RFC 8446, appendix C.4). Each handshake has to be what was asked for, full or resumed: any other is an error.

As a program: python -m harness.handshakes full|resumed PORT CONNECTIONS SECONDS; says `ready` when each of
its connections has a ticket, waits for a line, and prints one of JSON.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

from harness import certificate, paths, tls
from harness.load import LoadFailed, Outcome

# To start, and to end what has begun.
GRACE_SECONDS = 15


def start(kind: str, port: int, connections: int, seconds: int, *, cpu: int | None) -> subprocess.Popen[str]:
    """Start the program; return when it is ready to begin.

    Raises:
        LoadFailed: if it ends instead.
    """
    pin = [] if cpu is None else ["taskset", "-c", str(cpu)]
    process = subprocess.Popen(
        [*pin, sys.executable, "-m", "harness.handshakes", kind, str(port), str(connections), str(seconds)],
        cwd=paths.BENCH,
        env={**os.environ, **certificate.environ()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    # Its sockets have deadlines, so it does end.
    if process.stdout.readline() != "ready\n":
        raise LoadFailed(f"no handshake succeeds: {process.communicate()[1][-1000:]}")
    return process


def finish(process: subprocess.Popen[str], seconds: int) -> Outcome:
    """Let it begin, and wait for its result.

    Raises:
        LoadFailed: if there is none within the time.
    """
    try:
        output, complaint = process.communicate("go\n", timeout=seconds + GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise LoadFailed("the handshakes did not end in time") from None
    if process.returncode:
        raise LoadFailed(f"the handshakes failed: {complaint[-1000:]}")
    said = json.loads(output)
    return Outcome(
        requests=said["handshakes"],
        seconds=said["seconds"],
        p50=said["p50"],
        p99=said["p99"],
        longest=said["max"],
        errors=said["errors"],
    )


@dataclass
class Client:
    """One thread's connections, one after the other."""

    port: int
    resumes: bool
    context: ssl.SSLContext = field(default_factory=tls.context)
    # What the next connection can resume.
    session: ssl.SSLSession | None = None
    # Nanoseconds of each handshake, the connection included.
    took: list[int] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)

    def once(self, session: ssl.SSLSession | None) -> bool:
        """Make one connection, which resumes `session` if there is one; return whether it did."""
        begun = time.perf_counter_ns()
        connection = tls.Connection(self.context, self.port, session)
        try:
            resumed = connection.shake_hands()
            took = time.perf_counter_ns() - begun
            self.session = connection.ticket()
            connection.part()
        finally:
            connection.close()
        self.took.append(took)
        return resumed

    def repeat(self, deadline: float) -> None:
        """Make connections for so long, and count what is wrong with them."""
        self.took.clear()
        while time.monotonic() < deadline:
            try:
                resumed = self.once(self.session if self.resumes else None)
            except OSError as error:
                self._count(type(error).__name__)
            else:
                if resumed != self.resumes:
                    self._count("resumed" if resumed else "not resumed")

    def _count(self, kind: str) -> None:
        self.errors[kind] = self.errors.get(kind, 0) + 1


def main() -> None:
    """Have a ticket for each connection, shake hands for so long, and print what came of it."""
    kind, port, connections, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    clients = [Client(port, resumes=kind == "resumed") for _ in range(connections)]
    for client in clients:
        client.once(None)
    print("ready", flush=True)
    if not sys.stdin.readline():
        return
    begun = time.monotonic()
    threads = [threading.Thread(target=client.repeat, args=(begun + seconds,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - begun
    took = sorted(one for client in clients for one in client.took)
    errors: dict[str, int] = {}
    for client in clients:
        for kind, count in client.errors.items():
            errors[kind] = errors.get(kind, 0) + count
    print(
        json.dumps(
            {
                "handshakes": len(took),
                "seconds": elapsed,
                "p50": took[len(took) // 2] // 1000 if took else 0,
                "p99": took[len(took) * 99 // 100] // 1000 if took else 0,
                "max": took[-1] // 1000 if took else 0,
                "errors": errors,
            }
        )
    )


if __name__ == "__main__":
    main()
