"""The contract of `common.py` in Falcon."""

from __future__ import annotations

from pathlib import Path

import falcon
from common import FAILURE, FILE, JSON_ANSWER, digest, request_fields, twenty_blocks, validated
from falcon import Request, Response


class Index:
    def on_get(self, request: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.text = "Hello from Falcon"


class Form:
    def on_post(self, request: Request, response: Response) -> None:
        response.media = request.get_media()


class Cookie:
    def on_get(self, request: Request, response: Response) -> None:
        value = request.get_param("set")
        if value is None:
            response.text = request.cookies.get("flavour", "none")
            return
        response.set_cookie("flavour", value, secure=False)
        response.set_cookie("second", "2", secure=False)
        response.text = "set"


class Stream:
    def on_get(self, request: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.stream = twenty_blocks()


class Upload:
    def on_post(self, request: Request, response: Response) -> None:
        for part in request.get_media():
            if part.name == "file":
                response.media = digest(part.stream)


class Blob:
    def on_get(self, request: Request, response: Response) -> None:
        response.content_type = "application/octet-stream"
        response.set_stream(open(FILE, "rb"), Path(FILE).stat().st_size)


class Redirect:
    def on_get(self, request: Request, response: Response) -> None:
        raise falcon.HTTPSeeOther("/")


class Error:
    def on_get(self, request: Request, response: Response) -> None:
        raise RuntimeError(FAILURE)


class Json:
    def on_get(self, request: Request, response: Response) -> None:
        response.media = JSON_ANSWER


class Headers:
    def on_get(self, request: Request, response: Response) -> None:
        response.set_header("X-Echo", request.get_header("X-Echo", default=""))
        response.media = request_fields(request.env)


falcon_app = falcon.App()
for route, resource in {
    "/": Index(),
    "/form": Form(),
    "/cookie": Cookie(),
    "/stream": Stream(),
    "/upload": Upload(),
    "/static/blob": Blob(),
    "/redirect": Redirect(),
    "/error": Error(),
    "/json": Json(),
    "/headers": Headers(),
}.items():
    falcon_app.add_route(route, resource)

app = validated(falcon_app)
