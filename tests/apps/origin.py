"""An application that answers with whom it believes to serve."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from wsgiref.util import request_uri


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """The texts of environ, and the URL that follows from them."""
    seen = {name: value for name, value in environ.items() if isinstance(value, str)}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({**seen, "url": request_uri(environ)}).encode()]
