"""The formats of other servers' access logs in Kirsch's directives.

What Kirsch does not know leaves a dash in its place, so that the columns stay where they are.
Read next: `docs/reference/access-log.md`, which has the directives.
"""

from __future__ import annotations

import re
from collections.abc import Callable

#: What `combined` is short for.
COMBINED = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'

_GUNICORN = {
    "h": "%h",
    "l": "%l",
    "u": "%u",
    "t": "%t",
    "r": "%r",
    "m": "%m",
    "U": "%U",
    "H": "%H",
    "s": "%>s",
    "B": "%B",
    "b": "%b",
    "f": "%{Referer}i",
    "a": "%{User-Agent}i",
    "T": "%T",
    "M": "%{ms}T",
    "D": "%D",
    "q": "%q",
}
_GUNICORN_DIFFERS = {"q": "%q has its question mark"}
_GUNICORN_LOST = {
    "L": "%(L)s, seconds with their decimals: %D has microseconds",
    "p": "%(p)s, the process: there is one",
}

_UWSGI = {
    "addr": "%h",
    "user": "%u",
    "ltime": "%t",
    "uri": "%U%q",
    "method": "%m",
    "proto": "%H",
    "status": "%>s",
    "micros": "%D",
    "msecs": "%{ms}T",
    "secs": "%T",
    "time": "%{sec}t",
    "epoch": "%{sec}t",
    "tmsecs": "%{msec}t",
    "tmicros": "%{usec}t",
    "size": "%B",
    "rsize": "%B",
    "host": "%{Host}i",
    "uagent": "%{User-Agent}i",
    "referer": "%{Referer}i",
    "cl": "%{Content-Length}i",
    "ctime": "%t",
    "var.PATH_INFO": "%U",
    "var.REQUEST_URI": "%U%q",
    "var.QUERY_STRING": "%q",
    "var.REMOTE_ADDR": "%h",
    "var.REQUEST_METHOD": "%m",
    "var.SERVER_PROTOCOL": "%H",
}
_UWSGI_DIFFERS = {
    "size": "%(size) counted the head of the response, too; %B is its content",
    "ctime": "%(ctime) had another form of time",
    "epoch": "%(epoch) was the time of the answer; %{sec}t is that of the request",
    "user": "%(user) was what the proxy or the application said; %u is the user of Basic authentication",
    "var.PATH_INFO": "%U is the path as it was sent",
    "var.QUERY_STRING": "%q has its question mark",
}
#: Directives of Kirsch's that are the client's own words where a field is asked for.
_FIELD = re.compile(r"[A-Za-z0-9-]+")


def from_gunicorn(form: str) -> tuple[str, list[str]]:
    """Translates ``access_log_format`` of gunicorn's.

    Args:
        form: The format, with atoms such as ``%(h)s``.

    Returns:
        The format in Kirsch's directives, and what differs.
    """

    def atom(name: str) -> tuple[str | None, str | None]:
        lost = _GUNICORN_LOST.get(name)
        if name in _GUNICORN:
            return _GUNICORN[name], _GUNICORN_DIFFERS.get(name)
        field = re.fullmatch(r"\{(.+)\}([ioe])", name)
        if field is None:
            return None, lost
        header, kind = field.groups()
        if kind == "i" and _FIELD.fullmatch(header):
            return f"%{{{header}}}i", None
        if kind == "o" and header.lower() == "x-request-id":
            return "%L", None
        if kind == "e":
            return None, f"%({name})s, a variable of environ: the application can log it"
        return None, f"%({name})s, a field of the response: these are not kept"

    return _translate(form, re.compile(r"%\((\{[^}]*\}[ioe]|[^)]*)\)s|%%"), atom)


def from_uwsgi(form: str) -> tuple[str, list[str]]:
    """Translates ``log-format`` of uWSGI's.

    Args:
        form: The format, with variables such as ``%(addr)``.

    Returns:
        The format in Kirsch's directives, and what differs.
    """

    def variable(name: str) -> tuple[str | None, str | None]:
        if name in _UWSGI:
            return _UWSGI[name], _UWSGI_DIFFERS.get(name)
        if name.startswith("var.HTTP_"):
            return f"%{{{name[9:].replace('_', '-').title()}}}i", None
        return None, None

    return _translate(form, re.compile(r"%\(([^)]*)\)"), variable)


def _translate(
    form: str, atoms: re.Pattern[str], known: Callable[[str], tuple[str | None, str | None]]
) -> tuple[str, list[str]]:
    parts, notes, end = [], [], 0
    for match in atoms.finditer(form):
        parts.append(form[end : match.start()].replace("%", "%%"))
        end = match.end()
        if match.group() == "%%":
            parts.append("%%")
            continue
        directive, note = known(match.group(1))
        if directive is None:
            directive = "-"
            note = f"a dash stands for {note or match.group()}"
        parts.append(directive)
        if note and note not in notes:
            notes.append(note)
    parts.append(form[end:].replace("%", "%%"))
    translated = "".join(parts)
    # The user's column is always a dash in the one and in the other.
    if translated in (COMBINED, COMBINED.replace(" %l ", " - ")):
        translated = "combined"
    return translated, notes
