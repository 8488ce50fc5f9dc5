"""The command ``kirsch``; also ``python -m kirsch``."""

import os
import signal
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: The arguments, the program's name first; ``sys.argv`` without it.

    Returns:
        The exit code: 0, 1 if the application or the system is at fault, 2 if the command line is, 130 if
        Ctrl-C came before there was anything to stop.
    """
    argv = list(sys.argv if argv is None else argv)
    try:
        return _main(["kirsch", *argv[1:]])
    except KeyboardInterrupt:
        # Another one while the interpreter ends shall not show a traceback either.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return 128 + signal.SIGINT


def _main(argv: list[str]) -> int:
    # Here, because importing takes long enough for Ctrl-C to come meanwhile.
    if argv[1:2] == ["run"]:
        from kirsch._script import run_script

        return run_script(argv[2:])
    if argv[1:2] == ["migrate"]:
        from kirsch._migrate import migrate
        from kirsch._run import end_process

        code = migrate(argv[2:])
        # A configuration that is run may have started threads.
        end_process(code)
        return code
    from kirsch import _kirsch
    from kirsch._errors import to_stderr, to_stdout
    from kirsch._load import LoadError, load
    from kirsch._run import check, end_process, serve

    try:
        here = os.getcwd()
    except OSError as error:
        to_stderr(f"kirsch: the working directory cannot be used: {error.strerror}; change to another\n")
        return 2
    command = _kirsch.parse_command_line(argv, list(os.environ.items()), here)
    if command.action == "exit":
        to_stderr(command.stderr)
        if command.stdout and not to_stdout(command.stdout):
            return 1
        return command.code
    settings, dispatch = command.settings, command.dispatch
    assert settings is not None
    assert dispatch is not None
    try:
        _kirsch.start_logging(settings.log_level)
    except OSError as error:
        to_stderr(f"kirsch: {error}\n")
        return 1
    for text, _ in dispatch.findings:
        to_stderr(f"kirsch: {text}\n")
    checking = command.action == "check"
    if any(fatal for _, fatal in dispatch.findings):
        return 1
    # The arguments are the server's: an application that looks for its own must not find them.
    del sys.argv[1:]
    try:
        applications = load(dispatch.applications, settings.chdir)
        code = (check if checking else serve)(applications, dispatch, settings)
    except LoadError as error:
        to_stderr(f"kirsch: {error}\n")
        code = error.code
    except KeyboardInterrupt:
        end_process(128 + signal.SIGINT)
        raise
    if checking and dispatch.findings:
        code = code or 1
    # Whatever else was loaded goes on in threads of its own: the end must not depend on them.
    end_process(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
