"""The contract of `common.py` in Django, settings and all in one file."""

from __future__ import annotations

from common import FAILURE, FILE, JSON_ANSWER, digest, request_fields, twenty_blocks, validated
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path

settings.configure(
    SECRET_KEY="for tests only",
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    # Without a handler of its own, Django keeps errors to itself unless DEBUG is on.
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["console"]},
    },
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)


def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello from Django", content_type="text/plain")


def form(request: HttpRequest) -> HttpResponse:
    return JsonResponse(request.POST.dict())


def cookie(request: HttpRequest) -> HttpResponse:
    value = request.GET.get("set")
    if value is None:
        return HttpResponse(request.COOKIES.get("flavour", "none"))
    response = HttpResponse("set")
    response.set_cookie("flavour", value)
    response.set_cookie("second", "2")
    return response


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(twenty_blocks(), content_type="text/plain")


def upload(request: HttpRequest) -> HttpResponse:
    return JsonResponse(digest(request.FILES["file"].file))


def blob(request: HttpRequest) -> FileResponse:
    return FileResponse(open(FILE, "rb"), content_type="application/octet-stream")


def redirection(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/")


def error(request: HttpRequest) -> HttpResponse:
    raise RuntimeError(FAILURE)


def json_answer(request: HttpRequest) -> HttpResponse:
    return JsonResponse(JSON_ANSWER)


def headers(request: HttpRequest) -> HttpResponse:
    response = JsonResponse(request_fields(request.META))
    response["X-Echo"] = request.headers.get("X-Echo", "")
    return response


urlpatterns = [
    path("", index),
    path("form", form),
    path("cookie", cookie),
    path("stream", stream),
    path("upload", upload),
    path("static/blob", blob),
    path("redirect", redirection),
    path("error", error),
    path("json", json_answer),
    path("headers", headers),
]

app = validated(get_wsgi_application())
