"""`wsgi.input` gives what `io.BytesIO` gives, whatever is called, and however the body arrives.

Hypothesis plays client and application at once: it sends the next bytes of the body, or has the application
make the next call, in any order. Bodies come with a length or in chunks; they are kept in memory, spooled to
a file, or read by the application while they arrive.
"""

from __future__ import annotations

import io
import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.client import DEADLINE_SECONDS, Address, Client, chunked
from support.server import in_process

# Where bodies are kept. What fits no longer into the memory of the second goes to a file.
KEPT: dict[str, dict[str, Any]] = {
    "in memory": {},
    "in a file": {"limit_body_memory": 16 * 1024},
    "streamed": {"stream_request_body": True},
}
SETTINGS = settings(max_examples=60, stateful_step_count=25, derandomize=True, deadline=None, database=None)

Call = tuple[str, tuple[Any, ...]]
Outcome = tuple[str, Any]


class Index:
    """What is no number and can be used as one."""

    def __index__(self) -> int:
        return 3


SMALL = [b"\n", b"\r\n", b"a", b"line\n", b"\0\xff", b"\n\n"]
PARTS = st.sampled_from([*SMALL, b"x" * 1000, b"y" * 70_000, b"z\n" * 9000])
BODIES = st.lists(PARTS, max_size=8).map(b"".join)
EDGES = [999, 1000, 16_384, 65_536, 70_001, 2**63 - 1, 2**63, -(2**70), None, True, 1.0, "1"]
SIZES = st.one_of(st.integers(-2, 12), st.sampled_from(EDGES))
CALLS = st.one_of(
    st.tuples(st.sampled_from(["read", "readline", "readlines"]), st.one_of(st.just(()), st.tuples(SIZES))),
    st.tuples(st.sampled_from(["read", "readline"]), st.just((Index(),))),
    st.sampled_from([("next", ()), ("list", ()), ("readable", ())]),
)


def outcome(stream: Any, call: Call) -> Outcome:
    """What a call gives, or the exception it raises."""
    name, arguments = call
    try:
        if name == "next":
            return "value", next(iter(stream))
        if name == "list":
            return "value", list(stream)
        return "value", getattr(stream, name)(*arguments)
    except (OverflowError, StopIteration, TypeError) as error:
        return "error", type(error)


class Conversation:
    """What the machine tells the application, and what it hears of it."""

    def __init__(self) -> None:
        self.calls: queue.Queue[Call | None] = queue.Queue()
        self.outcomes: queue.Queue[Outcome] = queue.Queue()

    def app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        while (call := self.calls.get(timeout=DEADLINE_SECONDS)) is not None:
            self.outcomes.put(outcome(environ["wsgi.input"], call))
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return []


class Input(RuleBasedStateMachine):
    """One request: its bytes leave as the machine says, and so do the calls."""

    address: Address
    conversation: Conversation

    @initialize(body=BODIES, sizes=st.lists(st.sampled_from([1, 2, 7, 5000, 100_000]), max_size=5))
    def begin(self, body: bytes, sizes: list[int]) -> None:
        """Without chunk sizes the body comes with its length."""
        self.model = io.BytesIO(body)
        self.made: list[Call] = []
        self.client = Client(self.address)
        if sizes:
            framing = "Transfer-Encoding: chunked"
            self.coded = chunked(*blocks(body, sizes))
        else:
            framing = f"Content-Length: {len(body)}"
            self.coded = body
        self.client.send(f"POST / HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n\r\n".encode())

    @precondition(lambda self: self.coded)
    @rule(size=st.sampled_from([1, 2, 3, 100, 9000, 65_536, 150_000]))
    def send(self, size: int) -> None:
        self.client.send(self.coded[:size])
        self.coded = self.coded[size:]

    @rule(call=CALLS)
    def call(self, call: Call) -> None:
        """It may wait for bytes that are not sent yet, so what comes of it is looked at in the end."""
        self.made.append(call)
        self.conversation.calls.put(call)

    def teardown(self) -> None:
        if not hasattr(self, "client"):
            return
        with self.client:
            self.client.send(self.coded)
            self.conversation.calls.put(None)
            for call in self.made:
                given = self.conversation.outcomes.get(timeout=DEADLINE_SECONDS)
                assert given == outcome(self.model, call), call
            assert self.client.response().status == 200


def blocks(body: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The body in blocks of these sizes, again and again, but not in too many."""
    start = 0
    while start < len(body):
        size = sizes[start % len(sizes)] if start < 1000 else 50_000
        yield body[start : start + size]
        start += size


@pytest.mark.parametrize("kept", KEPT)
def test_the_input_is_a_binary_file_that_is_read_once(kept: str) -> None:
    conversation = Conversation()
    with in_process(conversation.app, threads=2, **KEPT[kept]) as address:
        machine = type("Machine", (Input,), {"address": address, "conversation": conversation})
        run_state_machine_as_test(machine, settings=SETTINGS)
