"""The `kirsch.toml` that is printed: settings with where they come from, and comments for the rest.

It knows TOML and which tables Kirsch's keys stand in, and has the engine look at every value, so that what
is printed is accepted. It knows no other server.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kirsch import _kirsch
from kirsch._migrate._table import AddsRoutes, Answer, Becomes, ChangesFields, Group, Stays

_WIDTH = 100
#: Longer values are cut in comments.
_LONGEST = 300
#: The tables of the file, in its order; the other keys stand before them.
_SECTIONS = ("limits", "timeouts", "tls")
#: The option of a key in a table begins with this.
_PREFIXES = {"limits": "limit_", "timeouts": "timeout_", "tls": "tls_"}
#: Keys that are lists, so that several settings may add to them.
_LISTS = ("bind", "trust_proxy", "tls.cert", "tls.key", "tls.ciphers")
_LONGEST_NAME = 30
#: What the engine wants beside a setting, and another may give; no certificate is opened to look at one.
_BESIDE: dict[str, dict[str, Any]] = {
    "bind": {"tls_cert": "x"},
    "tls.key": {"tls_cert": "x"},
    "tls.redirect": {"tls_cert": "x", "bind": ["http://0.0.0.0:80", "https://0.0.0.0:443"]},
    "tls.client_certs": {"tls_cert": "x", "tls_client_ca": "x"},
    "tls.client_ca": {"tls_cert": "x", "tls_client_certs": "optional"},
}


@dataclass
class _Entry:
    """A key's value, and the settings that it comes from."""

    value: Any
    origins: list[str]
    notes: list[str]


@dataclass
class Document:
    """What is printed.

    Attributes:
        head: The lines at the top.
    """

    head: str
    _app: str | None = None
    _set_headers: dict[str, str] = field(default_factory=dict)
    _remove_headers: list[str] = field(default_factory=list)
    _app_origins: list[str] = field(default_factory=list)
    _app_notes: list[str] = field(default_factory=list)
    _settings: dict[str, _Entry] = field(default_factory=dict)
    _routes: list[tuple[dict[str, Any], list[str], list[str]]] = field(default_factory=list)
    _comments: dict[Group, list[tuple[str, str]]] = field(default_factory=dict)
    _defaults: list[str] = field(default_factory=list)

    def add(self, origin: str, answer: Answer) -> None:
        """Takes the answer for one setting.

        Args:
            origin: The setting, as it stands in the other server's file.
            answer: What becomes of it. What the engine refuses becomes a comment.
        """
        match answer:
            case Stays(group, why):
                self._comment(group, origin, why)
            case AddsRoutes(routes, note):
                self._add_routes(origin, routes, note)
            case Becomes(settings, note):
                self._add_settings(origin, settings, note)
            case ChangesFields(set_headers, remove_headers, note):
                self._add_fields(origin, dict(set_headers), list(remove_headers), note)

    def differs(self, text: str) -> None:
        """Adds a default of the other server's that is not Kirsch's."""
        self._defaults.append(text)

    def value(self, key: str) -> Any:
        """The value of a key; None if it is not set."""
        entry = self._settings.get(key)
        return None if entry is None else entry.value

    def replace(self, key: str, value: Any) -> None:
        """Gives a key that is set another value."""
        self._settings[key].value = value

    def text(self) -> str:
        """The file, whole."""
        self._drop_tls_without_certificate()
        lines = _wrapped(self.head)
        for default in self._defaults:
            lines += ["#", *_wrapped(default)]
        lines.append("")
        self._write_app(lines)
        for key, entry in self._settings.items():
            if "." not in key:
                _write(lines, entry.origins, entry.notes, key, entry.value)
        for section in _SECTIONS:
            inside = [key for key in self._settings if key.startswith(section + ".")]
            if inside:
                lines += [f"[{section}]"]
            for key in inside:
                entry = self._settings[key]
                _write(lines, entry.origins, entry.notes, key.removeprefix(section + "."), entry.value)
        self._write_routes(lines)
        for group, comments in sorted(self._comments.items(), key=lambda item: list(Group).index(item[0])):
            lines += [f"# {group.value}:", "#"]
            for origin, why in comments:
                lines += [f"# {origin}", *_wrapped(why, "#     ")]
            lines.append("")
        return "\n".join(lines).rstrip("\n") + "\n"

    def _drop_tls_without_certificate(self) -> None:
        """What comes from several settings is whole only once all were seen."""
        if self._settings.keys() & {"tls.cert"}:
            return
        for key in [key for key in self._settings if key.startswith("tls.")]:
            entry = self._settings.pop(key)
            for origin in entry.origins or [toml(key, entry.value)]:
                self._comment(Group.UNFIT, origin, "there is no certificate: cert and key below [tls]")

    def _comment(self, group: Group, origin: str, why: str) -> None:
        self._comments.setdefault(group, []).append((_cut(origin), why))

    def _add_settings(self, origin: str, settings: Mapping[str, Any], note: str) -> None:
        for key, value in settings.items():
            complaint = _complaint(key, value)
            if complaint:
                return self._comment(Group.UNFIT, origin, f"{toml(key, value)} is refused: {complaint}")
            before = self._app if key == "app" else self.value(key)
            if before not in (None, value) and key not in _LISTS:
                why = f"{toml(key, value)} would be it, but {key} is set above by another setting already"
                return self._comment(Group.UNFIT, origin, why)
        for key, value in settings.items():
            if key == "app":
                self._app = value
                self._app_origins.append(_cut(origin))
                self._app_notes += [note] if note else []
                continue
            entry = self._settings.setdefault(key, _Entry([] if key in _LISTS else value, [], []))
            if key in _LISTS:
                entry.value += [one for one in value if one not in entry.value or key.startswith("tls.")]
            # Said where it is first of use, once.
            if key == next(iter(settings)):
                entry.origins.append(_cut(origin))
                entry.notes += [note] if note and note not in entry.notes else []

    def _add_routes(self, origin: str, routes: tuple[Mapping[str, Any], ...], note: str) -> None:
        for route in routes:
            complaint = _route_complaint(route)
            if complaint:
                return self._comment(Group.UNFIT, origin, complaint)
            where = (route.get("host"), route.get("path"))
            if any((other.get("host"), other.get("path")) == where for other, _, _ in self._routes):
                return self._comment(Group.UNFIT, origin, "another route takes these requests already")
        for number, route in enumerate(routes):
            first = number == 0
            notes = [note] if note and first else []
            self._routes.append((dict(route), [_cut(origin)] if first else [], notes))

    def _add_fields(
        self, origin: str, set_headers: dict[str, str], remove_headers: list[str], note: str
    ) -> None:
        fields: dict[str, Any] = {"set_headers": set_headers, "remove_headers": remove_headers}
        given = {key: value for key, value in fields.items() if value}
        complaint = _route_complaint({"answer": 200, **given})
        if complaint:
            return self._comment(Group.UNFIT, origin, complaint)
        self._set_headers |= set_headers
        self._remove_headers += remove_headers
        self._app_origins.append(_cut(origin))
        self._app_notes += [note] if note else []

    def _needs_route(self) -> bool:
        return bool(self._app and (self._set_headers or self._remove_headers))

    def _write_app(self, lines: list[str]) -> None:
        if self._app is None or self._needs_route():
            return
        _write(lines, self._app_origins, self._app_notes, "app", self._app)

    def _write_routes(self, lines: list[str]) -> None:
        if self._needs_route():
            # What no other takes.
            self._routes.append(({"wsgi": self._app}, self._app_origins, self._app_notes))
        elif self._app is None:
            lines += [f"# {origin}" for origin in self._app_origins]
        names: dict[str, str] = {}
        for route, _, _ in self._routes:
            wsgi = route.pop("wsgi", None)
            if wsgi is None:
                continue
            name = next((name for name, known in names.items() if known == wsgi), None)
            if name is None:
                name = _name(route.get("path", ""), names)
                names[name] = wsgi
                lines += [f"[apps.{name}]", toml("wsgi", wsgi), ""]
            route["app"] = name
        # Folders before applications: their paths lie within those of applications.
        for route, origins, notes in sorted(self._routes, key=lambda item: _order(item[0])):
            lines += [f"# {origin}" for origin in origins]
            for note in notes:
                lines += _wrapped(note)
            lines.append("[[routes]]")
            if self._set_headers:
                route["set_headers"] = self._set_headers
            if self._remove_headers:
                route["remove_headers"] = self._remove_headers
            lines += [*(toml(key, value) for key, value in route.items()), ""]


def toml(key: str, value: Any) -> str:
    """One line: a key and its value."""
    return f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_quoted(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    return str(value)


def _quoted(text: str) -> str:
    """A string of TOML: a literal one where that needs no escape, otherwise a basic one."""
    if text.isprintable() and "'" not in text and ('"' in text or "\\" in text):
        return f"'{text}'"
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def _write(lines: list[str], origins: list[str], notes: list[str], key: str, value: Any) -> None:
    if not origins and lines[-1] == "":
        # It comes from the same setting as the key before it.
        lines.pop()
    lines += [f"# {origin}" for origin in origins]
    for note in notes:
        lines += _wrapped(note)
    if key == "unix_socket_mode":
        lines.append(f"{key} = {value:#o}")
    else:
        lines.append(toml(key, value))
    lines.append("")


def _wrapped(text: str, start: str = "# ") -> list[str]:
    lines = []
    for paragraph in text.split("\n"):
        # What is to be copied must stay in one piece.
        lines += textwrap.wrap(
            paragraph,
            _WIDTH,
            initial_indent=start,
            subsequent_indent=start,
            break_long_words=False,
            break_on_hyphens=False,
        ) or ["#"]
    return lines


def _cut(text: str) -> str:
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]} ..."


def _order(route: Mapping[str, Any]) -> tuple[bool, int]:
    """Files first, then applications, the longer path first."""
    return "app" in route, -len(route.get("path", ""))


def _name(path: str, names: Mapping[str, str]) -> str:
    """A name for the table of an application: what its path is made of."""
    name = re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")[:_LONGEST_NAME] or "main"
    number, unique = 2, name
    while unique in names:
        unique, number = f"{name}-{number}", number + 1
    return unique


def _complaint(key: str, value: Any) -> str | None:
    """What the engine has against a value; None if nothing."""
    if key == "app":
        return _app_complaint(value)
    if key == "chdir":
        return None if "\0" not in value else "it is no path"
    section, _, name = key.rpartition(".")
    option = _PREFIXES.get(section, "") + name
    try:
        _kirsch.Settings.from_keywords({**_BESIDE.get(key, {}), option: value})
    except (TypeError, ValueError) as error:
        complaint = str(error).removeprefix(f"argument {option}: ")
        # The file may be for another machine, where the folder is.
        return None if "is not a folder that exists" in complaint else complaint
    return None


def _app_complaint(spec: str) -> str | None:
    words = ["kirsch", "check", "--config", "/dev/null", "--", spec]
    command = _kirsch.parse_command_line(words, [], "/")
    return command.stderr.strip().removeprefix("kirsch: ") if command.action == "exit" else None


def _route_complaint(route: Mapping[str, Any]) -> str | None:
    keywords = dict(route)
    wsgi = keywords.pop("wsgi", None)
    if wsgi is not None:
        complaint = _app_complaint(wsgi)
        if complaint:
            return complaint
        keywords["answer"] = 200
    try:
        _kirsch.check_route(keywords)
    except (TypeError, ValueError) as error:
        return str(error).partition(": ")[2]
    return None
