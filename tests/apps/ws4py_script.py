"""A program of CherryPy's with a WebSocket, by ws4py's plugin as its documentation has it."""

import sys

import cherrypy
from ws4py.server.cherrypyserver import WebSocketPlugin, WebSocketTool
from ws4py.websocket import EchoWebSocket


class Root:
    """The pages."""

    @cherrypy.expose
    def index(self) -> str:
        """No WebSocket."""
        return "plain"

    @cherrypy.expose
    def echo(self) -> None:
        """What the tool has made one of."""


if __name__ == "__main__":
    cherrypy.config.update({"server.socket_port": int(sys.argv[1])})
    WebSocketPlugin(cherrypy.engine).subscribe()
    cherrypy.tools.websocket = WebSocketTool()
    tool = {"tools.websocket.on": True, "tools.websocket.handler_cls": EchoWebSocket}
    cherrypy.quickstart(Root(), "/", {"/echo": tool})
