"""Reads gunicorn's corpus of requests, `tests/requests/{valid,invalid}`, without gunicorn.

A request is a file of bytes with escapes; a Python file beside it says what is read from it: a description or
a list of them if it is valid, the exception that gunicorn raises if it is not. The Python files import
gunicorn's configuration and exceptions; stand-ins that only remember are enough for that.
"""

from __future__ import annotations

import builtins
import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

#: The Host that requests get which have none.
HOST = "added.test"


@dataclass(frozen=True)
class Wanted:
    """One request, as the application must see it."""

    version: tuple[int, int]
    environ: dict[str, str]
    body: bytes

    @property
    def needs_host(self) -> bool:
        """Whether it breaks the rule that HTTP/1.1 demands a Host."""
        return self.version == (1, 1) and "HTTP_HOST" not in self.environ


@dataclass(frozen=True)
class Entry:
    """One file of the corpus.

    Attributes:
        wanted: The requests in it; none if it is invalid.
        settings: What of gunicorn's settings the entry changes.
    """

    name: str
    data: bytes
    wanted: list[Wanted]
    settings: dict[str, Any]

    @property
    def valid(self) -> bool:
        """Whether gunicorn serves it."""
        return self.name.startswith("valid/")


class Config:
    """Stands for gunicorn's configuration."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def set(self, name: str, value: Any) -> None:
        """Remember a setting."""
        self.settings[name] = value


class Names:
    """Stands for the module of gunicorn's exceptions: each is its name."""

    def __getattr__(self, name: str) -> str:
        return name


MODULES = {"gunicorn.config": SimpleNamespace(Config=Config), "gunicorn.http.errors": Names()}


def import_stand_in(name: str, *_: Any) -> Any:
    """What `import` means in the corpus."""
    return MODULES[name]


def uri(target: str) -> dict[str, str]:
    """Stands for the function of gunicorn's tests that takes a target apart."""
    # Two slashes at the beginning are part of the path, not in front of a host.
    parts = urlsplit("." + target) if target.startswith("//") else urlsplit(target)
    path = parts.path[1:] if target.startswith("//") else parts.path
    return {"raw": target, "path": path, "query": parts.query}


def corpus(source: Path) -> list[Entry]:
    """Every entry, in order."""
    folder = source / "tests" / "requests"
    paths = [path for kind in ("valid", "invalid") for path in sorted(folder.glob(f"{kind}/*.http"))]
    return [read(folder, path) for path in paths]


def read(folder: Path, path: Path) -> Entry:
    """One entry."""
    description = path.with_suffix(".py")
    names: dict[str, Any] = {
        "__builtins__": {**vars(builtins), "__import__": import_stand_in},
        "uri": uri,
        "cfg": Config(),
    }
    exec(compile(description.read_text("utf-8"), description.name, "exec"), names)
    name = str(path.relative_to(folder).with_suffix(""))
    requests = names["request"] if isinstance(names["request"], list) else [names["request"]]
    wanted = [want(request) for request in requests] if name.startswith("valid/") else []
    return Entry(name, unescaped(path.read_bytes()), wanted, names["cfg"].settings)


def unescaped(data: bytes) -> bytes:
    r"""The bytes that a file stands for: line ends mean nothing; `\r`, `\n`, `\t`, `\0`, `\xHH` do."""
    escapes = {b"\\r": b"\r", b"\\n": b"\n", b"\\t": b"\t", b"\\0": b"\0"}

    def replace(match: re.Match[bytes]) -> bytes:
        return bytes([int(match[1], 16)]) if match[1] else escapes[match[0]]

    plain = re.sub(rb"\\x([0-9A-Fa-f]{2})|\\[rnt0]", replace, data.replace(b"\n", b""))
    assert b"\\" not in plain, "an escape that is not known"
    return plain


def want(request: dict[str, Any]) -> Wanted:
    """What Kirsch's `environ` must hold of a request.

    The corpus speaks of bytes that were parsed, an application sees CGI's names. Fields that come again are
    one list, and the length of a body is that of what was decoded: `docs/concepts/http.md`.
    """
    target, body = request["uri"], request["body"] or b""
    environ = {
        "REQUEST_METHOD": request["method"],
        "REQUEST_URI": target["raw"],
        "PATH_INFO": unquote_to_bytes(target["path"]).decode("latin-1"),
        "QUERY_STRING": target["query"],
        "SERVER_PROTOCOL": "HTTP/{}.{}".format(*request["version"]),
    }
    for name, value in request["headers"]:
        if name == "TRANSFER-ENCODING":
            environ["CONTENT_LENGTH"] = str(len(body))
            continue
        key = name.replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return Wanted(request["version"], environ, body)


def with_host(entry: Entry) -> Entry:
    """The entry with a Host in every HTTP/1.1 request that lacks one."""
    if not entry.valid:
        missing = b"\nhost:" not in entry.data.lower()
        line = b" HTTP/1.1\r\n"
        data = entry.data.replace(line, line + f"Host: {HOST}\r\n".encode(), 1) if missing else entry.data
        return Entry(entry.name, data, [], entry.settings)
    data, at, wanted = entry.data, 0, []
    for request in entry.wanted:
        line = "{REQUEST_URI} {SERVER_PROTOCOL}\r\n".format(**request.environ).encode("latin-1")
        found = data.find(line, at)
        if request.needs_host and found >= 0:
            at = found + len(line)
            data = data[:at] + f"Host: {HOST}\r\n".encode() + data[at:]
            request = Wanted(request.version, {**request.environ, "HTTP_HOST": HOST}, request.body)
        wanted.append(request)
    return Entry(entry.name, data, wanted, entry.settings)
