"""Kirsch: a web server for Python applications, correct, fast and operable at once.

From the command line: ``kirsch hello:app``. From Python:

    import kirsch

    kirsch.run(app, bind="127.0.0.1:8000")          # serves until a signal ends it

    with kirsch.Server(app, bind="127.0.0.1:0") as server:   # in the background, on a free port
        print(server.urls)

The engine is written in Rust (``kirsch._kirsch``); this package loads applications, makes the
threads, handles signals and words the messages.
"""

from kirsch._kirsch import __version__
from kirsch._run import run
from kirsch._server import Server

__all__ = ["Server", "__version__", "run"]
