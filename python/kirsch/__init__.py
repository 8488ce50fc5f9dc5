"""Kirsch: a web server for Python applications, correct, fast and operable at once.

From the command line: ``kirsch hello:app``. From Python:

    import kirsch

    kirsch.run(app, bind="127.0.0.1:8000")          # serves until a signal ends it

    with kirsch.Server(app, bind="127.0.0.1:0") as server:   # in the background, on a free port
        print(server.urls)

    routes = [kirsch.Route(path="/static", files="public"), kirsch.Route(host="blog.test", app=blog)]
    kirsch.run(routes=routes)

The engine is written in Rust (``kirsch._kirsch``, or a module of yours that was imported before it); this
package loads applications, makes the threads, handles signals and words the messages.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kirsch._as_cheroot import install_as_cheroot
    from kirsch._kirsch import __version__
    from kirsch._routes import Application, Route, Rust
    from kirsch._run import run
    from kirsch._server import Server

__all__ = ["Application", "Route", "Rust", "Server", "__version__", "install_as_cheroot", "run"]

_PLACES = {
    "Application": "kirsch._routes",
    "Route": "kirsch._routes",
    "Rust": "kirsch._routes",
    "Server": "kirsch._server",
    "__version__": "kirsch._kirsch",
    "install_as_cheroot": "kirsch._as_cheroot",
    "run": "kirsch._run",
}


def __getattr__(name: str) -> Any:
    """Imports a name when it is first used: the command is to hear Ctrl-C before all of this is loaded."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = found
    return found


if os.environ.get("KIRSCH_AS_CHEROOT") == "1":
    importlib.import_module("kirsch._as_cheroot").install_as_cheroot()
