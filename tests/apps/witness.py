"""An application that writes down every request that reaches it, for tests with a proxy in front.

A line of JSON each goes to the file that `WITNESS_LOG` names: the field `X-Id` (None without), method,
target, and the body as far as it was read. The proxies of `support/fronts.py` set `X-Id`, and log it with
what they forwarded, so that the two logs can be compared line by line.

| path | what it does |
|---|---|
| `/noread` and what begins with it | answers without reading the body |
| `/raise` | fails |
| every other | reads the body to its end |

An answer names the target and the id it answers; its field `X-Peer` is the port of the connection the
request came over.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

log = open(os.environ["WITNESS_LOG"], "a", encoding="ascii")
log_lock = threading.Lock()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Writes the request down and answers."""
    target, request_id, body = environ["RAW_URI"], environ.get("HTTP_X_ID"), None
    try:
        if environ["PATH_INFO"] == "/raise":
            raise RuntimeError("asked for")
        if not environ["PATH_INFO"].startswith("/noread"):
            body = environ["wsgi.input"].read().decode("latin-1")
    finally:
        line = json.dumps([request_id, environ["REQUEST_METHOD"], target, body])
        with log_lock:
            print(line, file=log, flush=True)
    answer = f"{target} {request_id}".encode("latin-1")
    start_response("200 OK", [("Content-Length", str(len(answer))), ("X-Peer", environ["REMOTE_PORT"])])
    return [answer]
