"""JSON with Flask."""

from __future__ import annotations

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

app = Flask(__name__)


@app.get("/users/<int:number>")
def user(number: int) -> ResponseReturnValue:
    """Answer a small object."""
    return jsonify(id=number, name="Kim", roles=["reader", "writer"], active=True)
