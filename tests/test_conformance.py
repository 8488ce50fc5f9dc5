"""Every conformance case over a socket: whole, behind a pipelined request, and a few cut at every byte.

The cases are data: `conformance/http1.json`. How they are played and judged stands in
`support/conformance.py`. What needs a server with short timeouts or small limits has a test of its own here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.client import BrokenResponse, Client, get
from support.conformance import Case, cases, play, verdict
from support.server import ServerProcess

# Cases with a test of their own below: they need time, settings, or many runs.
TIMED = {"TM-01", "TM-02", "TM-03", "TM-04", "TM-05", "KA-13", "KA-14", "EX-11", "EX-13", "LM-08", "PL-09"}
CUT_EVERYWHERE = {"CH-49", "PL-05"}
ALL = {case.id: case for case in cases()}
# Where a request in front makes no sense: nothing is sent, or what matters is the first byte of a connection.
ALONE = {case.id for case in ALL.values() if not case.request}

IMPATIENT = (
    *("--head-timeout", "1s", "--body-timeout", "1s", "--write-timeout", "1s", "--keepalive-timeout", "1s"),
    *("--body-limit", "1MiB"),
)


def named(ids: set[str]) -> list[object]:
    """Parameters for the cases, each with its id and what it says."""
    return [pytest.param(case, id=case.id) for case in ALL.values() if case.id in ids]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess("probe:app", threads=8) as server:
        yield server


@pytest.fixture(scope="module")
def impatient() -> Iterator[ServerProcess]:
    with ServerProcess("probe:app", *IMPATIENT, threads=4) as server:
        yield server


@pytest.mark.parametrize("case", named(set(ALL) - TIMED))
def test_a_case_sent_whole(server: ServerProcess, case: Case) -> None:
    assert verdict(case, play(case, server.address)) == [], case.description


@pytest.mark.parametrize("case", named(set(ALL) - TIMED - ALONE))
def test_a_case_behind_a_good_pipelined_request(server: ServerProcess, case: Case) -> None:
    assert verdict(case, play(case, server.address, behind=True)) == [], case.description


@pytest.mark.parametrize("case", named(CUT_EVERYWHERE))
def test_a_case_cut_in_two_at_every_byte(server: ServerProcess, case: Case) -> None:
    for at in range(1, len(case.request)):
        assert verdict(case, play(case, server.address, pieces=[at])) == [], f"cut at {at}"


@pytest.mark.parametrize("case", named(CUT_EVERYWHERE))
def test_a_case_sent_byte_by_byte(server: ServerProcess, case: Case) -> None:
    assert verdict(case, play(case, server.address, pieces=list(range(1, len(case.request))))) == []


@pytest.mark.parametrize("case", named({"TM-01"}))
def test_a_connection_that_says_nothing_is_closed(impatient: ServerProcess, case: Case) -> None:
    assert verdict(case, play(case, impatient.address)) == []


@pytest.mark.parametrize("case", named({"TM-02", "TM-03"}))
def test_a_head_that_drips_ends_at_its_deadline(impatient: ServerProcess, case: Case) -> None:
    with impatient.client() as client:
        assert client.drip(case.request, seconds_between=0.1), "the server waited for the whole head"
        assert status_or_close(client) in case.expect["status"]


@pytest.mark.parametrize("case", named({"TM-04"}))
def test_a_body_that_stops_ends_at_its_deadline(impatient: ServerProcess, case: Case) -> None:
    with impatient.client() as client:
        client.send(case.request)
        assert not client.drip(b"bbb", seconds_between=0.1), "three bytes in good time were not too slow"
        assert status_or_close(client) in case.expect["status"]


@pytest.mark.parametrize("case", named({"EX-11", "EX-13"}))
def test_a_body_that_never_comes_after_the_100_ends_at_its_deadline(
    impatient: ServerProcess, case: Case
) -> None:
    with impatient.client() as client:
        client.send(case.request)
        assert client.one_response().status == 100
        assert status_or_close(client) in case.expect["status"]


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
    with ServerProcess("probe:app", "--keepalive-requests", "3") as server, server.client() as client:
        client.send(case.request * 4)
        fates = [client.response().get("Connection") for _ in range(3)]
        client.expect_close()
    assert fates == [None, None, "close"]


@pytest.mark.parametrize("case", named({"LM-08"}))
def test_a_chunked_body_beyond_the_limit_is_refused(impatient: ServerProcess, case: Case) -> None:
    assert verdict(case, play(case, impatient.address)) == []


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
        assert error.raw == b""
        return 0
