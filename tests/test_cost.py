"""What a request costs, counted: system calls, and instructions in user space."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import instructions
import pytest
import syscalls
from harness import measure, process
from support.server import clean_environment, kirsch

BENCH = Path(__file__).resolve().parent.parent / "bench"
RECORDED = BENCH / "instructions.json"
CONNECTIONS = 64
#: Per request. Receiving and sending once each is the least there is; the rest is shared by a batch.
# Waits are 0.03 on a machine that does nothing else, and more where clients come by one at a time.
AT_MOST = {"recv": 1.02, "send": 1.02, "epoll_wait": 0.1}
BOOKKEEPING = 0.02


@pytest.fixture
def one_core() -> Iterator[measure.Cores]:
    """This process and all it starts on one core, so that requests gather while the server waits for it."""
    before = os.sched_getaffinity(0)
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield measure.Cores(core, core)
    finally:
        os.sched_setaffinity(0, before)


def hello(port: int, threads: int) -> list[str]:
    return [*kirsch(), "plain:hello", "--bind", f"127.0.0.1:{port}", "--threads", str(threads)]


def environment() -> dict[str, str]:
    return {**clean_environment(), "PYTHONPATH": str(BENCH / "apps"), "PYTHONDONTWRITEBYTECODE": "1"}


def test_a_request_costs_one_receive_and_one_send(one_core: measure.Cores) -> None:
    port = process.free_port()
    try:
        rates = syscalls.syscalls_per_request(
            hello(port, 10), port, connections=CONNECTIONS, environment=environment(), cores=one_core
        )
    except syscalls.CannotCount as error:
        pytest.skip(str(error))
    found = {name: round(rate, 4) for name, rate in rates.items() if rate}
    print(found)
    assert {name: rates[name] for name, most in AT_MOST.items() if rates[name] > most} == {}, found
    # mio's waker is an eventfd: it writes eight bytes there, which count as a send.
    assert rates["epoll_ctl"] + rates["futex"] <= BOOKKEEPING, found


def by_cheroot_s_classes(port: int) -> list[str]:
    rest = [str(port), "1", "10", "plain:hello"]
    return [sys.executable, str(BENCH / "launch" / "serve.py"), "kirsch-cheroot", *rest]


@pytest.mark.slow
def test_cheroot_s_classes_cost_little_more_than_the_command() -> None:
    counts = []
    for command in (hello, lambda port, _: by_cheroot_s_classes(port)):
        port = process.free_port()
        count = instructions.instructions_per_request(
            command(port, 1), port, environment=environment(), pool_thread=True
        )
        counts.append(count)
    print(f"{counts[0]:,.0f} instructions of the command, {counts[1]:,.0f} by cheroot's classes")
    # What the engine does differently for them, and counting which way requests go.
    assert counts[1] <= counts[0] * 1.08


@pytest.mark.slow
def test_a_request_costs_no_more_instructions_than_were_recorded() -> None:
    name = instructions.key("kirsch hello-c1")
    recorded = json.loads(RECORDED.read_text())
    port = process.free_port()
    count = instructions.instructions_per_request(
        hello(port, 1), port, environment=environment(), pool_thread=True
    )
    if name not in recorded:
        pytest.skip(
            f"{count:,.0f} instructions, and {RECORDED.name} has no figure for {name!r}: "
            f"python bench/instructions.py --record {RECORDED}"
        )
    print(f"{count:,.0f} instructions, {recorded[name]:,} recorded")
    assert count <= recorded[name] * (1 + instructions.TOLERANCE), (
        f"{count:,.0f} instructions per request, {recorded[name]:,} recorded; if what they buy is worth it: "
        f"python bench/instructions.py --record {RECORDED}"
    )
