"""The contract of `common.py` in Pyramid."""

from __future__ import annotations

from collections.abc import Callable

from common import FAILURE, FILE, JSON_ANSWER, digest, request_fields, twenty_blocks, validated
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.response import FileResponse, Response


def index(request: Request) -> Response:
    return Response("Hello from Pyramid", content_type="text/plain")


def form(request: Request) -> Response:
    return Response(json_body=dict(request.POST))


def cookie(request: Request) -> Response:
    value = request.GET.get("set")
    if value is None:
        return Response(request.cookies.get("flavour", "none"))
    response = Response("set")
    response.set_cookie("flavour", value)
    response.set_cookie("second", "2")
    return response


def stream(request: Request) -> Response:
    return Response(app_iter=twenty_blocks(), content_type="text/plain")


def upload(request: Request) -> Response:
    return Response(json_body=digest(request.POST["file"].file))


def blob(request: Request) -> Response:
    return FileResponse(FILE, request=request, content_type="application/octet-stream")


def redirection(request: Request) -> Response:
    return HTTPSeeOther("/")


def error(request: Request) -> Response:
    raise RuntimeError(FAILURE)


def json_answer(request: Request) -> Response:
    return Response(json_body=JSON_ANSWER)


def headers(request: Request) -> Response:
    response = Response(json_body=request_fields(request.environ))
    response.headers["X-Echo"] = request.headers.get("X-Echo", "")
    return response


VIEWS: dict[str, Callable[[Request], Response]] = {
    "/": index,
    "/form": form,
    "/cookie": cookie,
    "/stream": stream,
    "/upload": upload,
    "/static/blob": blob,
    "/redirect": redirection,
    "/error": error,
    "/json": json_answer,
    "/headers": headers,
}


def configured() -> Callable[..., object]:
    with Configurator() as config:
        for route, view in VIEWS.items():
            config.add_route(route, route)
            config.add_view(view, route_name=route)
        return config.make_wsgi_app()


app = validated(configured())
