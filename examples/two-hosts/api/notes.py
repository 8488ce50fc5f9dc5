"""Notes as JSON, written with Flask: the API of ``examples/two-hosts``.

Nothing in here knows where it is mounted: ``url_for`` takes that from ``SCRIPT_NAME``.
Notes are kept in memory, so they are gone when the server is.
"""

from __future__ import annotations

import threading

from flask import Flask, Response, abort, jsonify, request, url_for


def create_app() -> Flask:
    """The application; each call makes one with notes of its own."""
    app = Flask(__name__, static_folder=None)
    notes: list[str] = []
    # Several threads are in the application at once.
    lock = threading.Lock()

    @app.get("/notes")
    def every() -> Response:
        with lock:
            return jsonify(
                [{"text": text, "url": url_for("one", number=at)} for at, text in enumerate(notes)]
            )

    @app.post("/notes")
    def add() -> tuple[Response, int, dict[str, str]]:
        text = (request.get_json(silent=True) or {}).get("text")
        if not isinstance(text, str) or not text.strip():
            abort(400, "write a JSON object with a text")
        with lock:
            notes.append(text.strip())
            url = url_for("one", number=len(notes) - 1)
        return jsonify(text=text.strip(), url=url), 201, {"Location": url}

    @app.get("/notes/<int:number>")
    def one(number: int) -> Response:
        with lock:
            if number >= len(notes):
                abort(404)
            return jsonify(text=notes[number], url=url_for("one", number=number))

    return app
