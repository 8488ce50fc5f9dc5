"""The conformance cases as data: read them, play them over a socket, judge what came back.

`play` sends a case and collects what happened; `verdict` compares that with what the case expects and
answers a list of complaints, empty if all is well. How a case is written stands in `conformance/README.md`.

Nothing waits without need. That a connection stays open is proven by another request and its answer on it
(the log of the case, so that nothing is asked twice), that it is closed by reading the end of the stream.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from .client import Address, BrokenResponse, Client, DeadlineMissed, Response, get, request_bytes

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "conformance"
# Generous where all is well, because nothing waits then; short enough for a server that fails every case.
DEADLINE_SECONDS = float(os.environ.get("KIRSCH_TEST_DEADLINE", "5"))

# What a server may read and throw away before it closes on a client that still sends. Beyond, the client
# may see a reset after the answer.
DRAINED_BYTES = 2 * 1024 * 1024

BEFORE = request_bytes("/before")
# The one form of a date that may be generated (RFC 9110 section 5.6.7).
IMF_FIXDATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4}"
    r" \d\d:\d\d:\d\d GMT"
)
# What stands in a case for the entity tag of a file, and the file.
TAG, TAGGED = b"%%etag%%", "/files/text.txt"
METHOD = re.compile(rb"(?:\A|\n)([A-Z]+) [^\r\n]+ HTTP/\d")


@dataclass(frozen=True)
class Case:
    """One case, as it stands in the file."""

    id: str
    level: str
    rfc: str
    description: str
    request: bytes
    expect: dict[str, Any]
    steps: list[dict[str, Any]]
    half_close: bool
    needs: frozenset[str]
    config: dict[str, Any]

    @property
    def methods(self) -> list[str]:
        """The methods of the requests in it, as far as one can see; a response to HEAD has no body."""
        return [method.decode() for method in METHOD.findall(self.request)]


@dataclass
class Outcome:
    """What happened when a case was played.

    Attributes:
        responses: The final responses that were whole.
        raw: All bytes that came, without those of the runner's own requests.
        closed: Whether the stream ended; `reset` is the rude way.
        broken: What was wrong with a response that was not whole.
        still_open: The end of the stream was waited for in vain.
        log: What reached the application.
    """

    responses: list[Response] = field(default_factory=list)
    raw: bytes = b""
    closed: bool = False
    reset: bool = False
    broken: str = ""
    still_open: bool = False
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def status(self) -> int | None:
        """The first final status; 0 for a close without an answer, None if nothing came at all."""
        if self.responses:
            return self.responses[0].status
        final = re.search(rb"HTTP/1\.[01] ([2-5]\d\d) ", self.raw)
        return int(final[1]) if final else 0 if self.closed else None


def cases() -> list[Case]:
    """Every case of the file, in its order."""
    return [read_case(entry) for entry in json.loads((FOLDER / "http1.json").read_text("utf-8"))]


def read_case(entry: dict[str, Any]) -> Case:
    """One entry of the file."""
    request = entry["request"]
    for placeholder, text, times in entry.get("expand", ()):
        request = request.replace(placeholder, text * times)
    return Case(
        entry["id"],
        entry["level"],
        entry["rfc"],
        entry["description"],
        request.encode("latin-1"),
        entry["expect"],
        entry.get("steps") or [],
        entry.get("half_close", False),
        frozenset(entry.get("needs", ())),
        entry.get("config", {}),
    )


def play(case: Case, address: Address, *, behind: bool = False, pieces: list[int] | None = None) -> Outcome:
    """Play a case against a server of `tests/apps/probe.py`.

    Args:
        case: The case.
        address: The server.
        behind: Send a good request in front, in the same piece, and require its answer.
        pieces: Offsets at which the request is cut; each piece is a `send` of its own.
    """
    if TAG in case.request:
        tag = get(address, TAGGED, method="HEAD").get("ETag") or ""
        case = replace(case, request=case.request.replace(TAG, tag.encode("latin-1")))
    outcome = Outcome()
    with Client(address, deadline_seconds=DEADLINE_SECONDS) as client:
        try:
            interim = send(case, client, pieces or [], behind=behind)
            collect(case, client, outcome, interim)
        except BrokenResponse as error:
            outcome.raw += error.raw
            outcome.closed, outcome.reset = True, error.reset
            if error.raw:
                outcome.broken = str(error)
        except DeadlineMissed:
            outcome.still_open = True
        except (BrokenPipeError, ConnectionResetError):
            outcome.closed = outcome.reset = True
        if not outcome.log:
            outcome.log = json.loads(get(address, f"/__log?peer={client.peer}").body)
    outcome.log = [entry for entry in outcome.log if entry["path"] != "/before"]
    return outcome


def send(case: Case, client: Client, pieces: list[int], *, behind: bool) -> list[Response]:
    """Send a case's bytes, step by step if it has steps.

    Returns:
        The interim responses that steps waited for.
    """
    interim: list[Response] = []
    for step in case.steps or [{"send": "%request%"}]:
        if step.get("send") == "%request%":
            cuts = [0, *pieces, len(case.request)]
            blocks = [case.request[start:end] for start, end in pairwise(cuts)]
            if behind:
                blocks[0] = BEFORE + blocks[0]
            for block in blocks:
                client.send_what_is_taken(block)
            if case.half_close:
                client.finish()
            if behind:
                first = client.response()
                assert (first.status, first.body) == (200, b"ok"), f"the request in front: {first}"
        elif "send" in step:
            client.send_what_is_taken(step["send"].encode("latin-1"))
        elif "await" in step:
            interim.append(client.one_response())
        else:
            raise AssertionError(f"the runner does not know the step {step}")
    return interim


def collect(case: Case, client: Client, outcome: Outcome, interim: list[Response]) -> None:
    """Read what comes: to the end of the stream if the case expects a close, else the expected responses."""
    fate = case.expect["connection"]
    methods = iter(case.methods)
    while fate == "close" or len(outcome.responses) < case.expect["responses"]:
        response = one_final(client, next(methods, "GET"), interim)
        interim = []
        outcome.responses.append(response)
        outcome.raw += b"".join(earlier.raw for earlier in response.interim) + response.raw
        if response.framing == "close":
            outcome.closed = True
            return
    log = client.request(f"/__log?peer={client.peer}")
    if log.get("X-Probe") == "1":
        outcome.log = json.loads(log.body)
    else:
        outcome.responses.append(log)
        outcome.raw += log.raw
        outcome.broken = "one more response came than there were requests"


def one_final(client: Client, method: str, earlier: list[Response]) -> Response:
    """The next final response, with the interim ones that came before it."""
    response = client.response(method)
    return replace(response, interim=earlier + response.interim)


def verdict(case: Case, outcome: Outcome) -> list[str]:
    """What is wrong with an outcome; nothing if the list is empty."""
    expect, log = case.expect, outcome.log
    paths = [entry["path"] for entry in log]
    wire = expect.get("wire", [])
    # A response that breaks off is what the case is about if the case says how it ends.
    broken_off = any("ends" in check or "not_ends" in check for check in wire)
    complaints = [outcome.broken] if outcome.broken and not broken_off else []
    if outcome.status != expect["status"]:
        complaints.append(f"status {outcome.status}, not {expect['status']}")
    count = len(outcome.responses) + bool(outcome.broken and broken_off)
    if count != expect["responses"]:
        complaints.append(f"{count} responses, not {expect['responses']}")
    complaints += fate_complaints(case, outcome)
    complaints += [
        f"{path} reached the application" for path in expect.get("must_not_reach", []) if path in paths
    ]
    complaints += [f"{path} never reached it" for path in expect.get("must_reach", []) if path not in paths]
    if expect.get("body_reaches_app") is False and any(entry["body"] for entry in log):
        complaints.append(f"the body reached the application: {[entry['body'] for entry in log]}")
    if outcome.status is not None and outcome.status < 400:
        complaints += reached_complaints(expect, log)
    if "interim" in expect:
        seen = [response.status for response in outcome.responses[0].interim] if outcome.responses else []
        if seen != expect["interim"]:
            complaints.append(f"interim responses {seen}, not {expect['interim']}")
    for check in wire:
        complaints += wire_complaints(check, outcome.raw)
    for response in outcome.responses:
        dates = response.all("Date")
        if len(dates) != 1 or not IMF_FIXDATE.fullmatch(dates[0]):
            complaints.append(f"a response has no Date, or several, or an odd one: {dates}")
    last = outcome.responses[-1] if outcome.responses else None
    # A client that half-closes has said so itself, perhaps after the answer was on its way.
    own_decision = outcome.closed and not outcome.broken and not case.half_close
    if own_decision and last and last.all("Connection") != ["close"]:
        complaints.append("closed behind a response that does not say Connection: close")
    if expect["status"] >= 400 and not log and outcome.responses:
        complaints += own_answer_complaints(case, outcome.responses[0])
    return complaints


def fate_complaints(case: Case, outcome: Outcome) -> list[str]:
    """What is wrong with how the connection ended, or did not."""
    fate = case.expect["connection"]
    if outcome.still_open:
        return ["no answer and no close in time" if not outcome.responses else "still open, or stuck"]
    if fate == "keep" and outcome.closed:
        return ["closed instead of kept"]
    if outcome.reset and case.expect["status"] != 0 and len(case.request) <= DRAINED_BYTES:
        return ["reset instead of closed"]
    return []


def reached_complaints(expect: dict[str, Any], log: list[dict[str, Any]]) -> list[str]:
    """What is wrong with what the application received."""
    complaints = []
    first = log[0] if log else {"body": None, "env": {}}
    if "app_body" in expect and first["body"] != expect["app_body"]:
        complaints.append(f"the application read {first['body']!r}, not {expect['app_body']!r}")
    for key, wanted in (expect.get("app_env") or {}).items():
        value = first["env"].get(key)
        if value not in wanted if isinstance(wanted, list) else value != wanted:
            complaints.append(f"environ[{key!r}] is {value!r}, not {wanted!r}")
    return complaints


def wire_complaints(check: dict[str, Any], raw: bytes) -> list[str]:
    """What is wrong with the bytes on the wire, by a check `{verb: text}` or `{"count": [text, times]}`."""
    ((verb, value),) = check.items()
    text, times = value if verb == "count" else (value, 1)
    wanted = text.encode("latin-1")
    judged = {
        "contains": wanted in raw,
        "lacks": wanted not in raw,
        "ends": raw.endswith(wanted),
        "not_ends": not raw.endswith(wanted),
        "count": raw.count(wanted) == times,
    }
    return [] if judged[verb] else [f"the wire fails {check}: {raw[:300]!r}"]


def own_answer_complaints(case: Case, response: Response) -> list[str]:
    """What is wrong with an error that the server answered by itself."""
    complaints = []
    if len(response.all("Content-Length")) != 1:
        complaints.append("the server's own error has no Content-Length")
    if case.expect["connection"] == "close" and response.all("Connection") != ["close"]:
        complaints.append("the server's own error does not say Connection: close")
    target = case.request.split(b" ")[1][:40] if case.request.count(b" ") > 1 else b""
    if len(target) > 3 and target in response.body:
        complaints.append("the server's own error repeats bytes of the request")
    return complaints
