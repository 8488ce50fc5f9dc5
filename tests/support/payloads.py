"""The payloads of request smuggling: `conformance/smuggling.json`, which `conformance/README.md` explains."""

from __future__ import annotations

import json
from dataclasses import dataclass

from .conformance import FOLDER, cases

# A head and a body that each fit every buffer on the way; above, it is about limits.
MOST_BYTES = 6 * 1024


@dataclass(frozen=True)
class Payload:
    """One payload, as it stands in the file.

    Attributes:
        guards: Past holes of others that it would have shown.
        reads: What Kirsch reads: method, target and length of the body of each whole request.
        ending: What Kirsch makes of the rest, as in `opinions.Opinion`.
    """

    id: str
    family: str
    guards: list[str]
    description: str
    request: bytes
    reads: list[tuple[str, str, int]]
    ending: str


def payloads() -> list[Payload]:
    """Every payload of the file, in its order."""
    entries = json.loads((FOLDER / "smuggling.json").read_text("utf-8"))
    return [read_payload(entry) for entry in entries]


def read_payload(entry: dict[str, object]) -> Payload:
    """One entry of the file."""
    request = str(entry.pop("request")).encode("latin-1")
    reads = [tuple(read) for read in entry.pop("reads")]  # type: ignore[attr-defined]
    return Payload(request=request, reads=reads, **entry)  # type: ignore[arg-type]


def seeds() -> list[bytes]:
    """What is worth bending: the payloads, and the conformance cases that are not about size or time."""
    whole = [case.request for case in cases() if not case.steps]
    return [
        data for data in (*(payload.request for payload in payloads()), *whole) if 0 < len(data) <= MOST_BYTES
    ]
