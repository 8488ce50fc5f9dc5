"""web.py over Kirsch, by web.py's own hook: after ``import kirsch.webpy``, ``app.run()`` is served by it.

web.py lets programs replace ``web.httpserver.WSGIServer``; here that is `WSGIServer`. A program that shall
not be changed at all is run with ``kirsch run code.py 8080``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import web.httpserver

from kirsch.cheroot import server, wsgi


def WSGIServer(server_address: tuple[str, int] | str, wsgi_app: Callable[..., Any]) -> wsgi.Server:
    """A server as web.py starts it; it has what is assigned to `HTTPServer`."""
    return wsgi.Server(server_address, wsgi_app, server_name="localhost")


#: The class whose ``ssl_adapter`` serves with TLS.
HTTPServer = server.HTTPServer

web.httpserver.WSGIServer = WSGIServer
