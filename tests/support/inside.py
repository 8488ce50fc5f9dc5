"""What a test sees of a server's process: by asking the application `inside`, and from the system."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .client import DEADLINE_SECONDS, Address, DeadlineMissed, get

# Between two looks at something that tells nobody when it changes.
LOOK_SECONDS = 0.01
# Of thousands of clients that leave at once, the last is forgotten when the machine has come to it.
SETTLE_SECONDS = 60.0


def view(address: Address, *, collect: bool = False) -> dict[str, Any]:
    """Statistics, descriptors, threads and memory of the server's process; with `collect`, its objects."""
    response = get(address, "/inside?collect" if collect else "/inside")
    assert response.status == 200, response
    return json.loads(response.body)


def eventually(true: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """Look until something holds that nothing announces, and answer it.

    Raises:
        DeadlineMissed: It did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not (found := true()):
        if time.monotonic() > deadline:
            raise DeadlineMissed(f"{what}: never in {seconds} s")
        time.sleep(LOOK_SECONDS)
    return found


def baseline(address: Address) -> dict[str, Any]:
    """What has to be the same again once all others have left: descriptors, threads, buffers, spool."""
    seen = view(address)
    statistics = seen["statistics"]
    names = ("connections", "queued", "buffer_bytes", "spool_bytes", "panics")
    return {
        **{name: statistics[name] for name in names},
        "descriptors": sorted(what.partition(":")[0] for what in seen["descriptors"].values()),
        "threads": seen["threads"],
    }


def settled(address: Address) -> dict[str, Any]:
    """The same, once nobody but who asks is connected."""

    def alone() -> dict[str, Any] | None:
        seen = baseline(address)
        return seen if seen["connections"] == 1 else None

    return eventually(alone, "nobody else is connected", SETTLE_SECONDS)


def processor_ticks(pid: int) -> int:
    """Processor time of a process so far, in the system's ticks."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return int(user) + int(system)


def descriptors(pid: int) -> dict[int, str]:
    """Number → what it is, of every descriptor of a process."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
    return found


def traced(pid: int) -> bool:
    """Whether every thread of a process has a tracer."""
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with contextlib.suppress(OSError):
            if "TracerPid:\t0\n" in status.read_text():
                return False
    return True
