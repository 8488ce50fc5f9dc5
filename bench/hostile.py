#!/usr/bin/env python3
"""What a good client notices of hostile ones: its slowest answers of a hundred, beside each attack and alone.

    python bench/hostile.py [--seconds 3] [--rounds 3] [--only heads silence]

The attacks are those of the tests (`tests/support/attack.py`). The good client asks at a steady pace, on a
connection that stays and on new ones in turn; its times count from when it meant to ask, so that a pause is
not hidden by the requests that were not sent meanwhile. Rounds with and without the attack alternate. What a
crowd asks for as it comes is served in its order, like anybody's: a moment passes before anything counts.

The promise is that p99 at most doubles; the exit status is 1 if an attack breaks it. Attacks that keep the
server computing (`pipelines`, `one_byte_chunks`) need three processors: the attacker, the server and the good
client are processes of their own.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from support.attack import ATTACKS, attacking  # noqa: E402
from support.client import Client  # noqa: E402
from support.server import ServerProcess  # noqa: E402

PROMISE = 2.0
# A pace that a fraction of a core can keep, so that what is measured is the waiting.
REQUESTS_PER_SECOND = 200
THREADS = 4
SETTLE_SECONDS = 1.5
MILLISECONDS = 1000.0
# Nothing else ends what a machine has begun that is gone; a stop would have to cut it.
FLAGS = {"vanished": ("--timeout-head", "1s", "--timeout-body", "1s")}


def main() -> int:
    """Measure each attack, and print a table."""
    parser = argparse.ArgumentParser(description="A good client's p99 beside hostile ones.")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=sorted(ATTACKS), metavar="ATTACK")
    options = parser.parse_args()
    print("| attack | clients | p99 alone, ms | p99 beside it, ms | ratio |")
    print("|---|---|---|---|---|")
    broken = False
    for name in options.only or ATTACKS:
        alone, beside = [], []
        for _ in range(options.rounds):
            flags = FLAGS.get(name, ())
            with ServerProcess("crowd:app", *flags, threads=THREADS, folder=TESTS / "apps") as server:
                ask(server, SETTLE_SECONDS)
                alone.append(p99(ask(server, options.seconds)))
                with attacking(name, server.address):
                    ask(server, SETTLE_SECONDS)
                    beside.append(p99(ask(server, options.seconds)))
        first, second = statistics.median(alone), statistics.median(beside)
        broken |= second > PROMISE * first
        figures = f"{first * MILLISECONDS:.2f} | {second * MILLISECONDS:.2f} | {second / first:.1f}"
        print(f"| {name} | {ATTACKS[name].clients:,} | {figures} |", flush=True)
    return 1 if broken else 0


def ask(server: ServerProcess, seconds: float) -> list[float]:
    """Ask at a steady pace; how long each answer took from when it was due."""
    times = []
    begun = time.monotonic()
    with server.client() as kept:
        for number in range(int(seconds * REQUESTS_PER_SECOND)):
            due = begun + number / REQUESTS_PER_SECOND
            time.sleep(max(0.0, due - time.monotonic()))
            if number % 2:
                request(kept)
            else:
                with server.client() as fresh:
                    request(fresh)
            times.append(time.monotonic() - due)
    return times


def request(client: Client) -> None:
    """Ask, and compare the answer."""
    if client.request("/", "POST", body=b"x" * 100).body != b"100":
        raise SystemExit("the good client got a wrong answer")


def p99(times: list[float]) -> float:
    """What one of a hundred exceeds."""
    return statistics.quantiles(times, n=100)[98]


if __name__ == "__main__":
    sys.exit(main())
