"""How fast is the server's core at this moment?

A virtual machine's core is not always equally fast: a neighbour on the same physical core slows it, and
the processor time of the same work grows by half or more, seconds long. So a small process runs on
the server's core beside the server. Twenty times a second it does a fixed piece of work, which costs
about 1 % of the core, and says at the end how much processor time the piece took.
The summary leaves out the samples during which the core was slow. It does not divide by the pace: a slow
core makes the interpreter 1.8 times slower and the kernel's network path 1.4 times, seen here.

As a program: python pace.py; ends when its input closes and prints the mean in microseconds.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
import time
from collections.abc import Iterator

PERIOD_SECONDS = 0.05
# A sample counts if the core was at most this much slower than in the best comparable sample.
SLOW = 1.2
LOOPS = 10_000


class Pace:
    """What the probe said; readable after the block of `watched`."""

    micros: float = 0.0


@contextlib.contextmanager
def watched(cpu: int | None) -> Iterator[Pace]:
    """Watch a core's pace while the block runs."""
    pin = [] if cpu is None else ["taskset", "-c", str(cpu)]
    probe = subprocess.Popen(
        [*pin, sys.executable, "-S", "-E", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pace = Pace()
    try:
        yield pace
        said, _ = probe.communicate(timeout=5)
        pace.micros = float(said or 0)
    finally:
        if probe.poll() is None:
            probe.kill()
            probe.communicate()


def _work() -> float:
    begun = time.thread_time()
    total = 0
    for number in range(LOOPS):
        total += number
    return (time.thread_time() - begun) * 1e6


def main() -> None:
    """Work and rest until the input closes."""
    took = []
    while not select.select([sys.stdin], [], [], PERIOD_SECONDS)[0]:
        took.append(_work())
    # The first piece runs before the interpreter has specialised the loop.
    print(sum(took[1:]) / max(len(took) - 1, 1))


if __name__ == "__main__":
    main()
