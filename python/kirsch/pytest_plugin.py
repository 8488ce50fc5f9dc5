"""Fixtures for tests that ask over a socket: ``pytest_plugins = ["kirsch.pytest_plugin"]`` in a conftest.

def test_index(kirsch_server):
    server = kirsch_server(app)
    with urllib.request.urlopen(server.urls[0]) as answer:
        assert answer.status == 200
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kirsch._server import Server


@pytest.fixture
def kirsch_server() -> Iterator[Callable[..., Server]]:
    """Starts servers on free ports, with what `kirsch.Server` takes; they end with the test."""
    with _servers() as start:
        yield start


@pytest.fixture(scope="session")
def kirsch_server_factory() -> Iterator[Callable[..., Server]]:
    """The same for fixtures of a wider scope than a test; the servers end with the session, unless before."""
    with _servers() as start:
        yield start


@contextlib.contextmanager
def _servers() -> Iterator[Callable[..., Server]]:
    with contextlib.ExitStack() as stack:

        def start(*applications: Any, **settings: Any) -> Server:
            return stack.enter_context(Server(*applications, **{"bind": "127.0.0.1:0", **settings}))

        yield start
