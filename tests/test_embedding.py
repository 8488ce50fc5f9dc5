"""`kirsch.Server` inside a program of one's own: started, asked and stopped from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import kirsch
import pytest
from support.client import get
from support.server import in_process


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"embedded"]


def test_a_server_serves_inside_its_block_and_not_behind_it() -> None:
    with in_process(app) as address:
        assert get(address).body == b"embedded"
    with pytest.raises(ConnectionRefusedError):
        get(address)


def test_two_servers_stand_side_by_side() -> None:
    with in_process(app) as one, in_process(app, threads=1) as other:
        assert one != other
        assert get(one).body == get(other).body == b"embedded"


def test_a_server_is_started_and_stopped_by_another_thread() -> None:
    server = kirsch.Server(app, bind="127.0.0.1:0", threads=2)
    for step in (server.start, server.stop):
        thread = threading.Thread(target=step)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        if step == server.start:
            address = server.addresses[0]
            assert get(address).body == b"embedded"
    with pytest.raises(ConnectionRefusedError):
        get(address)


def test_a_stop_lets_what_has_begun_finish() -> None:
    began, go_on = threading.Event(), threading.Event()
    bodies: list[bytes] = []

    def slow(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        began.set()
        go_on.wait(10)
        return app(environ, start_response)

    with in_process(slow) as address:
        client = threading.Thread(target=lambda: bodies.append(get(address).body))
        client.start()
        assert began.wait(10)
        go_on.set()
    client.join(10)
    assert bodies == [b"embedded"]


def test_a_bad_setting_is_an_exception_that_names_it() -> None:
    with pytest.raises((ValueError, TypeError), match="threads"):
        kirsch.Server(app, bind="127.0.0.1:0", threads="many").start()
