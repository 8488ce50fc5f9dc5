"""Fixtures that every test may use."""

from __future__ import annotations

import hashlib
import signal
from pathlib import Path

import pytest

# Who is started in the background of a script ignores Ctrl-C, and so would every server that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def blob(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 300,007 bytes without a pattern, which the framework applications serve."""
    path = tmp_path_factory.mktemp("files") / "blob"
    blocks = [hashlib.sha256(str(number).encode()).digest() for number in range(9376)]
    path.write_bytes(b"".join(blocks)[:300_007])
    return path


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What judges everything that the tests have seen comes behind them."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)
