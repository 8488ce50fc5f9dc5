"""The contract of `common.py` in Bottle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bottle import Bottle, HTTPResponse, redirect, request, response, static_file
from common import FAILURE, FILE, JSON_ANSWER, digest, request_fields, twenty_blocks, validated

bottle = Bottle()


@bottle.get("/")
def index() -> str:
    response.content_type = "text/plain"
    return "Hello from Bottle"


@bottle.post("/form")
def form() -> dict[str, str]:
    return {key: request.forms.getunicode(key) for key in request.forms}


@bottle.get("/cookie")
def cookie() -> str:
    value = request.query.get("set")
    if value is None:
        return request.get_cookie("flavour", "none")
    response.set_cookie("flavour", value)
    response.set_cookie("second", "2")
    return "set"


@bottle.get("/stream")
def stream() -> Iterator[bytes]:
    response.content_type = "text/plain"
    return twenty_blocks()


@bottle.post("/upload")
def upload() -> dict[str, str | int]:
    return digest(request.files["file"].file)


@bottle.get("/static/blob")
def blob() -> HTTPResponse:
    return static_file(Path(FILE).name, root=str(Path(FILE).parent), mimetype="application/octet-stream")


@bottle.get("/redirect")
def redirection() -> None:
    redirect("/")


@bottle.get("/error")
def error() -> str:
    raise RuntimeError(FAILURE)


@bottle.get("/json")
def json_answer() -> dict[str, object]:
    return dict(JSON_ANSWER)


@bottle.get("/headers")
def headers() -> dict[str, str]:
    response.set_header("X-Echo", request.get_header("X-Echo", ""))
    return request_fields(request.environ)


app = validated(bottle)
