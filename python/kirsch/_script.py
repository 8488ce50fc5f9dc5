"""The command ``kirsch run``: a script as Python would run it, with Kirsch in the place of cheroot."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence

from kirsch._as_cheroot import install_as_cheroot
from kirsch._errors import to_stderr, to_stdout

USAGE = """\
Usage: kirsch run FILE [ARGUMENTS]...
       kirsch run -m MODULE [ARGUMENTS]...

Runs a program that starts web.py's, CherryPy's, bottle's or its own cheroot server, without a changed line,
over Kirsch. FILE and what follows are the program's arguments, as with python.
"""


def run_script(arguments: Sequence[str]) -> int:
    """Runs a script.

    Args:
        arguments: The script, or ``-m`` and a module, and its arguments.

    Returns:
        The exit code: 0 once the script has come to its end, 2 if there is none.
    """
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help"):
        return 0 if to_stdout(USAGE) else 1
    if not first or (first == "-m" and len(arguments) < 2) or (first.startswith("-") and first != "-m"):
        to_stderr(f"kirsch: `kirsch run` needs a script, as in kirsch run code.py 8080\n{USAGE}")
        return 2
    install_as_cheroot()
    if first == "-m":
        sys.argv[:] = list(arguments[1:])
        sys.path.insert(0, os.getcwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return 0
    if not os.path.exists(first):
        to_stderr(f"kirsch: there is no file {first} (looked in {os.getcwd()})\n")
        return 2
    sys.argv[:] = list(arguments)
    # As with python: the script's folder is where its imports begin.
    sys.path[0] = os.path.dirname(os.path.realpath(first))
    runpy.run_path(first, run_name="__main__")
    return 0
