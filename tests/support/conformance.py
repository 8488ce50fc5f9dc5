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
from pathlib import Path
from typing import Any

from .client import Address, BrokenResponse, Client, DeadlineMissed, Response, get, parse_head, request_bytes

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("KIRSCH_TEST_CONFORMANCE") or ROOT / "conformance")
DEADLINE_SECONDS = 5.0

# Cases whose client half-closes after its bytes: the data has no word for it.
HALF_CLOSED = {
    "RL-49", "WS-08", "CL-35", "CL-36", "CH-43", "CH-44", "CH-45", "PL-06", "PL-07", "PL-08", "VR-07", "TM-06",
}  # fmt: skip

BEFORE = request_bytes("/before")
IMF_FIXDATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")
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

    @property
    def responses(self) -> int:
        """How many final responses the case expects, at least one."""
        return int(self.expect.get("responses", 1))

    @property
    def methods(self) -> list[str]:
        """The methods of the requests in it, as far as one can see; a response to HEAD has no body."""
        return [method.decode() for method in METHOD.findall(self.request)]

    @property
    def half_closes(self) -> bool:
        """Whether the client sends no more after its bytes."""
        return self.id in HALF_CLOSED or any("fin" in step for step in self.steps)


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
    for placeholder, (text, times) in (entry.get("expand") or {}).items():
        request = request.replace(placeholder, text * times)
    return Case(
        entry["id"],
        entry["level"],
        entry["rfc"],
        entry["description"],
        request.encode("latin-1"),
        entry["expect"],
        entry.get("steps") or [],
    )


def play(case: Case, address: Address, *, behind: bool = False, pieces: list[int] | None = None) -> Outcome:
    """Play a case against a server of `tests/apps/probe.py`.

    Args:
        case: The case.
        address: The server.
        behind: Send a good request in front, in the same piece, and require its answer.
        pieces: Offsets at which the request is cut; each piece is a `send` of its own.
    """
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
    for step in case.steps or [{"send": "all"}]:
        if step.get("send") in ("headers", "all"):
            cuts = [0, *pieces, len(case.request)]
            blocks = [case.request[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]
            if behind:
                blocks[0] = BEFORE + blocks[0]
            for block in blocks:
                client.send_what_is_taken(block)
            if case.half_closes:
                client.finish()
            if behind:
                first = client.response()
                assert (first.status, first.body) == (200, b"ok"), f"the request in front: {first}"
        elif "send" in step:
            client.send_what_is_taken(step["send"].encode("latin-1"))
        elif str(step.get("wait", "")).startswith("interim 100"):
            interim.append(client.one_response())
        elif "fin" not in step:
            raise AssertionError(f"the runner does not know the step {step}")
    return interim


def collect(case: Case, client: Client, outcome: Outcome, interim: list[Response]) -> None:
    """Read what comes: to the end of the stream if the case expects a close, else the expected responses."""
    fate = case.expect["connection"]
    methods = iter(case.methods)
    while fate == "close" or len(outcome.responses) < case.responses:
        response = one_final(case, client, next(methods, "GET"), interim)
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


def one_final(case: Case, client: Client, method: str, earlier: list[Response]) -> Response:
    """The next final response. A body that the case withholds goes out when a 100 asks for it."""
    interim = list(earlier)
    while (response := client.one_response(method)).status < 200 and response.status != 101:
        interim.append(response)
        if not case.steps and case.request.endswith(b"\r\n\r\n"):
            announced = re.search(rb"Content-Length: (\d+)", case.request)
            client.send_what_is_taken(b"hello"[: int(announced[1])] if announced else b"")
    return replace(response, interim=interim)


def verdict(case: Case, outcome: Outcome) -> list[str]:
    """What is wrong with an outcome; nothing if the list is empty."""
    expect, log = case.expect, outcome.log
    complaints = [outcome.broken] if outcome.broken and "does not end" not in expect.get("wire", "") else []
    paths = [entry["path"] for entry in log]
    status = outcome.status
    if status not in expect["status"]:
        complaints.append(f"status {status}, not one of {expect['status']}")
    complaints += fate_complaints(case, outcome)
    complaints += [
        f"{path} reached the application" for path in expect.get("must_not_reach", []) if path in paths
    ]
    if status == 200:
        complaints += [
            f"{path} never reached it" for path in expect.get("must_reach", []) if path not in paths
        ]
        complaints += reached_complaints(expect, log)
        wanted = expect.get("responses")
        if wanted is not None and len(outcome.responses) != wanted:
            if not (outcome.closed and expect["connection"] == "any"):
                complaints.append(f"{len(outcome.responses)} responses, not {wanted}")
    if expect["body_reaches_app"] is False and status != 200 and any(entry["body"] for entry in log):
        complaints.append(f"the body reached the application: {[entry['body'] for entry in log]}")
    if "interim" in expect and outcome.responses:
        seen = [response.status for response in outcome.responses[0].interim]
        if seen != expect["interim"]:
            complaints.append(f"interim responses {seen}, not {expect['interim']}")
    if "wire" in expect:
        complaints += wire_complaints(expect["wire"], outcome)
    if status and status >= 400 and not log and outcome.responses:
        complaints += own_answer_complaints(case, outcome.responses[0])
    return complaints


def fate_complaints(case: Case, outcome: Outcome) -> list[str]:
    """What is wrong with how the connection ended, or did not."""
    fate = case.expect["connection"]
    if outcome.still_open:
        return ["no answer and no close in time" if not outcome.responses else "still open, or stuck"]
    if fate == "keep" and outcome.closed:
        return ["closed instead of kept"]
    if outcome.reset and 0 not in case.expect["status"]:
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


def wire_complaints(text: str, outcome: Outcome) -> list[str]:
    """What is wrong on the wire, for the few cases that say so in words."""
    raw = outcome.raw
    head = raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    fields = parse_head(head)[3] if raw else []

    def values(name: str) -> list[str]:
        return [value for key, value in fields if key.lower() == name]

    if text.startswith("not contains: "):
        good = text.removeprefix("not contains: ").encode() not in raw
    elif text == "Transfer-Encoding: chunked; ends 0\\r\\n\\r\\n":
        good = values("transfer-encoding") == ["chunked"] and raw.endswith(b"0\r\n\r\n")
    elif text == "no Transfer-Encoding":
        good = not values("transfer-encoding")
    elif text == "Connection: close, no Transfer-Encoding":
        good = not values("transfer-encoding") and values("connection") == ["close"]
    elif text == "Connection: close":
        good = values("connection") == ["close"]
    elif text == "does not end with 0\\r\\n\\r\\n":
        good = not raw.endswith(b"0\r\n\r\n")
    elif text == "one Date line, IMF-fixdate":
        good = len(values("date")) == 1 and bool(IMF_FIXDATE.fullmatch(values("date")[0]))
    elif text == "one Date, one Server, the app's":
        good = (values("date"), values("server")) == (["Sun, 06 Nov 1994 08:49:37 GMT"], ["mine"])
    elif text == "HTTP/1.1 299 \\r\\n":
        good = raw.startswith(b"HTTP/1.1 299 \r\n")
    else:
        return [f"the runner does not know the check {text!r}"]
    return [] if good else [f"on the wire: not {text!r} in {raw[:300]!r}"]


def own_answer_complaints(case: Case, response: Response) -> list[str]:
    """What is wrong with an error that the server answered by itself."""
    complaints = []
    if len(response.all("Date")) != 1:
        complaints.append("the server's own error has no Date")
    if len(response.all("Content-Length")) != 1:
        complaints.append("the server's own error has no Content-Length")
    if case.expect["connection"] == "close" and response.all("Connection") != ["close"]:
        complaints.append("the server's own error does not say Connection: close")
    target = case.request.split(b" ")[1][:40] if case.request.count(b" ") > 1 else b""
    if len(target) > 3 and target in response.body:
        complaints.append("the server's own error repeats bytes of the request")
    return complaints
