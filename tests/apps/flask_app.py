"""The contract of `common.py` in Flask."""

from __future__ import annotations

from common import FAILURE, FILE, JSON_ANSWER, digest, request_fields, twenty_blocks, validated
from flask import Flask, Response, jsonify, redirect, request, send_file

flask = Flask(__name__, static_folder=None)


@flask.get("/")
def index() -> Response:
    return Response("Hello from Flask", mimetype="text/plain")


@flask.post("/form")
def form() -> Response:
    return jsonify(request.form.to_dict())


@flask.get("/cookie")
def cookie() -> Response:
    value = request.args.get("set")
    if value is None:
        return Response(request.cookies.get("flavour", "none"))
    response = Response("set")
    response.set_cookie("flavour", value)
    response.set_cookie("second", "2")
    return response


@flask.get("/stream")
def stream() -> Response:
    return Response(twenty_blocks(), mimetype="text/plain")


@flask.post("/upload")
def upload() -> Response:
    return jsonify(digest(request.files["file"].stream))


@flask.get("/static/blob")
def blob() -> Response:
    return send_file(FILE, mimetype="application/octet-stream")


@flask.get("/redirect")
def redirection() -> Response:
    return redirect("/")  # type: ignore[return-value]


@flask.get("/error")
def error() -> Response:
    raise RuntimeError(FAILURE)


@flask.get("/json")
def json_answer() -> Response:
    return jsonify(JSON_ANSWER)


@flask.get("/headers")
def headers() -> Response:
    response = jsonify(request_fields(request.environ))
    response.headers["X-Echo"] = request.headers.get("X-Echo", "")
    return response


# Werkzeug reads a terminated input by `read()` alone. PEP 3333 allows that, the validator does not.
app = validated(flask, bare={"/form": "read() without an argument"})
