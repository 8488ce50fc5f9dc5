"""The yardstick for waiting: the same application called in a loop by bare Python threads, without a server.

Usage: python bare.py MODULE:APP THREADS SECONDS; prints one line of JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
import time
from typing import Any


def main() -> None:
    """Run the loops and print calls per second, processor time and latencies."""
    target, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    module, _, attribute = target.partition(":")
    app = getattr(importlib.import_module(module), attribute)
    took: list[list[int]] = [[] for _ in range(threads)]
    everyone = threading.Barrier(threads + 1)

    def loop(mine: list[int]) -> None:
        environ = {"PATH_INFO": "/", "REQUEST_METHOD": "GET"}
        everyone.wait()
        while time.monotonic() < end[0]:
            begun = time.perf_counter_ns()
            app(environ, _start_response)
            mine.append(time.perf_counter_ns() - begun)

    end = [float("inf")]
    pool = [threading.Thread(target=loop, args=(mine,)) for mine in took]
    for thread in pool:
        thread.start()
    begun, cpu = time.monotonic(), time.process_time()
    end[0] = begun + seconds
    everyone.wait()
    for thread in pool:
        thread.join()
    elapsed, cpu = time.monotonic() - begun, time.process_time() - cpu
    all_took = sorted(one for mine in took for one in mine)
    count = len(all_took)
    print(
        json.dumps(
            {
                "requests": count,
                "seconds": elapsed,
                "cpu": cpu,
                "p50": all_took[count // 2] // 1000,
                "p99": all_took[count * 99 // 100] // 1000,
                "max": all_took[-1] // 1000,
            }
        )
    )


def _start_response(_status: str, _headers: Any, _exc_info: Any = None) -> None:
    """Take the head and do nothing with it."""


if __name__ == "__main__":
    main()
