"""A program of CherryPy's: tools, sessions, static files, started as its tutorial does."""

import os
import sys

import cherrypy


class Root:
    """The pages."""

    @cherrypy.expose
    def index(self, name="World"):
        """Greets."""
        return f"Hello, {name}"

    @cherrypy.expose
    def count(self):
        """Counts in a session."""
        cherrypy.session["count"] = cherrypy.session.get("count", 0) + 1
        return str(cherrypy.session["count"])

    @cherrypy.expose
    @cherrypy.tools.json_in()
    @cherrypy.tools.json_out()
    def double(self):
        """Doubles what was sent."""
        return {"double": cherrypy.request.json["number"] * 2}

    @cherrypy.expose
    @cherrypy.tools.gzip(mime_types=["text/*"])
    def long(self):
        """A page that is worth packing."""
        return "long " * 1000


if __name__ == "__main__":
    cherrypy.quickstart(
        Root(),
        "/",
        {
            "global": {
                "server.socket_port": int(sys.argv[1]),
                "engine.autoreload.on": False,
            },
            "/": {"tools.sessions.on": True},
            "/static": {"tools.staticdir.on": True, "tools.staticdir.dir": os.getcwd()},
        },
    )
