"""One of several applications behind one server: Flask, made by a factory."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request, url_for


def create_app() -> Flask:
    """The application."""
    app = Flask(__name__, static_folder=None)

    @app.route("/users/<name>", methods=["GET", "POST", "DELETE"])
    def user(name: str) -> Response:
        return jsonify(name=name, url=url_for("user", name=name), method=request.method)

    @app.post("/first-byte")
    def first_byte() -> Response:
        return jsonify(first=request.stream.read(1).decode())

    return app
