"""The command ``kirsch``; also ``python -m kirsch``."""

import os
import sys
from collections.abc import Sequence

from kirsch import _kirsch
from kirsch._load import LoadError, load
from kirsch._run import check, serve


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: The arguments, the program's name first; ``sys.argv`` without it.

    Returns:
        The exit code: 0, 1 if the application or the system is at fault, 2 if the command line is.
    """
    argv = list(sys.argv if argv is None else argv)
    argv[:1] = ["kirsch"]
    command = _kirsch.parse_command_line(argv, list(os.environ.items()), os.getcwd())
    if command.action == "exit":
        sys.stdout.write(command.stdout)
        sys.stderr.write(command.stderr)
        return command.code
    assert command.settings is not None
    assert command.app is not None
    _kirsch.start_logging(command.settings.log_level)
    try:
        application = load(command.app, command.settings.chdir)
        act = check if command.action == "check" else serve
        return act(application, command.settings, command.app_text)
    except LoadError as error:
        sys.stderr.write(f"kirsch: {error}\n")
        return error.code


if __name__ == "__main__":
    sys.exit(main())
