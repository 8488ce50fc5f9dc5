"""Others' suites against Kirsch: waitress's functional tests, gunicorn's requests, Werkzeug's live server.

What differs from a suite is listed with its reason in `tests/suites`, and nothing else may: neither a test
that fails and is not listed, nor one that is listed and passes.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from suites.gunicorn_corpus import Entry, corpus, with_host
from support.client import Address, BrokenResponse, Client, Response
from support.server import clean_environment, in_process
from support.suites import LISTS, complaints, differences, run_suite, source

SUITE_SECONDS = 300.0
HOST_MISSING = "400 Bad Request: an HTTP/1.1 request must have a Host field (RFC 9112 section 3.2)"


# --- waitress


@pytest.mark.slow
def test_waitress_functional_tests_pass_but_for_those_listed() -> None:
    """Each runs on TCP and on a unix socket, with Kirsch where the suite starts waitress."""
    listed = differences("waitress")
    both = {prefix + name: why for name, why in listed["tests"].items() for prefix in ("Tcp", "Unix")}
    run = subprocess.run(
        [sys.executable, str(LISTS / "waitress_runner.py")],
        cwd=source("waitress"),
        env=clean_environment(),
        input=json.dumps(sorted(both)),
        capture_output=True,
        text=True,
        timeout=SUITE_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    outcomes = json.loads(run.stdout)
    failed = {name: outcome["why"] for name, outcome in outcomes.items() if not outcome["passed"]}
    assert complaints(failed, both, set(outcomes)) == []
    good = [outcome for outcome in outcomes.values() if outcome["passed"]]
    passed = Counter("adapted" if outcome["needed"] else "as it stands" for outcome in good)
    needed = {name for outcome in good for name in outcome["needed"]}
    assert needed == set(listed["adaptations"]), "an adaptation that no test needs, or one without a reason"
    assert {**passed, "listed": len(failed)} == listed["count"], "the numbers that the README tells"


# --- gunicorn


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answers what it was given."""
    body = environ["wsgi.input"].read()
    seen = {key: value for key, value in environ.items() if isinstance(value, str)}
    answer = json.dumps({"environ": seen, "body": body.decode("latin-1")}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    """The corpus."""
    return corpus(source("gunicorn"))


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[Entry], Address]]:
    """A server for each combination of settings that entries ask for, as far as Kirsch has them."""
    with contextlib.ExitStack() as stack:
        running: dict[tuple[int, int], Address] = {}

        def server(entry: Entry) -> Address:
            # Gunicorn's defaults, which the corpus takes for granted.
            line = entry.settings.get("limit_request_line", 4094)
            key = line, entry.settings.get("limit_request_fields", 100)
            if key not in running:
                options = {"limit_target": key[0], "limit_head_fields": key[1]}
                running[key] = stack.enter_context(in_process(echo, threads=2, **options))
            return running[key]

        yield server


def cuts(entry: Entry) -> dict[str, list[bytes]]:
    """The ways in which the corpus is sent, as gunicorn's own tests feed it to the parser."""
    data = entry.data
    chance = random.Random(entry.name)
    places = sorted(chance.sample(range(1, len(data)), min(10, len(data) - 1)))
    edges = [0, *places, len(data)]
    return {
        "whole": [data],
        "first byte alone": [data[:1], data[1:]],
        "lines": data.splitlines(keepends=True),
        "bytes": [data[at : at + 1] for at in range(min(len(data), 2000))] + [data[2000:]],
        "random": [data[start:end] for start, end in pairwise(edges)],
    }


def answers(address: Address, pieces: Iterable[bytes]) -> list[Response]:
    """Everything that is answered to the pieces, up to the end of the connection."""
    found: list[Response] = []
    with Client(address) as client:
        for piece in pieces:
            client.send_what_is_taken(piece)
        with contextlib.suppress(OSError):
            client.finish()
        while True:
            try:
                found.append(client.response())
            except BrokenResponse as error:
                if error.raw:
                    raise
                return found


def verdict(responses: list[Response]) -> str:
    """The last answer in a word: `200`, or the line that a refusal consists of."""
    if not responses:
        return "closed without an answer"
    last = responses[-1]
    return "200" if last.status == 200 else last.body.decode("latin-1").strip()


def difference(entry: Entry, responses: list[Response]) -> str:
    """How the application saw something else than the corpus says; empty if it did not."""
    if [response.status for response in responses] != [200] * len(entry.wanted):
        return verdict(responses)
    for wanted, response in zip(entry.wanted, responses, strict=True):
        seen = json.loads(response.body)
        told = {
            key: value
            for key, value in seen["environ"].items()
            if key in wanted.environ or key.startswith(("HTTP_", "CONTENT_"))
        }
        if (told, seen["body"].encode("latin-1")) != (wanted.environ, wanted.body):
            return "200, seen otherwise"
    return ""


def in_every_way(address: Address, entry: Entry, judge: Callable[[list[Response]], str]) -> str:
    """The judgement of an entry, which must not depend on how its bytes arrive."""
    judged = {way: judge(answers(address, pieces)) for way, pieces in cuts(entry).items()}
    assert len(set(judged.values())) == 1, (entry.name, judged)
    return judged["whole"]


def test_gunicorn_valid_requests_arrive_as_its_corpus_says(
    entries: list[Entry], servers: Callable[[Entry], Address]
) -> None:
    listed = differences("gunicorn")["valid"]
    valid = [entry for entry in entries if entry.valid]
    failed = {}
    for entry in valid:
        complete = with_host(entry)

        def judge(responses: list[Response], entry: Entry = complete) -> str:
            return difference(entry, responses)

        if found := in_every_way(servers(entry), complete, judge):
            failed[entry.name] = found
        elif complete != entry:
            # As it stands it breaks a rule that gunicorn does not keep.
            assert verdict(answers(servers(entry), [entry.data])) == HOST_MISSING, entry.name
    assert len(valid) == differences("gunicorn")["count"]["valid"], "the numbers that the README tells"
    assert complaints(failed, listed, {entry.name for entry in valid}) == []
    assert failed == {name: entry["answer"] for name, entry in listed.items()}


def test_gunicorn_invalid_requests_are_refused_each_by_its_rule(
    entries: list[Entry], servers: Callable[[Entry], Address]
) -> None:
    pinned = differences("gunicorn")
    refused: dict[str, str] = {}
    served: dict[str, str] = {}
    for entry in (entry for entry in entries if not entry.valid):
        answer = in_every_way(servers(entry), with_host(entry), verdict)
        (served if answer == "200" else refused)[entry.name] = answer
    assert len(refused) + len(served) == pinned["count"]["invalid"], "the numbers that the README tells"
    assert complaints(served, pinned["served"], {entry.name for entry in entries}) == []
    assert refused == pinned["refused"]


# --- Werkzeug


@pytest.mark.slow
def test_werkzeug_live_server_tests_pass_but_for_those_listed(tmp_path: Path) -> None:
    """Werkzeug's tests of a running server, with its applications, served by the `kirsch` command."""
    tests = source("Werkzeug") / "tests"
    shutil.copy(tests / "test_serving.py", tmp_path)
    shutil.copytree(tests / "live_apps", tmp_path / "live_apps")
    shutil.copy(LISTS / "werkzeug_conftest.py", tmp_path / "conftest.py")
    words = ["-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path), "-p", "no:cacheprovider"]
    words = [sys.executable, *words, "-m", "dev_server", str(tmp_path / "test_serving.py")]
    environment = {"PYTHONPATH": str(LISTS.parent)}
    outcomes = run_suite(words, tmp_path, tmp_path / "outcomes.json", SUITE_SECONDS, environment)
    failed = {name: why for name, why in outcomes.items() if why}
    listed = differences("werkzeug")
    assert complaints(failed, listed["tests"], set(outcomes)) == []
    assert len(outcomes) == listed["count"], "the numbers that the README tells"
