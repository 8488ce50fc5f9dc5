"""Every answer that the tests' client reads, once for each distinct head, for whoever judges them at the end.

`client.py` tells it each response that is whole. What changes from answer to answer (dates, ids, lengths,
tokens) does not make a head distinct, so that there are hundreds and not a hundred thousand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import Response

# Longer bodies are not kept; of them only the head is judged.
KEPT_BYTES = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        response: What came.
        has_content: Whether its body is there to be judged: not for HEAD, nor if it was too long to be kept.
    """

    response: Response
    has_content: bool


#: The first answer with each head.
seen: dict[tuple[object, ...], Answer] = {}


def saw(method: str, response: Response) -> None:
    """Remember an answer to a request with this method, unless one with the same head is known."""
    shapes = tuple((name, shape(value)) for name, value in response.fields)
    key = (method == "HEAD", response.version, response.status, response.reason, shapes)
    if key in seen:
        return
    if len(response.body) > KEPT_BYTES:
        seen[key] = Answer(replace(response, body=b"", raw=b""), has_content=False)
    else:
        seen[key] = Answer(response, has_content=method != "HEAD")


def shape(value: str) -> str:
    """A value without what differs from answer to answer."""
    without_tokens = re.sub(r"(?=[\w+/=-]*\d)[\w+/=-]{16,}", "*", value)
    return re.sub(r"\d+", "0", without_tokens)
