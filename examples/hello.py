"""The smallest WSGI application. Serve it with ``kirsch hello:app`` from this folder."""


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"Hello, world\n"]
