"""The contract of `common.py` in web.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import web
from common import FAILURE, FILE, JSON_ANSWER, digest, request_fields, twenty_blocks, validated

web.config.debug = False
urls = (
    "/", "Index",
    "/form", "Form",
    "/cookie", "Cookie",
    "/stream", "Stream",
    "/upload", "Upload",
    "/static/blob", "Blob",
    "/redirect", "Redirect",
    "/error", "Error",
    "/json", "Json",
    "/headers", "Headers",
)  # fmt: skip


def as_json(value: object) -> str:
    web.header("Content-Type", "application/json")
    return json.dumps(value)


class Index:
    def GET(self) -> str:
        web.header("Content-Type", "text/plain")
        return "Hello from web.py"


class Form:
    def POST(self) -> str:
        return as_json(dict(web.input()))


class Cookie:
    def GET(self) -> str:
        web.header("Content-Type", "text/plain")
        value = web.input(set=None).set
        if value is None:
            return web.cookies().get("flavour", "none")
        web.setcookie("flavour", value)
        web.setcookie("second", "2")
        return "set"


class Stream:
    def GET(self) -> Iterator[bytes]:
        web.header("Content-Type", "text/plain")
        return twenty_blocks()


class Upload:
    def POST(self) -> str:
        return as_json(digest(web.input(file={}).file.file))


class Blob:
    def GET(self) -> Iterator[bytes]:
        web.header("Content-Type", "application/octet-stream")
        web.header("Content-Length", str(Path(FILE).stat().st_size))
        return blocks(Path(FILE))


class Redirect:
    def GET(self) -> str:
        raise web.seeother("/")


class Error:
    def GET(self) -> str:
        raise RuntimeError(FAILURE)


class Json:
    def GET(self) -> str:
        return as_json(JSON_ANSWER)


class Headers:
    def GET(self) -> str:
        web.header("X-Echo", web.ctx.env.get("HTTP_X_ECHO", ""))
        return as_json(request_fields(web.ctx.env))


def blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(64 * 1024):
            yield block


application = web.application(urls, globals())
app = validated(application.wsgifunc())
