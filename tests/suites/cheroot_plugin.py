"""Puts Kirsch in cheroot's place for its own suite, CherryPy's and web.py's: a plugin of pytest.

Loaded with ``-p`` before anything imports cheroot. Of its package only the tests themselves are left. What
became of each test is written as JSON to the file that the variable `SUITE_OUTCOMES` names: "" for passed,
"skipped" for one that was left out or expected to fail, otherwise why it failed. Where `SUITE_OVER_CHEROOT`
is set, cheroot stays where it is: so it is found out what passes there. `SUITE_PORT` is a port that is free.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

outcomes: dict[str, str] = {}

if "SUITE_OVER_CHEROOT" not in os.environ:
    theirs = importlib.machinery.PathFinder.find_spec("cheroot", sys.path)

    import kirsch

    kirsch.install_as_cheroot()

    import cheroot.test

    if theirs is not None and theirs.origin is not None:
        cheroot.test.__path__.append(str(Path(theirs.origin).parent / "test"))

# cheroot's tests give an answer half a second, which a busy machine may take.
PATIENCE = 30.0

# web.py's tests start servers at the address that the command line names; any free port will do.
sys.argv[1:] = ["127.0.0.1:0"]


def pytest_collection_finish() -> None:
    """Has CherryPy listen at a port of ours: its own is one of those that the system gives to clients."""
    helper: Any = sys.modules.get("cherrypy.test.helper")
    if helper is None:
        return
    set_up = helper.CPWebCase._setup_server.__func__

    def set_up_there(case: Any, supervisor: Any, config: Any) -> Any:
        supervisor.port = int(os.environ["SUITE_PORT"])
        return set_up(case, supervisor, config)

    helper.CPWebCase._setup_server = classmethod(set_up_there)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: Any, request: pytest.FixtureRequest) -> object | None:
    """Gives answers their time."""
    if fixturedef.argname != "http_request_timeout":
        return None
    fixturedef.cached_result = (PATIENCE, fixturedef.cache_key(request), None)
    return PATIENCE


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Any:
    """Notes what became of a test; the last word counts, since some are tried again."""
    report = yield
    file, _, rest = item.nodeid.partition("::")
    name = f"{Path(file).name}::{rest}"
    if report.when == "call" or report.failed:
        known = outcomes.get(name, "") if report.when == "teardown" else ""
        outcomes[name] = known or (
            str(call.excinfo.value)[:300] or "failed" if report.failed and call.excinfo else ""
        )
    if report.skipped:
        # Left out by the suite itself, or expected to fail.
        outcomes[name] = "skipped"
    return report


def pytest_sessionfinish() -> None:
    """Writes it down."""
    Path(os.environ["SUITE_OUTCOMES"]).write_text(json.dumps(outcomes), "utf-8")
