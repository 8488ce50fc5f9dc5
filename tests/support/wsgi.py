"""How the tests of PEP 3333 talk with the applications of `apps/pep3333.py`.

What cannot be seen on the wire is noted there under the id of a request, and asked for here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from .client import Response, get
from .server import ServerProcess

numbers = itertools.count()


def marked(path: str, **query: str) -> tuple[str, str]:
    """A target with an id of its own, and the id."""
    name = f"r{next(numbers)}"
    return f"{path}?{urlencode({**query, 'id': name})}", name


def events(server: ServerProcess, name: str, until: str = "") -> list[Any]:
    """What the application noted under an id, once it noted `until`."""
    return json.loads(get(server.address, f"/events?{urlencode({'id': name, 'until': until})}").body)


def open_gate(server: ServerProcess, name: str) -> None:
    """Let the application that waits under an id go on."""
    assert get(server.address, f"/open?id={name}").body == b"open"


def ask(server: ServerProcess, path: str, method: str = "GET", **query: str) -> Response:
    """One request on a connection of its own, with a query."""
    return get(server.address, f"{path}?{urlencode(query)}" if query else path, method=method)


def environ_of(server: ServerProcess, request: bytes) -> dict[str, Any]:
    """The environ that a request makes: name → [type, value]."""
    with server.client() as client:
        client.send(request)
        return json.loads(client.response().body)


def operations(*steps: Sequence[Any]) -> str:
    """A target that does operations on `wsgi.input`, one after another."""
    return "/input?" + urlencode({"ops": json.dumps(steps)})


def must_be_refused(server: ServerProcess, path: str, **query: str) -> list[Any]:
    """The call must raise into the application, and the client get a 500. Answers what was noted."""
    target, name = marked(path, **query)
    with server.client() as client:
        assert client.request(target).status == 500
        client.expect_open()
    noted = events(server, name)
    assert len(noted) == 1, noted
    return noted
