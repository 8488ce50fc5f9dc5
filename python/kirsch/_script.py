"""The command ``kirsch run``: a script as Python would run it, with Kirsch in the place of cheroot.

What is run stays ``__main__`` until the process ends, as with Python and unlike with `runpy`: a server that
the script has left to a thread may pickle its classes. A traceback begins with the script's own lines.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import zipfile
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourcelessFileLoader
from types import CodeType, ModuleType

from kirsch._as_cheroot import install_as_cheroot
from kirsch._errors import to_stderr, to_stdout

USAGE = """\
Usage: kirsch run FILE [ARGUMENTS]...
       kirsch run -m MODULE [ARGUMENTS]...

Runs a program that starts web.py's, CherryPy's, bottle's or its own cheroot server, without a changed line,
over Kirsch. FILE and what follows are the program's arguments, as with python.
"""


class _NoScriptError(Exception):
    """What was typed names nothing that can be run, and why."""


def run_script(arguments: Sequence[str]) -> int:
    """Runs a script.

    Args:
        arguments: The script, or ``-m`` and a module, and its arguments.

    Returns:
        The exit code: 0 once the script has come to its end, 1 if it has raised, 2 if there is none.
    """
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help"):
        return 0 if to_stdout(USAGE) else 1
    if not first or (first == "-m" and len(arguments) < 2) or (first.startswith("-") and first != "-m"):
        to_stderr(f"kirsch: `kirsch run` needs a script, as in kirsch run code.py 8080\n{USAGE}")
        return 2
    install_as_cheroot()
    try:
        if first == "-m":
            sys.argv[:] = list(arguments[1:])
            code, main = _module(arguments[1])
        else:
            sys.argv[:] = list(arguments)
            code, main = _file(first)
        sys.modules["__main__"] = main
        exec(code, main.__dict__)
    except _NoScriptError as error:
        to_stderr(f"kirsch: {error}\n")
        return 2
    except Exception as error:
        _tell(error)
        return 1
    return 0


def _file(path: str) -> tuple[CodeType, ModuleType]:
    """The code of a file, a folder or an archive with a ``__main__.py``, and the module it runs as."""
    if not os.path.exists(path):
        raise _NoScriptError(_what_else(path))
    if os.path.isdir(path) or zipfile.is_zipfile(path):
        _begin_imports_at(path)
        spec = PathFinder.find_spec("__main__", [path])
        if spec is None:
            raise _NoScriptError(f"there is no __main__.py in {path}")
        return _of_spec(spec)
    # As with python: the script's folder is where its imports begin.
    _begin_imports_at(os.path.dirname(os.path.realpath(path)))
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError as error:
        raise _NoScriptError(f"cannot read {path}: {error.strerror}") from None
    main = ModuleType("__main__")
    main.__file__ = os.path.abspath(path)
    if text.startswith(importlib.util.MAGIC_NUMBER):
        compiled = SourcelessFileLoader("__main__", path).get_code("__main__")
        assert compiled is not None
        return compiled, main
    return compile(text, main.__file__, "exec", dont_inherit=True), main


def _module(name: str) -> tuple[CodeType, ModuleType]:
    """The code of a module, or of a package's ``__main__``, and the module it runs as."""
    _begin_imports_at(os.getcwd())
    if name.startswith("."):
        raise _NoScriptError(f"a module's whole name is needed, not {name}")
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            name = f"{name}.__main__"
            spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        # An ancestor's own import that fails is the program's to explain.
        if not f"{name}.".startswith(f"{error.name}."):
            raise
        spec = None
    except ValueError:
        # What is imported already and has none, as `__main__`.
        spec = None
    if spec is None:
        raise _NoScriptError(f"there is no module {name} (looked in {os.getcwd()} and among packages)")
    return _of_spec(spec)


def _of_spec(spec: ModuleSpec) -> tuple[CodeType, ModuleType]:
    get_code = getattr(spec.loader, "get_code", None)
    code = get_code(spec.name) if get_code is not None else None
    if code is None:
        raise _NoScriptError(f"{spec.name} is no module of Python's that can be run")
    main = ModuleType("__main__")
    main.__spec__, main.__loader__, main.__package__ = spec, spec.loader, spec.parent
    if spec.origin is not None:
        main.__file__ = spec.origin
        if spec.name != "__main__":
            sys.argv[0] = spec.origin
    return code, main


def _begin_imports_at(folder: str) -> None:
    """Puts the program's folder where Python has put this command's; nowhere if Python was told not to."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = folder


def _what_else(name: str) -> str:
    """What to type, where there is no file of that name."""
    if os.path.exists(f"{name}.py"):
        return f"there is no file {name}; kirsch run {name}.py runs the one that is there"
    text = f"there is no file {name} (looked in {os.getcwd()})"
    if ":" in name:
        text += f"; `kirsch {name}` serves an application, `kirsch run` runs a script"
    return text


def _tell(error: Exception) -> None:
    """Says what the script has raised, as Python does, without the lines that are Kirsch's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)
