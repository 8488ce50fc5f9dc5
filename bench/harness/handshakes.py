"""The load of the handshake scenarios, which wrk cannot do: `crates/kirsch-tls/examples/handshakes.rs`."""

from __future__ import annotations

import json
import subprocess

from harness import paths
from harness.load import LoadFailed, Outcome

# To end what has begun.
GRACE_SECONDS = 15
HOW = "run `cargo build --release -p kirsch-tls --example handshakes`, or choose other scenarios with --only"


def start(kind: str, port: int, connections: int, seconds: int, *, cpu: int | None) -> subprocess.Popen[str]:
    """Start the client; return when it has a ticket for each connection.

    Raises:
        LoadFailed: if it ends instead.
        MissingTool: if it was not built.
    """
    pin = [] if cpu is None else ["taskset", "-c", str(cpu)]
    program = paths.file(paths.HANDSHAKES, HOW)
    process = subprocess.Popen(
        [*pin, program, kind, str(port), str(connections), str(seconds)],
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
