"""What the framework applications of the tests share: the contract of their routes, and the validator.

Every application answers the same routes, so that one test file proves them all:

| route | answer |
|---|---|
| `GET /` | text `Hello from NAME` |
| `POST /form` | the urlencoded fields, as JSON |
| `GET /cookie?set=V` | sets the cookies `flavour=V` and `second=2` |
| `GET /cookie` | the value of the cookie `flavour`, or `none` |
| `GET /stream` | a generator of 20 blocks, `block 0` to `block 19`, a line each |
| `POST /upload` | `sha256` and `length` of the multipart field `file`, as JSON |
| `GET /static/blob` | the file named by the environment variable `APP_FILE` |
| `GET /redirect` | a redirection to `/` |
| `GET /error` | raises |
| `GET /json` | `JSON_ANSWER` as JSON |
| `GET /headers` | the request's fields as JSON, and `X-Echo` as a response field |
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any
from wsgiref.validate import validator

JSON_ANSWER = {"name": "Kirsch", "cherries": 42, "ripe": True}
FAILURE = "this failure is planned"
FILE = os.environ.get("APP_FILE", __file__)
UPLOAD_BLOCK_BYTES = 64 * 1024


def validated(app: Callable[..., Any], *, bare: Mapping[str, str] | None = None) -> Callable[..., Any]:
    """The application, behind `wsgiref.validate` if the environment asks for it.

    Args:
        app: The application.
        bare: Paths at which the framework itself breaks a rule of the validator, and which.
    """
    if not os.environ.get("APP_VALIDATE"):
        return app
    checked = validator(app)

    def dispatch(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        return (app if environ["PATH_INFO"] in (bare or {}) else checked)(environ, start_response)

    return dispatch


def twenty_blocks() -> Iterator[bytes]:
    """The body of `/stream`."""
    for number in range(20):
        yield f"block {number}\n".encode()


def digest(file: IO[bytes]) -> dict[str, str | int]:
    """The answer of `/upload`."""
    checksum, length = hashlib.sha256(), 0
    while block := file.read(UPLOAD_BLOCK_BYTES):
        checksum.update(block)
        length += len(block)
    return {"sha256": checksum.hexdigest(), "length": length}


def request_fields(environ: dict[str, Any]) -> dict[str, str]:
    """The answer of `/headers`."""
    return {key: value for key, value in environ.items() if key.startswith("HTTP_")}
