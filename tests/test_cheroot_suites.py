"""cheroot's, CherryPy's and web.py's own suites, with Kirsch in cheroot's place.

They have an environment of their own, as `requirements/cheroot.txt` pins it. What may fail is listed with its
reason in `tests/suites`, and nothing else may: neither a test that fails and is not listed, nor one that is
listed and passes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.cheroot import environment
from support.ports import free_port
from support.suites import LISTS, complaints, differences, run_suite, source

SUITE_SECONDS = 600.0

pytestmark = pytest.mark.slow


def run(tmp_path: Path, python: Path, name: str, words: list[str], folder: Path) -> dict[str, str]:
    """What became of each test of a suite."""
    listed = differences(name)
    outcomes = tmp_path / "outcomes.json"
    # What would never end, or needs what this machine may not have.
    without = [word for test in listed["left_out"] for word in ("--deselect", test)]
    words = [
        *(str(python), "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(folder)),
        *("-p", "cheroot_plugin", "-p", "no:cacheprovider", "-o", "xfail_strict=false"),
        *(*words, *without),
    ]
    # CherryPy's tests would ask what to do about a failure.
    variables = {
        "PYTHONPATH": str(LISTS),
        "WEBTEST_INTERACTIVE": "False",
        "SUITE_PORT": str(free_port()),
    }
    return run_suite(words, folder, outcomes, SUITE_SECONDS, variables)


def judge(name: str, outcomes: dict[str, str]) -> None:
    """Compares with the list."""
    listed = differences(name)
    # What may fail or pass runs for the sake of those behind it.
    unjudged = listed.get("unjudged", {})
    ran = {test: why for test, why in outcomes.items() if why != "skipped" and test not in unjudged}
    failed = {test: why for test, why in ran.items() if why}
    assert complaints(failed, listed["tests"], set(ran)) == []
    assert len(ran) - len(failed) == listed["count"], "the number that the README tells"


def test_cheroot_s_own_suite(tmp_path: Path) -> None:
    python = environment()
    tests = next(python.parents[1].glob("lib/python*/site-packages"))
    judge(
        "cheroot",
        run(tmp_path, python, "cheroot", ["-p", "cheroot.test._pytest_plugin", "cheroot/test"], tests),
    )


def test_cherrypy_s_own_suite(tmp_path: Path) -> None:
    python = environment()
    tests = next(python.parents[1].glob("lib/python*/site-packages"))
    judge("cherrypy", run(tmp_path, python, "cherrypy", ["cherrypy/test"], tests))


def test_web_py_s_own_suite(tmp_path: Path) -> None:
    judge("web_py", run(tmp_path, environment(), "web_py", ["tests"], source("web_py")))
