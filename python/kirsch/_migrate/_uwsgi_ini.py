"""uWSGI's ini files: lines, sections, files that they include, and what stands for something else.

It knows how uWSGI reads a file (core/ini.c and its pages "How uWSGI parses config files" and "Configuration
logic"), and nothing of what options mean.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kirsch._migrate._table import FileError

#: The keys whose value is a file that takes the line's place.
INCLUDES = ("ini", "include", "inherit", "config")
#: The keys that only give a name to a value.
PLACEHOLDERS = ("set-placeholder", "set-ph", "set")
#: The keys that end a block, and the beginnings of those that begin one.
_ENDS = ("endif", "end-if", "endfor", "end-for")
_BEGINS = ("if-", "ifenv", "ifexists", "ifplugin", "ifdir", "for-")
_FORMATS = ("log-format", "logformat", "log-req-encoder", "log-encoder")

_ENVIRONMENT = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)(?:(:?-)([^)]*))?\)")
_FILE = re.compile(r"@\(([^)]+)\)")
_PLACEHOLDER = re.compile(r"%\(([^)]+)\)")


@dataclass(frozen=True)
class Line:
    """A line that sets something.

    Attributes:
        key: The option, or the placeholder.
        value: What it is set to, with what stands for something else replaced; empty where there is none.
        shown: The line as written, for people.
        block: The line that begins the block it stands in, if it stands in one.
        trouble: What could not be replaced in the value.
        included: Whether it is the line of a file whose lines follow.
        begins: Whether it begins or ends a block.
    """

    key: str
    value: str
    shown: str
    block: str | None = None
    trouble: str | None = None
    included: bool = False
    begins: bool = False


@dataclass(frozen=True)
class Content:
    """What was read: the lines of the section and of files it includes, and sections that are left."""

    lines: list[Line]
    others: list[str]
    placeholders: frozenset[str]


def read(path: Path, section: str) -> Content:
    """Reads a section of a file, with all it includes.

    Raises:
        FileError: If a file cannot be read, has no such section, or includes itself.
    """
    first = _sections(path)
    if section not in first:
        has = ", ".join(f"[{name}]" for name in first) or "none"
        raise FileError(f"{path} has no section [{section}]; it has {has}")
    used = {(path, section)}
    lines = list(_lines(path, section, [], used))
    return _expanded(lines, [name for name in first if (path, name) not in used])


def _sections(path: Path) -> dict[str, list[tuple[int, str]]]:
    """The lines of each section, with their numbers; magic variables are replaced."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from None
    magic = _magic(path)
    found: dict[str, list[tuple[int, str]]] = {}
    section = ""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(" \t\r")
        if line.startswith("["):
            if not line.endswith("]"):
                raise FileError(f"{path}:{number}: a section is written [uwsgi], and this is {line}")
            section = line[1:-1]
            found.setdefault(section, [])
        elif line and line[0] not in ";#":
            line = re.sub(r"%([A-Za-z0-9])", lambda match: magic.get(match[1], match[0]), line)
            found.setdefault(section, []).append((number, line))
    return found


def _magic(path: Path) -> Mapping[str, str]:
    """What stands behind a per cent sign and is replaced before anything is read."""
    whole = path.absolute()
    folder = str(whole.parent)
    own = {
        "p": str(whole),
        "s": whole.name,
        "d": folder.rstrip("/") + "/",
        "e": whole.suffix.removeprefix("."),
        "n": whole.stem,
        "c": whole.parent.name,
    }
    parts = dict(zip("0123456789", folder.strip("/").split("/"), strict=False))
    process = {"h": platform.node(), "v": os.getcwd(), "k": str(os.cpu_count() or 1), "o": str(path)}
    return {**own, **{name.upper(): value for name, value in own.items()}, **parts, **process}


def _lines(
    path: Path, section: str, within: list[tuple[Path, str]], used: set[tuple[Path, str]]
) -> Iterator[Line]:
    used.add((path, section))
    for number, line in _sections(path).get(section, []):
        key, _, value = (part.strip(" \t\r") for part in line.partition("="))
        shown = f"{line}" if not within else f"{path.name}:{number}: {line}"
        target = _included(key, value, path)
        if target is None:
            yield Line(key, value, shown)
            continue
        if target in [*within, (path, section)]:
            raise FileError(f"{path}:{number}: includes itself: {line}")
        if not target[0].is_file():
            raise FileError(f"{path}:{number}: there is no file {target[0]} (looked in {os.getcwd()})")
        yield Line(key, value, shown, included=True)
        yield from _lines(*target, [*within, (path, section)], used)


def _included(key: str, value: str, path: Path) -> tuple[Path, str] | None:
    """The file and the section that a line stands for."""
    if key not in INCLUDES or "://" in value or "$(" in value or "%(" in value:
        return None
    name, colon, section = value.rpartition(":")
    if not colon:
        name, section = value, "uwsgi"
    if not name:
        return path, section
    if key == "config" and not name.endswith(".ini"):
        return None
    # uWSGI looks where it was started; here that may be elsewhere, and the file's folder does as well.
    here = Path(name)
    return (here if here.is_file() else path.parent / name), section or "uwsgi"


def _expanded(lines: list[Line], others: list[str]) -> Content:
    """The lines with blocks marked, and variables, files and placeholders replaced."""
    values: dict[str, str] = {}
    for line in lines:
        key, value = line.key, line.value
        if key in PLACEHOLDERS:
            key, _, value = (part.strip() for part in value.partition("="))
        # The first one counts.
        values.setdefault(key, value)
    used: set[str] = set()
    found, block = [], None
    for line in lines:
        if line.key in _ENDS:
            found.append(replace(line, block=block, begins=True))
            block = None
            continue
        if line.key == "for" or line.key.startswith(_BEGINS):
            block = line.shown
            found.append(replace(line, begins=True))
            continue
        value, trouble = _expand(line.value, values, used, line.key in _FORMATS)
        found.append(replace(line, value=value, trouble=trouble, block=block))
    return Content(found, others, frozenset(used))


def _expand(value: str, values: Mapping[str, str], used: set[str], is_format: bool) -> tuple[str, str | None]:
    trouble: list[str] = []

    def variable(match: re.Match[str]) -> str:
        name, otherwise, default = match.groups()
        found = os.environ.get(name)
        if otherwise and (found is None or (otherwise == ":-" and not found)):
            return str(default)
        if found is None:
            trouble.append(f"the variable {name} is not set here")
            return match[0]
        return found

    def file(match: re.Match[str]) -> str:
        try:
            return Path(match[1]).read_text().strip()
        except (OSError, UnicodeDecodeError):
            trouble.append(f"the file {match[1]} cannot be read")
            return match[0]

    def placeholder(match: re.Match[str]) -> str:
        name = match[1].strip()
        if name in values:
            used.add(name)
            return values[name]
        if not is_format:
            trouble.append(f"nothing sets {match[0]}")
        return match[0]

    # A placeholder may stand for others; more rounds than there are options would be a circle.
    for _ in range(len(values)):
        before = value
        value = _PLACEHOLDER.sub(placeholder, _FILE.sub(file, _ENVIRONMENT.sub(variable, value)))
        if value == before or trouble:
            break
    else:
        if _PLACEHOLDER.search(value) and not is_format:
            trouble.append("its placeholders stand for each other")
    return value, trouble[0] if trouble else None
