"""What becomes of a setting of another server: a row of a table, and the answer for one value.

A table is data: which settings there are, which of Kirsch's they become, and why some become none.
The command, the guide and the tests read the same rows. Read next: `_gunicorn.py`, `_uwsgi.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Group(Enum):
    """What becomes of a setting; the value is the heading of the comments in the printed file."""

    BECOMES = "Is set above"
    NEEDLESS = "Not needed"
    ELSEWHERE = "For the service manager, the proxy or the environment"
    MISSING = "No equivalent in Kirsch yet"
    UNFIT = "To be written by hand"
    UNKNOWN = "Not known"


@dataclass(frozen=True)
class Becomes:
    """The setting has an equivalent.

    Attributes:
        settings: Keys of ``kirsch.toml``, dotted, with their values.
        note: What differs all the same.
    """

    settings: Mapping[str, Any]
    note: str = ""


@dataclass(frozen=True)
class Stays:
    """The setting becomes a comment with its reason."""

    group: Group
    why: str


@dataclass(frozen=True)
class AddsRoutes:
    """The setting becomes routes.

    Attributes:
        routes: Tables of ``[[routes]]``; ``wsgi`` in place of ``app`` adds that application.
        note: What differs all the same.
    """

    routes: tuple[Mapping[str, Any], ...]
    note: str = ""


@dataclass(frozen=True)
class ChangesFields:
    """The setting changes the fields of every response.

    Attributes:
        set_headers: Fields that every response has.
        remove_headers: Fields that none has.
        note: What differs all the same.
    """

    set_headers: Mapping[str, str]
    remove_headers: tuple[str, ...] = ()
    note: str = ""


Answer = Becomes | Stays | AddsRoutes | ChangesFields

#: What answers for one value; it may look at the others.
Convert = Callable[[Any, Mapping[str, Any]], Answer]


class FileError(Exception):
    """A configuration file cannot be read; the text says where and why, further lines show it."""


class UnfitError(Exception):
    """A value that the other server would refuse, or that nobody can translate; the text says why."""


@dataclass(frozen=True)
class Row:
    """Settings of another server that become the same.

    Attributes:
        names: Their names there.
        group: What becomes of them.
        says: The reason, or what differs; for the guide and, where there is no `convert`, for the comment.
        keys: What they may become, as the reference of settings calls it.
        convert: What answers for a value where that matters; otherwise `group` and `says` do.
        pattern: Stands for every further name that begins so, too.
    """

    names: tuple[str, ...]
    group: Group
    says: str
    keys: tuple[str, ...] = ()
    convert: Convert | None = None
    pattern: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """All that is known of a server's settings.

    Attributes:
        server: Its name, as prose has it.
        rows: In the order of the guide.
        defaults: What the server does where a setting is not there, and Kirsch does not; by the settings.
    """

    server: str
    rows: tuple[Row, ...]
    defaults: tuple[tuple[tuple[str, ...], str], ...] = ()
    _by_name: dict[str, Row] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for row in self.rows:
            for name in row.names:
                assert name not in self._by_name, f"{name} stands in two rows"
                self._by_name[name] = row

    @property
    def names(self) -> Iterable[str]:
        """Every name that a row has."""
        return self._by_name.keys()

    def row(self, name: str) -> Row | None:
        """The row of a setting: the one that names it, otherwise the first whose pattern fits."""
        if name in self._by_name:
            return self._by_name[name]
        return next((row for row in self.rows if row.pattern and name.startswith(row.pattern)), None)


def becomes(names: str, keys: str, convert: Convert, says: str = "") -> Row:
    """A row of settings that have an equivalent; names and keys are separated by blanks."""
    return Row(tuple(names.split()), Group.BECOMES, says, tuple(keys.split()), convert)


def needless(names: str, says: str, convert: Convert | None = None) -> Row:
    """A row of settings that Kirsch does without."""
    return Row(tuple(names.split()), Group.NEEDLESS, says, convert=convert)


def elsewhere(names: str, says: str, convert: Convert | None = None) -> Row:
    """A row of settings that others than the server take care of."""
    return Row(tuple(names.split()), Group.ELSEWHERE, says, convert=convert)


def missing(names: str, says: str, convert: Convert | None = None, *, pattern: str = "") -> Row:
    """A row of settings that have no equivalent; `pattern` are beginnings of further names."""
    return Row(tuple(names.split()), Group.MISSING, says, convert=convert, pattern=tuple(pattern.split()))


def family(pattern: str, says: str) -> Row:
    """A row of all settings that begin so, and have no equivalent."""
    return Row((), Group.MISSING, says, pattern=tuple(pattern.split()))


def guide(table: Table) -> str:
    """The table of the guide, in Markdown."""
    lines = [f"| {table.server} | Kirsch |", "|---|---|"]
    for row in table.rows:
        left = ", ".join([f"`{name}`" for name in row.names] + [f"`{start}…`" for start in row.pattern])
        keys = ", ".join(f"`{key}`" for key in row.keys)
        match row.group:
            case Group.BECOMES:
                right = f"{keys}: {row.says}" if row.says else keys
            case Group.NEEDLESS:
                right = f"not needed: {row.says}"
            case Group.ELSEWHERE:
                right = f"outside: {row.says}"
            case _:
                right = f"–, {row.says}"
        lines.append(f"| {left} | {right} |".replace("\n", " "))
    return "\n".join(lines) + "\n"
