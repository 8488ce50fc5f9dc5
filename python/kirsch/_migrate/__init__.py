"""The command ``kirsch migrate``: another server's configuration as a `kirsch.toml`, on standard output.

It finds out whose file it is. Read next: `_table.py`, and `_gunicorn.py` and `_uwsgi.py` with the tables.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from kirsch._errors import to_stderr, to_stdout
from kirsch._migrate import _gunicorn, _uwsgi
from kirsch._migrate._document import Document
from kirsch._migrate._table import FileError

#: What becomes of every setting, for each server that has a file.
TABLES = (_gunicorn.TABLE, _uwsgi.TABLE)

USAGE = """\
Usage: kirsch migrate FILE > kirsch.toml
       kirsch migrate FILE.ini:SECTION > kirsch.toml

Prints the kirsch.toml that is equivalent to a configuration of another server. What has no equivalent
becomes a comment with its reason.

FILE is
  gunicorn.conf.py  gunicorn's. It is Python, and is run, as gunicorn does.
  uwsgi.ini         uWSGI's; its section [uwsgi], unless another is named.

waitress, mod_wsgi-express and Granian have no such file; the guide "From another server" has their settings.
"""

_GUIDE = 'the guide "From another server" has its settings'


class _Unknown(Exception):
    """Whose file it is cannot be found out, or it is none that is read; the text says what may be given."""


def migrate(arguments: Sequence[str]) -> int:
    """Runs the command.

    Args:
        arguments: What follows the word ``migrate``.

    Returns:
        The exit code: 0 once it is printed, 1 if the file cannot be read, 2 if it is none that may be given.
    """
    if any(word in ("-h", "--help") for word in arguments):
        return 0 if to_stdout(USAGE) else 1
    if len(arguments) != 1 or arguments[0].startswith("-"):
        to_stderr(f"kirsch: `kirsch migrate` takes one file, as in kirsch migrate gunicorn.conf.py\n{USAGE}")
        return 2
    try:
        document = _document(arguments[0])
    except _Unknown as error:
        to_stderr(f"kirsch: {error}\n")
        return 2
    except FileError as error:
        to_stderr(f"kirsch: {error}\n")
        return 1
    # TOML is UTF-8, whatever the terminal is.
    with contextlib.suppress(AttributeError):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    return 0 if to_stdout(document.text()) else 1


def _document(name: str) -> Document:
    path, section = Path(name), "uwsgi"
    if not path.exists() and ".ini:" in name:
        stem, _, section = name.rpartition(":")
        path = Path(stem)
    if not path.exists():
        raise _Unknown(f"there is no file {path} (looked in {os.getcwd()})")
    if not path.is_file():
        raise _Unknown(f"{path} is not a file; name gunicorn.conf.py or uwsgi.ini itself")
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from None
    _refuse(path, text)
    if path.suffix == ".py":
        return _gunicorn.migrate(path)
    if path.suffix == ".ini" or section != "uwsgi" or re.search(r"^\s*\[uwsgi\]\s*$", text, re.MULTILINE):
        return _uwsgi.migrate(path, section)
    if "gunicorn" in path.name:
        return _gunicorn.migrate(path)
    raise _Unknown(
        f"{path} is neither gunicorn's, which ends in .py, nor uWSGI's, which has a section [uwsgi]"
    )


def _refuse(path: Path, text: str) -> None:
    """Says what else it is, where that can be told.

    Raises:
        _Unknown: If it is something else.
    """
    has_uwsgi = re.search(r"^\s*\[uwsgi\]\s*$", text, re.MULTILINE) is not None
    if path.suffix in (".xml", ".yaml", ".yml", ".json"):
        kind = path.suffix.removeprefix(".")
        raise _Unknown(
            f"{path}: of uWSGI's files Kirsch reads ini; uwsgi --{kind} {path} --show-config --no-server "
            "prints it as that"
        )
    if path.suffix == ".toml":
        raise _Unknown(f"{path} is TOML, as Kirsch's own file is; kirsch check --config {path} tries it")
    if re.search(r"^\s*WSGI(?:ScriptAlias|DaemonProcess)\b", text, re.MULTILINE):
        raise _Unknown(f"{path} is Apache's, for mod_wsgi; {_GUIDE}")
    if not has_uwsgi and re.search(r"^\s*\[server:[^\]]*\]", text, re.MULTILINE):
        raise _Unknown(f"{path} is PasteDeploy's; write the settings of its server by hand: {_GUIDE}")
    if path.name in ("Procfile", "Dockerfile") or path.suffix in (".service", ".sh"):
        raise _Unknown(f"{path} has a command line; flags are written by hand: {_GUIDE}")
