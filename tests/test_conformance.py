"""Every conformance case over a socket: whole, behind a pipelined request, and a few cut at every byte.

The whole file is also played with 1, 2 and 8 threads, many cases at a time; afterwards nothing is left of
them.

The cases are data: `conformance/http1.json`. How they are played and judged stands in
`support/conformance.py`. What needs a server with short timeouts or small limits has a test of its own here.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from support.client import BrokenResponse, Client, get
from support.conformance import Case, cases, play, verdict
from support.inside import descriptors, eventually
from support.server import ServerProcess

Servers = dict[str, ServerProcess]

ALL = {case.id: case for case in cases()}
# Cases with a test of their own below: they need settings, a client that behaves oddly, or many runs.
ALONE = {"TM-03", "TM-04", "TM-05", "KA-13", "KA-14", "PL-09"}
CUT_EVERYWHERE = {"CH-49", "PL-05"}
# When the files were last changed that cases ask for.
CHANGED = 1_000_000_000
# A request in front would be the one that is timed out, or change which byte is a connection's first.
NEVER_BEHIND = {case.id for case in ALL.values() if not case.request}

FLAGS = {
    "plain": (),
    "streaming": ("--stream-request-body",),
    "limited": ("--limit-body", "64KiB"),
    "impatient": (
        *(
            "--timeout-head",
            "1s",
            "--timeout-body",
            "1s",
            "--timeout-write",
            "1s",
            "--timeout-keepalive",
            "1s",
        ),
    ),
}


def kind_of_server(case: Case) -> str:
    """Which of `FLAGS` a case needs, or a folder of files."""
    if "files" in case.needs:
        return "files"
    if "streaming" in case.needs:
        return "streaming"
    if "time" in case.needs:
        return "impatient"
    return "limited" if case.config else "plain"


def named(ids: set[str]) -> list[object]:
    """Parameters for the cases, each with its id."""
    return [pytest.param(case, id=case.id) for case in ALL.values() if case.id in ids]


def started(stack: ExitStack, threads: int, *more: str) -> Servers:
    """A server of each kind, until the stack unwinds."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    make_files(Path(folder))
    flags = {**FLAGS, "files": ("--static", f"/files={folder}")}
    return {
        kind: stack.enter_context(ServerProcess("probe:app", *words, *more, threads=threads))
        for kind, words in flags.items()
    }


def make_files(folder: Path) -> None:
    """The folder that cases of the group FI are about."""
    (folder / "sub").mkdir()
    (folder / "index").mkdir()
    for name, text in (
        ("text.txt", "0123456789" * 10),
        ("empty.txt", ""),
        ("index/index.html", "index"),
        ("packed.css", "plain"),
        ("packed.css.gz", "packed"),
        (".hidden", "hidden"),
    ):
        (folder / name).write_text(text)
        os.utime(folder / name, (CHANGED, CHANGED))


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield started(stack, threads=8)


@pytest.fixture
def server(servers: Servers) -> ServerProcess:
    return servers["plain"]


@pytest.fixture
def impatient(servers: Servers) -> ServerProcess:
    return servers["impatient"]


@pytest.mark.parametrize("case", named(set(ALL) - ALONE))
def test_a_case_sent_whole(servers: Servers, case: Case) -> None:
    address = servers[kind_of_server(case)].address
    assert verdict(case, play(case, address)) == [], case.description


@pytest.mark.parametrize("case", named(set(ALL) - ALONE - NEVER_BEHIND))
def test_a_case_behind_a_good_pipelined_request(servers: Servers, case: Case) -> None:
    address = servers[kind_of_server(case)].address
    assert verdict(case, play(case, address, behind=True)) == [], case.description


def holdings(server: ServerProcess) -> tuple[dict[int, str], int]:
    """The descriptors of a server's process, and the number of its threads."""
    pid = server.process.pid
    return descriptors(pid), len(os.listdir(f"/proc/{pid}/task"))


def holds(server: ServerProcess, wanted: tuple[dict[int, str], int]) -> bool:
    """Whether a server's process has just these."""
    return holdings(server) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_whole_file_with_any_number_of_threads_leaves_nothing_behind(threads: int) -> None:
    """Whole and behind a good request, eight cases at a time. Who leaves a server looks for panics."""
    runs = [
        (case, behind)
        for behind, left_out in ((False, ALONE), (True, ALONE | NEVER_BEHIND))
        for case in ALL.values()
        if case.id not in left_out
    ]
    with ExitStack() as stack:
        servers = started(stack, threads)
        before = {kind: holdings(server) for kind, server in servers.items()}

        def complaints(run: tuple[Case, bool]) -> list[str]:
            case, behind = run
            found = verdict(case, play(case, servers[kind_of_server(case)].address, behind=behind))
            return [f"{case.id}{' behind another' * behind}: {complaint}" for complaint in found]

        with ThreadPoolExecutor(8) as players:
            found = [complaint for complained in players.map(complaints, runs) for complaint in complained]
        assert found == []
        for kind, server in servers.items():
            assert get(server.address, "/noread").body == b"ok"
            eventually(partial(holds, server, before[kind]), f"{kind}: {before[kind]} again")


@pytest.mark.parametrize("case", named(CUT_EVERYWHERE))
def test_a_case_cut_in_two_at_every_byte(server: ServerProcess, case: Case) -> None:
    for at in range(1, len(case.request)):
        assert verdict(case, play(case, server.address, pieces=[at])) == [], f"cut at {at}"


@pytest.mark.parametrize("case", named(CUT_EVERYWHERE))
def test_a_case_sent_byte_by_byte(server: ServerProcess, case: Case) -> None:
    assert verdict(case, play(case, server.address, pieces=list(range(1, len(case.request))))) == []


@pytest.mark.parametrize("case", named({"TM-03"}))
def test_a_head_that_drips_ends_at_its_deadline(impatient: ServerProcess, case: Case) -> None:
    with impatient.client() as client:
        assert client.drip(case.request, seconds_between=0.1), "the server waited for the whole head"
        assert status_or_close(client) == case.expect["status"]


@pytest.mark.parametrize("case", named({"TM-04"}))
def test_a_body_that_stops_ends_at_its_deadline(impatient: ServerProcess, case: Case) -> None:
    with impatient.client() as client:
        client.send(case.request)
        assert not client.drip(b"bbb", seconds_between=0.1), "three bytes in good time were not too slow"
        assert status_or_close(client) == case.expect["status"]


@pytest.mark.parametrize("case", named({"TM-05"}))
def test_a_client_that_never_reads_is_given_up_and_the_response_closed(
    impatient: ServerProcess, case: Case
) -> None:
    with impatient.client(receive_buffer=4096) as client:
        client.send(case.request)
        witness = get(impatient.address, f"/__closed?peer={client.peer}")
    assert witness.body == b"yes"


@pytest.mark.parametrize("case", named({"KA-13"}))
def test_an_idle_connection_is_closed_in_silence(impatient: ServerProcess, case: Case) -> None:
    with impatient.client() as client:
        client.send(case.request)
        assert client.response().status == 200
        client.expect_close()


@pytest.mark.parametrize("case", named({"KA-14"}))
def test_the_last_request_a_connection_may_carry_says_close(case: Case) -> None:
    limited = ServerProcess("probe:app", "--keepalive-requests", "3")
    with limited as server, server.client() as client:
        client.send(case.request * 4)
        fates = [client.response().get("Connection") for _ in range(3)]
        client.expect_close()
    assert fates == [None, None, "close"]


@pytest.mark.parametrize("case", named({"PL-09"}))
def test_a_client_that_resets_harms_nobody_else(server: ServerProcess, case: Case) -> None:
    for _ in range(20):
        client = server.client()
        client.send(case.request)
        client.reset()
    assert get(server.address, "/noread").body == b"ok"


def test_the_log_keeps_connections_apart(server: ServerProcess) -> None:
    """The runner's own witness: without it, the other tests prove nothing."""
    with server.client() as one, server.client() as other:
        one.request("/noread?one")
        other.request("/noread?other")
        log = json.loads(get(server.address, f"/__log?peer={one.peer}").body)
    assert [entry["env"]["QUERY_STRING"] for entry in log] == ["one"]


def status_or_close(client: Client) -> int:
    """The status that comes, or 0 where the server closes without one."""
    try:
        return client.response().status
    except BrokenResponse as error:
        if error.raw:
            raise
        return 0
