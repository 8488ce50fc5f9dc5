"""web.py over Kirsch, by web.py's own hook: after ``import kirsch.webpy``, ``app.run()`` is served by it.

web.py lets programs replace ``web.httpserver.WSGIServer``; here that is `WSGIServer`. A program that shall
not be changed at all is run with ``kirsch run code.py 8080``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import web.httpserver

from kirsch.cheroot import server, wsgi


def WSGIServer(server_address: tuple[str, int] | str, wsgi_app: Callable[..., Any]) -> wsgi.Server:
    """A server as web.py starts it; it has what is assigned to `HTTPServer`.

    Raises:
        RuntimeError: If TLS is set for cheroot's own class: it must not be lost on the way.
    """
    theirs = sys.modules.get("cheroot.server")
    if theirs not in (None, server) and theirs.HTTPServer.ssl_adapter and not HTTPServer.ssl_adapter:
        raise RuntimeError(
            "ssl_adapter is set on cheroot's HTTPServer, which does not serve here; write "
            "`from kirsch.webpy import HTTPServer`, and the adapter from kirsch.cheroot.ssl.builtin"
        )
    return wsgi.Server(server_address, wsgi_app, server_name="localhost")


#: The class whose ``ssl_adapter`` serves with TLS.
HTTPServer = server.HTTPServer

web.httpserver.WSGIServer = WSGIServer
