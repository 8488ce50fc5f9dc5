"""The numbers that README.md and SECURITY.md tell of the tests are those of today.

Each number is counted where it comes from: the data, the tests, or the log of a run that is too long for
`make test`. The numbers of others' suites are counted by `test_suites.py`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import test_every_gateway
import test_hostile
import test_smuggling
import test_soak
import test_system_faults
from suites.gunicorn_corpus import corpus
from support.attack import ATTACKS
from support.fronts import FRONTS
from support.payloads import payloads
from support.suites import differences, source

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
README = (ROOT / "README.md").read_text("utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text("utf-8")
TEST = re.compile(r"^def (test_\w+)\(", re.MULTILINE)

#: Faults of the system itself, and the tests that bring them about.
FAULTS = {
    "no descriptor left": "test_without_descriptors_connections_wait_and_are_served_afterwards",
    "none left among idle connections": "test_without_descriptors_idle_connections_make_room",
    "none left, and nobody leaves": "test_whoever_makes_room_is_waited_for_no_longer_than_it_takes",
    "few descriptors from the start": (
        "test_a_server_that_may_open_few_files_has_fewer_connections_and_says_so_once"
    ),
    "a full spool folder": "test_a_full_spool_folder_costs_only_what_needs_it",
    "all the room for spool files taken": "test_a_full_spool_costs_only_what_needs_it",
    "no spool folder": "test_a_spool_folder_that_is_gone_costs_only_what_needs_it",
    "a full disk for logs": "test_an_access_log_on_a_full_disk_costs_no_request",
    "no memory": "test_an_application_that_finds_no_memory_costs_its_request_only",
    "no threads": "test_threads_that_are_refused_end_the_start_with_a_clear_message",
    "a clock that jumps": "test_a_clock_that_jumps_ends_nothing_early_and_the_date_follows",
    "a stopped process": "test_a_process_that_is_stopped_and_goes_on_has_lost_nothing",
    "a deadlock": "test_an_application_that_deadlocks_costs_its_own_threads",
    "an interpreter that ends": "test_an_interpreter_that_ends_during_requests_does_not_crash",
    "a fork that holds sockets": "test_a_forked_child_holds_neither_listener_nor_poll",
    "a fork that comes back": "test_a_forked_child_that_comes_back_ends_there",
    "a program started inside": "test_a_program_that_the_application_starts_inherits_no_socket",
}


def number(count: int) -> str:
    """A number as the documents write it."""
    return f"{count:,}"


def entries(name: str) -> int:
    """How many entries a file of `conformance/` has."""
    return len(json.loads((ROOT / "conformance" / f"{name}.json").read_text("utf-8")))


def found(pattern: str, path: str) -> list[tuple[str, ...]]:
    """The groups of what a pattern finds in a file of the repository."""
    text = (ROOT / path).read_text("utf-8")
    return [match.groups() for match in re.finditer(pattern, text, re.MULTILINE)]


def missing(document: str, claims: list[str]) -> list[str]:
    """Those of the claims that a document does not make."""
    return [claim for claim in claims if claim not in document]


def test_cases_requirements_and_payloads_are_as_many_as_is_said() -> None:
    # The generated page counts those that must be served; `xtask docs --check` sees that it is up to date.
    ((cases, served),) = found(r"^Of (\d+) cases (\d+) must be served", "docs/concepts/http-details.md")
    assert int(cases) == entries("http1")
    families = {payload.family for payload in payloads()}
    through = len(FRONTS) * (len(payloads()) + test_smuggling.MUTANTS // 5)
    early = len(FRONTS) * (len(payloads()) + test_smuggling.MUTANTS // 20)
    straight = len(payloads()) + test_every_gateway.MUTANTS
    claims = [
        f"| {number(int(cases))}, of which {served} are to be served;",
        f"| {entries('rfc')} and {entries('pep3333')}, each with",
        f"| {entries('smuggling')} in {len(families)} families, and {number(test_smuggling.MUTANTS)} ",
        f"{number(through + early)} streams with canaries",
        f"{number(straight)} to each of {len(test_every_gateway.ROUTES)} kinds of gateway",
    ]
    assert missing(README, claims) == []
    assert missing((HERE / "README.md").read_text("utf-8"), [f"{entries('smuggling')} payloads of"]) == []


def test_fuzzing_is_as_much_as_is_said() -> None:
    mutations = found(r"try_all\(\"\w+\", ([\d_]+)\);", "crates/kirsch-fuzz/tests/targets.rs")
    rows = found(r"^\| [\d-]+ \| `(\w+)` \| \d+ \| (\d+) \|", "fuzz/LOG.md")
    programs = {path.stem for path in (ROOT / "fuzz/fuzz_targets").glob("*.rs")}
    assert {name for name, _ in rows} == programs, "a target that was never run for long, or is gone"
    assert len(mutations) == len(programs)
    tried = number(sum(int(count) for (count,) in mutations))
    executions = sum(int(count) for _, count in rows) / 1_000_000
    targets = {6: "six", 7: "seven", 8: "eight", 9: "nine"}[len(programs)]
    claim = f"| {tried} mutations; [{executions:.2f} million executions](fuzz/LOG.md) of {targets} targets"
    assert missing(README, [claim]) == []
    assert missing((ROOT / "fuzz/LOG.md").read_text("utf-8"), [f"{tried} mutations"]) == []


def test_hostile_clients_and_faults_are_as_many_as_is_said() -> None:
    most = number(max(attack.clients for attack in ATTACKS.values()))
    faults = test_system_faults
    injected = sum(len(fault.errors.split()) for fault in faults.INJECTED)
    injected += sum(threads + faults.OTHER_THREADS for threads in faults.THREADS)
    tests = {name for path in HERE.glob("test_*.py") for name in TEST.findall(path.read_text("utf-8"))}
    assert {test for test in FAULTS.values() if test not in tests} == set()
    claims = [
        f"| {len(ATTACKS)} attacks of up to {most} clients, ",
        f"`slowhttptest` in its {len(test_hostile.SLOW_MODES)} modes",
        f"| {injected} errors injected into system calls, {len(FAULTS)} of the system itself:",
        f"| {test_soak.SECONDS} seconds;",
    ]
    assert missing(README, claims) == []
    claims = [f"{len(ATTACKS)} attacks and slowhttptest", f"{injected} system calls made to fail"]
    assert missing(SECURITY, claims) == []


def test_the_last_long_soak_is_the_one_that_is_told_of() -> None:
    log = "tests/soak/LOG.md"
    ((answers, wrong),) = found(
        r"answers compared \| ([\d,]+) \|\n(?:\|.*\n)*?\| wrong, crossed or lost \| (\d+)", log
    )
    assert wrong == "0"
    assert missing(README, [f"by hand: {answers} answers compared, none wrong"]) == []


def test_the_model_checker_explores_as_many_scenes_as_is_said() -> None:
    scenes = found(r"#\[test\]", "crates/kirsch-pool/src/model.rs")
    assert missing(README, [f"| {len(scenes)} scenes of the pool, explored by loom |"]) == []


def test_others_suites_are_as_large_as_is_said() -> None:
    """What they count is compared with what runs in `test_suites.py`."""
    waitress, gunicorn, werkzeug = (differences(name) for name in ("waitress", "gunicorn", "werkzeug"))
    asked = sum(waitress["count"].values())
    valid = sum(entry.valid for entry in corpus(source("gunicorn")))
    assert valid == gunicorn["count"]["valid"]
    claims = [
        f"| {asked}, on TCP and unix sockets | {waitress['count']['listed']}: ",
        f": {len(waitress['tests'])} on each |",
        f"| {valid}, each cut in five ways | {len(gunicorn['valid'])} |",
        f"| {gunicorn['count']['invalid']}, each cut in five ways | {len(gunicorn['served'])} |",
        f"| {werkzeug['count']} | {len(werkzeug['tests'])}, of which",
    ]
    assert missing(README, claims) == []
