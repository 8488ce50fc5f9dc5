"""Start one of the peers that come without a command of their own.

Usage: python serve.py SERVER PORT THREADS CONNECTIONS MODULE:APP
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

Start = Callable[[Any, int, int, int], None]


def bjoern(app: Any, port: int, _threads: int, _connections: int) -> None:
    """One thread, libev."""
    import bjoern as server

    server.run(app, "127.0.0.1", port)


def fastwsgi(app: Any, port: int, _threads: int, _connections: int) -> None:
    """One thread, libuv; without TCP_NODELAY its generator responses wait for delayed acknowledgements."""
    import fastwsgi as module

    server = module.server
    server.backlog = 4096
    server.tcp_nodelay = 1
    server.init(app, "127.0.0.1", port, module.LL_ERROR, 1)
    server.run()


def waitress(app: Any, port: int, threads: int, connections: int) -> None:
    """A loop and a pool; poll, as select ends at 1024 descriptors."""
    from waitress import serve

    serve(
        app,
        host="127.0.0.1",
        port=port,
        threads=threads,
        backlog=4096,
        connection_limit=connections + 100,
        asyncore_use_poll=True,
    )


def cheroot(app: Any, port: int, threads: int, connections: int) -> None:
    """A loop and a pool; by default it keeps ten connections alive."""
    from cheroot import wsgi

    server = wsgi.Server(
        ("127.0.0.1", port), app, numthreads=threads, max=threads, request_queue_size=4096, timeout=75
    )
    server.keep_alive_conn_limit = connections + 100
    server.safe_start()


def kirsch_cheroot(app: Any, port: int, threads: int, _connections: int) -> None:
    """Kirsch by cheroot's classes, with nothing set that cheroot's users do not have to set."""
    from kirsch.cheroot import wsgi

    wsgi.Server(("127.0.0.1", port), app, numthreads=threads).start()


SERVERS: dict[str, Start] = {
    "bjoern": bjoern,
    "fastwsgi": fastwsgi,
    "waitress": waitress,
    "cheroot": cheroot,
    "kirsch-cheroot": kirsch_cheroot,
}


def main() -> None:
    """Import the application and serve it until a signal ends the process."""
    name, port, threads, connections, target = sys.argv[1:]
    module, _, attribute = target.partition(":")
    app = getattr(importlib.import_module(module), attribute)
    SERVERS[name](app, int(port), int(threads), int(connections))


if __name__ == "__main__":
    main()
