"""``kirsch.Route``, ``Application`` and ``Rust``: which application answers which request, said in Python.

What a route means and what may stand in it is the engine's; here it only gets its arguments, documented.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from kirsch import _kirsch
from kirsch._load import LoadError, as_wsgi, refuse_green_threads


@dataclass(frozen=True)
class Rust:
    """An application in Rust that the engine was built with.

        kirsch.Route(host="status.test", app=kirsch.Rust("status"))

    It runs on threads of its own, so it has no part of the server's. The ordinary engine has none; the guide
    "Rust beside Python" says how to build one that has.

    Args:
        name: What the engine calls it.
    """

    name: str


@dataclass(frozen=True)
class Application:
    """An application that may have a part of the server's threads only.

    Args:
        app: The WSGI application, or a ``web.application``.
        threads: At most so many threads are in it at once. Further requests for it wait, up to the settings
            ``limit_queue`` and ``timeout_queue``, while those for other applications go on. Without it, it
            may take every thread.
        name: What messages call it; without it, its module and name.

    Raises:
        ValueError: If ``threads`` is less than 1.
        TypeError: If ``app`` is in Rust, which has its own threads.
    """

    app: Callable[..., Any]
    threads: int | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.app, Rust):
            raise TypeError(
                f"argument app: {self.app} has threads of its own; give it to kirsch.Route(app=…) itself"
            )
        if self.threads is not None and self.threads < 1:
            raise ValueError(
                f"argument threads: {self.threads} is not a whole number from 1 on; leave it out for all"
            )


@dataclass(frozen=True, kw_only=True)
class Route:
    """Which requests it takes, and what becomes of them. What is left out asks nothing.

    Exactly one of ``app``, ``files``, ``cgi``, ``redirect`` and ``answer`` says what becomes of a request.
    The settings reference describes each argument under the key of the same name.

        kirsch.Route(host="blog.test", app=blog)
        kirsch.Route(path="/static", files="public")
        kirsch.Route(scheme="http", redirect="https://{host}{path}{query}", status=308)

    Args:
        host: Hosts, exact or as in ``*.example.com``; a port counts only where it is written.
        path: Paths, each with everything below it. What matched is the application's ``SCRIPT_NAME``.
        method: Methods, in capitals; ``GET`` takes ``HEAD`` too.
        header: Fields that the request has, each with this value.
        scheme: ``http`` or ``https``, as the client came.
        client: Networks or addresses, one of which is the client's.
        app: The WSGI application that answers, an `Application`, or one in `Rust`.
        files: The folder whose files are the answers; relative to the working directory.
        cgi: The folder whose executable files are CGI scripts, or one script; relative to the working
            directory.
        redirect: Where the client is sent; ``{host}``, ``{path}`` and ``{query}`` stand for the request's.
        answer: The status that is the answer, from 200 to 599.
        status: The status of the redirect; 308 without it.
        body: The text of the answer; what the status means without it.
        internal: Whether only applications lead to the files, by ``X-Accel-Redirect``; clients get 404.
        index: Names of files, the first of which is served for a folder; ``index.html`` without it.
        listing: Whether a folder without one is answered with a list of what is in it.
        fallback: The file that is served for paths that lead to nothing, if their last part has no dot.
        cache_control: ``Cache-Control`` by pattern, as in ``{"*.css": "max-age=3600"}``; the first counts.
        immutable: Whether files with a hash in their name may be kept for a year; they may without it.
        precompressed: Which compressed siblings are looked for: ``br``, ``zstd``, ``gzip``; all without it.
        dotfiles: Whether names that begin with a dot are served.
        follow_symlinks: Whether symbolic links may lead out of the folder.
        charset: The charset that is said of text; ``utf-8`` without it.
        limit_processes: At most so many scripts run at once, while further requests wait.
        timeout_script: Seconds that a script may run for one request, or a duration as text; 60 without it.
        pass_environment: Variables of the server's environment that scripts see, beside ``PATH``.
        pass_authorization: Whether scripts see the request's ``Authorization``.
        set_headers: Fields that every response has, in place of those of the same name.
        remove_headers: Fields that no response has.
        rewrite: What takes the place of ``path``; the application sees the new path as its own.
        limit_body: Bytes of a request's body, or a size as text (``"20MiB"``); the server's limit without it.
        stream_body: Whether the application or the script reads a body while it arrives, in place of the
            server's setting.

    Raises:
        ValueError: If an argument is wrong; the text says which and what to write instead.
        TypeError: If ``app`` is no WSGI application.
    """

    host: str | Sequence[str] | None = None
    path: str | Sequence[str] | None = None
    method: str | Sequence[str] | None = None
    header: Mapping[str, str] | None = None
    scheme: str | None = None
    client: str | Sequence[str] | None = None
    app: Callable[..., Any] | Application | Rust | None = None
    files: str | os.PathLike[str] | None = None
    cgi: str | os.PathLike[str] | None = None
    redirect: str | None = None
    answer: int | None = None
    status: int | None = None
    body: str | None = None
    internal: bool | None = None
    index: str | Sequence[str] | None = None
    listing: bool | None = None
    fallback: str | None = None
    cache_control: Mapping[str, str] | None = None
    immutable: bool | None = None
    precompressed: str | Sequence[str] | bool | None = None
    dotfiles: bool | None = None
    follow_symlinks: bool | None = None
    charset: str | bool | None = None
    limit_processes: int | None = None
    timeout_script: float | str | None = None
    pass_environment: str | Sequence[str] | None = None
    pass_authorization: bool | None = None
    set_headers: Mapping[str, str] | None = None
    remove_headers: str | Sequence[str] | None = None
    rewrite: str | None = None
    limit_body: int | str | None = None
    stream_body: bool | None = None

    def __post_init__(self) -> None:
        _kirsch.check_route(self._keywords("app"))
        app = self.app.app if isinstance(self.app, Application) else self.app
        if app is not None and not isinstance(app, Rust):
            _checked(app)

    def _keywords(self, app: str) -> dict[str, Any]:
        """The arguments as the engine takes them: with the application's name in its place."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**given, "app": None if self.app is None else app}


@dataclass(frozen=True)
class Site:
    """Applications that were checked, and the routes that lead to them.

    Attributes:
        applications: Those in Python, in the order in which the routes know them.
        dispatch: The routes.
        warnings: What makes no sense in them.
    """

    applications: Sequence[Callable[..., Any]]
    dispatch: _kirsch.Dispatch
    warnings: Sequence[str] = ()

    @classmethod
    def of_program(
        cls,
        app: Callable[..., Any] | Application | Rust | None,
        routes: Sequence[Route],
        settings: _kirsch.Settings,
    ) -> Site:
        """What a program gives, checked.

        Raises:
            ValueError: If a route leads nowhere.
            TypeError: If an application is none, or there is nothing to serve.
        """
        if isinstance(routes, Route):
            raise TypeError("routes is a list; write routes=[kirsch.Route(…)]")
        known = _Known()
        given = []
        for route in routes:
            if not isinstance(route, Route):
                raise TypeError(f"routes holds {type(route).__name__}; write kirsch.Route(…) for each")
            given.append(route._keywords("" if route.app is None else known.name(route.app)))
        rest = None if app is None else known.place(app)
        # Names are unique, so that each is its application's.
        applications = [
            (name, None, it.name) if isinstance(it, Rust) else (name, it.threads, None)
            for name, it in zip(known.names, known.applications, strict=True)
        ]
        dispatch = _kirsch.Dispatch.of_program(settings, given, applications, rest)
        if not dispatch.brief:
            raise TypeError("there is nothing to serve; give an application, or routes")
        for text, fatal in dispatch.findings:
            if fatal:
                raise ValueError(text)
        return cls(known.wsgi, dispatch, [text for text, _ in dispatch.findings])


class _Known:
    """The applications of a program, each once."""

    def __init__(self) -> None:
        self.applications: list[Application | Rust] = []
        self.names: list[str] = []
        self.wsgi: list[Callable[..., Any]] = []

    def name(self, app: Callable[..., Any] | Application | Rust) -> str:
        return self.names[self.place(app)]

    def place(self, app: Callable[..., Any] | Application | Rust) -> int:
        given = app if isinstance(app, (Application, Rust)) else Application(app)
        for place, known in enumerate(self.applications):
            if _is_same(known, given):
                return place
        if isinstance(given, Rust):
            name = given.name
        else:
            self.wsgi.append(_checked(given.app))
            name = given.name or _name(given.app)
        self.applications.append(given)
        self.names.append(name if name not in self.names else f"{name} ({len(self.names)})")
        return len(self.names) - 1


def _is_same(one: Application | Rust, other: Application | Rust) -> bool:
    if isinstance(one, Application) and isinstance(other, Application):
        return one.app is other.app and one.threads == other.threads
    return one == other


def _checked(app: Callable[..., Any]) -> Callable[..., Any]:
    try:
        refuse_green_threads()
        return as_wsgi(app, "app")
    except LoadError as error:
        raise TypeError(str(error)) from None


def _name(app: Any) -> str:
    module = getattr(app, "__module__", None)
    name = getattr(app, "__qualname__", None) or type(app).__qualname__
    return f"{module}:{name}" if module else str(name)
