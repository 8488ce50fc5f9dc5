"""`httplint` over every answer that the tests have seen: what a cache, browser or proxy would stumble over.

Notes of the level "bad" fail, unless `suites/httplint.json` lists them with a reason: answers of applications
that tests break on purpose, and opinions of the linter that HTTP does not share.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import httplint
import pytest
from httplint.note import levels
from support import answers
from support.client import Client, chunked, request_bytes
from support.server import ServerProcess
from support.suites import differences


def notes(answer: answers.Answer) -> dict[str, str]:
    """What is bad about an answer: the note with the lines it speaks of → what it says."""
    response = answer.response
    linter = httplint.HttpResponseLinter(start_time=sent_at(response.all("Date")))
    linter.is_head_response = not answer.has_content
    linter.process_response_topline(
        response.version.encode(), str(response.status).encode(), response.reason.encode("latin-1")
    )
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.fields]
    linter.process_headers(fields)
    if answer.has_content:
        linter.feed_content(response.body)
    linter.finish_content(True)
    bad = [note for note in linter.notes if note.level is levels.BAD]
    return {place(note, answer): str(note) for note in bad}


def sent_at(dates: list[str]) -> float:
    """When the server says it sent an answer: whether its clock is right is no matter of the linter's."""
    try:
        return parsedate_to_datetime(dates[0]).timestamp()
    except (IndexError, ValueError):
        return 0.0


def place(note: httplint.note.Note, answer: answers.Answer) -> str:
    """What a note is about: its kind, the status, and the lines of the field that it names."""
    name = note.subject.removeprefix("field-").lower()
    lines = [f"{key}: {value}" for key, value in answer.response.fields if key.lower() == name]
    words = [type(note).__name__, str(answer.response.status), *map(answers.shape, lines)]
    return " | ".join(words)


def test_the_servers_own_answers_have_nothing_to_improve() -> None:
    """Refusals, a 404 and a failing application: these are Kirsch's alone."""
    listed = differences("httplint")["notes"]
    requests = [
        b"nonsense\r\n\r\n",
        request_bytes("/", "TRACE"),
        request_bytes("https://a.test/"),
        request_bytes(fields=("Expect: a miracle",)),
        request_bytes(fields=tuple(f"X-{number}: 1" for number in range(200))),
        request_bytes("/" + "a" * 20_000),
        request_bytes(fields=("Transfer-Encoding: gzip, chunked",)) + chunked(b"a"),
        request_bytes().replace(b"HTTP/1.1", b"HTTP/2.0"),
        request_bytes("/", "POST", body=b"a" * 100),
        request_bytes("/elsewhere"),
        request_bytes("/mount/raise"),
    ]
    statuses = []
    with ServerProcess("probe:app", "--limit-body", "10", "--script-name", "/mount") as server:
        for request in requests:
            with Client(server.address) as client:
                client.send(request)
                response = client.response()
                statuses.append(response.status)
                assert set(notes(answers.Answer(response, has_content=True))) <= set(listed), response.raw
    assert statuses == [400, 405, 421, 417, 431, 414, 501, 505, 413, 404, 500]


@pytest.mark.last
def test_every_answer_that_the_tests_saw_is_clean(request: pytest.FixtureRequest) -> None:
    """Each distinct head is judged once, with the first body that came under it."""
    listed = differences("httplint")["notes"]
    found = {key: text for answer in list(answers.seen.values()) for key, text in notes(answer).items()}
    assert {key: text for key, text in found.items() if key not in listed} == {}
    if whole_run(request.config):
        assert sorted(set(listed) - set(found)) == [], "listed, and no longer true"


def whole_run(config: pytest.Config) -> bool:
    """Whether all tests were asked for; only then everything on the list must have been seen."""
    asked_for_all = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return asked_for_all and not config.option.keyword and not config.option.markexpr
